/**
 * The whole house in this process, on a store and a port of its own; `rooms` says which rooms it has (default: all). Every
 * test that needs no part alone starts here. What is built otherwise has a file in `world/`:
 *
 * | file | what it builds |
 * |---|---|
 * | `relay` · `relay-hub` · `relay-webhooks` | the relay on real sockets · without sockets, on a clock of the test's · with webhooks, on either engine |
 * | `relay-links` | links of the notify server to a relay, over a socket and within a process |
 * | `relay-line` | a line to a relay, on which a test keeps back what is delivered |
 * | `scripted-relay` | a relay that does what a test tells it to, and clients of ours |
 * | `notify` · `notify-http` | the notify server without a relay · its HTTP routes alone |
 * | `notify-devices` · `wallets` | the house, with devices that write their requests themselves · with wallets and dapps of the package |
 * | `keys` · `contacts` | the key registry through its routes · the house with its registry of installations, on a clock of the test's |
 * | `replicas` | replicas of `sync/` over a network in memory |
 * | `full-store` | an embedded store with many subscriptions |
 * | `system` | what the published clients are tried against: the house, or a fleet |
 * | `attacked` · `attacked-relay` | processes with the limits and budgets that are the default, for attackers |
 *
 * A server in a process of its own is `process.ts`, many of them on one Redis are `fleet.ts`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NO_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import type { Clock } from '../../src/platform/runtime/clock.ts'
import type { Log } from '../../src/platform/telemetry.ts'
import type { AddedApp } from '../../src/server/admin/apps.ts'
import { composeServer, type RunningServer } from '../../src/server/compose.ts'
import { type Config, configWith } from '../../src/server/config/config.ts'
import { NO_RATE_LIMITS } from '../../src/server/config/settings/rate-limits.ts'
import { createMetrics, type Metrics } from '../../src/server/telemetry/metrics.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { alsoCaptured, capturedLog } from './capture/log.ts'
import { capture, isCapturing, knownSecret } from './capture/record.mjs'

/** The whole system, in this process, on a store and a port of its own. */
export interface World extends AsyncDisposable {
  /** Where HTTP is asked; stays the same over restarts. */
  readonly url: string
  /** The relay. */
  readonly wsUrl: string
  readonly dataDir: string
  readonly adminToken: string
  readonly project: { id: string; secret: string }
  /** Direct access to the stores of the running server. */
  readonly stores: Stores
  readonly metrics: Metrics
  readonly server: RunningServer
  /** Stops and starts again on the same data and the same port. `meanwhile` runs in between. */
  restart(meanwhile?: () => void | Promise<void>): Promise<void>
  /** Enrols an app as the operator's command line does. */
  addApp(
    domain: string,
    declaration?: { project?: string; types?: { id?: string; name: string; description?: string }[] },
  ): Promise<AddedApp>
  /** `fetch` on a path of the server, JSON in and out; the answer's body is `unknown` JSON or undefined. */
  http(
    method: string,
    path: string,
    request?: { body?: unknown; token?: string; headers?: Record<string, string> },
  ): Promise<{ status: number; body: unknown; headers: Headers }>
}

export interface WorldOptions {
  rooms?: Config['rooms']
  clock?: Clock
  log?: Log
  config?: Partial<Config>
  /** Default: a temporary one that is removed at the end. */
  dataDir?: string
}

const json = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text === '' ? undefined : text
  }
}

export const startWorld = async (options: WorldOptions = {}): Promise<World> => {
  const { clock, rooms, config: overrides } = options
  const log = options.log ? alsoCaptured(options.log) : capturedLog
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'belfry-world-')))
  let metrics: Metrics
  let server: RunningServer

  const start = async (port: number): Promise<void> => {
    metrics = createMetrics({ log, strict: true })
    const config = configWith({
      host: '127.0.0.1',
      metrics: 'off',
      keyServers: [],
      // Tests ask faster than people; those of the limits and budgets set them.
      limits: NO_RATE_LIMITS,
      budgets: NO_BUDGETS,
      ...(rooms && { rooms }),
      ...overrides,
      port,
      data: dataDir,
    })
    server = await composeServer(config, {
      log,
      metrics,
      ...(clock && { clock }),
    })
    try {
      await server.ready()
    } catch (error) {
      await server.stop()
      throw error
    }
    knownSecret('admin token', server.adminToken)
    knownSecret('project secret', server.project?.secret)
  }
  const stop = async () => {
    if (isCapturing) capture('metrics', await metrics.text())
    await server.stop()
  }
  await start(overrides?.port ?? 0)

  const world: World = {
    get url() {
      return server.loopbackUrl
    },
    get wsUrl() {
      return server.loopbackUrl.replace(/^http/, 'ws')
    },
    dataDir,
    get adminToken() {
      return server.adminToken
    },
    get project() {
      const { project } = server
      if (!project) throw new Error('This world has no notify room')
      return project
    },
    get stores() {
      return server.stores
    },
    get metrics() {
      return metrics
    },
    get server() {
      return server
    },
    async restart(meanwhile) {
      const { port } = server
      await stop()
      await meanwhile?.()
      await start(port)
    },
    async addApp(domain, declaration = {}) {
      const { status, body } = await world.http('POST', '/admin/apps', {
        token: world.adminToken,
        body: { domain, ...declaration },
      })
      if (status !== 200) throw new Error(`The app was not added: ${status} ${JSON.stringify(body)}`)
      const added = body as AddedApp
      knownSecret('project secret', added.secret)
      return added
    },
    async http(method, path, { body, token, headers } = {}) {
      const response = await fetch(server.loopbackUrl + path, {
        method,
        redirect: 'manual',
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      return { status: response.status, body: json(await response.text()), headers: response.headers }
    },
    async [Symbol.asyncDispose]() {
      await stop()
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true })
    },
  }
  return world
}
