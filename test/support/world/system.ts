import { randomBytes, randomUUID } from 'node:crypto'
import { z } from 'zod'
import { DEFAULT_BUDGETS } from '../../../src/platform/budgets/budgets.ts'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { startFleet } from '../fleet.ts'
import { readMetric } from '../metrics.ts'
import { startRedis } from '../redis.ts'
import { startWorld } from '../world.ts'
import { startBalancer } from './balancer.ts'

/**
 * The system that the published clients are tried against, and the one place that says where its relays are: clients
 * spread over `relayUrl(0)`, `relayUrl(1)`, …
 */
export interface System extends AsyncDisposable {
  /** Base of HTTP: keys, notify API, notify-config, did documents. Of the notify servers, each in turn. */
  readonly url: string
  relayUrl(index: number): string
  /** What the clients give as their project id; the relay lets everyone in. */
  readonly projectId: string
  /** Names that notify-client has fixed in its package → where they must lead. */
  readonly fixedNames: Record<string, string>
  /** Enrols an app in a project of its own, with notification types of these names. */
  enrol(domain: string, types: string[]): Promise<DappApp>
  /** Every process ends and starts again on the same data and the same port; of several, one after the other. */
  restart(): Promise<void>
  /** Of each relay: connections that are open now. */
  connections(): Promise<number[]>
  /** Of each notify server: calls of dapps that it answered since it started. */
  dappCalls(): Promise<number[]>
}

/** A dapp's backend: it knows its project secret and uses the published HTTP API, at each notify server in turn. */
export interface DappApp {
  domain: string
  name: string
  /** Type name → type id. */
  types: Record<string, string>
  /** Resolves with `{sent, failed, not_found}`. */
  notify(request: {
    notification: {
      type: string
      title: string
      body: string
      icon?: string
      url?: string
      [extra: string]: unknown
    }
    accounts: string[]
  }): Promise<unknown>
}

/** Where the processes are, as base URLs of HTTP; in one process all lists name the same. */
interface Ground extends AsyncDisposable {
  readonly relays: readonly string[]
  /** Where clients find the relays. */
  readonly doors: readonly string[]
  readonly notifies: readonly string[]
  readonly adminToken: string
  restart(): Promise<void>
}

/** Everything in this process, on the embedded store, with the limits and budgets that a server has by default. */
const oneProcess = async (): Promise<Ground> => {
  const world = await startWorld({ config: { metrics: 'shared', limits: {}, budgets: DEFAULT_BUDGETS } })
  return {
    relays: [world.url],
    doors: [world.url],
    notifies: [world.url],
    get adminToken() {
      return world.adminToken
    },
    restart: () => world.restart(),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}

/**
 * Two relays and two notify servers, each a process of its own, on one Redis; in front of the relays a balancer for
 * each, which takes the next one while its own is not there.
 */
const manyProcesses = async (): Promise<Ground> => {
  const adminToken = randomBytes(16).toString('hex')
  const owned = createReleaseStack()
  try {
    const doors = [owned.use(await startBalancer()), owned.use(await startBalancer())]
    const redis = owned.use(await startRedis({ appendonly: true }))
    const fleet = owned.use(
      await startFleet(redis.url, {
        aliases: doors.map(({ url }) => url),
        // Empty is unset: the default limits and budgets.
        env: { BELFRY_ADMIN_TOKEN: adminToken, BELFRY_LIMITS: '', BELFRY_BUDGETS: '' },
      }),
    )
    const relays = fleet.relays.map(({ url }) => url)
    for (const [at, door] of doors.entries()) door.leadTo([...relays.slice(at), ...relays.slice(0, at)])
    return {
      relays,
      doors: doors.map(({ url }) => url),
      notifies: fleet.notifies.map(({ url }) => url),
      adminToken,
      async restart() {
        for (const member of [...fleet.relays, ...fleet.notifies]) await member.restart('SIGTERM')
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}

const added = z.object({
  projectId: z.string(),
  secret: z.string(),
  types: z.array(z.object({ id: z.string(), name: z.string() })),
})

/** What `base` answers to the call, JSON in and out. */
const call = async (
  [method, path]: [string, string],
  base: string,
  token: string,
  body: unknown,
): Promise<unknown> => {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return JSON.parse(text)
}

/** Many processes with `--mode fleet` (see vitest.config.ts), otherwise one. */
export const startSystem = async (): Promise<System> => {
  const ground = process.env.BELFRY_TEST_FLEET === 'yes' ? await manyProcesses() : await oneProcess()
  const { relays, doors, notifies } = ground
  const at = (list: readonly string[], index: number) => list[index % list.length] ?? ''
  let turn = 0
  const nextNotify = () => at(notifies, turn++)

  return {
    get url() {
      return nextNotify()
    },
    relayUrl: (index) => at(doors, index).replace(/^http/, 'ws'),
    projectId: randomBytes(16).toString('hex'),
    get fixedNames() {
      return {
        'notify.walletconnect.com': nextNotify(),
        'explorer-api.walletconnect.com': nextNotify(),
        'history.walletconnect.com': nextNotify(),
      }
    },
    async enrol(domain, names) {
      const types = names.map((name) => ({ name }))
      const answer = await call(['POST', '/admin/apps'], nextNotify(), ground.adminToken, {
        domain,
        project: randomUUID(),
        types,
      })
      const app = added.parse(answer)
      const name = `The app at ${domain}`
      const path = `/v1/${app.projectId}/apps/${encodeURIComponent(domain)}`
      await call(['PUT', path], nextNotify(), app.secret, { name })
      return {
        domain,
        name,
        types: Object.fromEntries(app.types.map((type) => [type.name, type.id])),
        notify: (request) => call(['POST', `/${app.projectId}/notify`], nextNotify(), app.secret, request),
      }
    },
    restart: () => ground.restart(),
    connections: () => Promise.all(relays.map((url) => readMetric(url, 'belfry_relay_connections'))),
    dappCalls: () =>
      Promise.all(
        notifies.map((url) =>
          readMetric(url, 'belfry_http_requests_total', { method: 'POST', route: '/:projectId/notify' }),
        ),
      ),
    [Symbol.asyncDispose]: () => ground[Symbol.asyncDispose](),
  }
}
