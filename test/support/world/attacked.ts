/**
 * Where attacks are made: one process on the embedded store, or two relays and two notify servers on one Redis, each with
 * the limits and budgets that a server has by default, and a thousand files and sockets each.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { startNameServer } from '../../security/name-server.ts'
import { residentBytes } from '../../security/strangers-http.ts'
import { startFleet } from '../fleet.ts'
import { freePort, startServerProcess } from '../process.ts'
import { startRedis } from '../redis.ts'
import { type EnrolledApp, enrolled, temporaryHome } from '../story.ts'

export interface Ground extends AsyncDisposable {
  /** As `ws:`. */
  readonly relays: readonly string[]
  /** Notify servers, with every other room. */
  readonly servers: readonly string[]
  /** Every process, as `http:`. */
  readonly all: readonly string[]
  /** Where attackers may be as key servers. */
  readonly keyServers: { hanging: string; switching: string }
  /** A name of this machine, where the processes have a name server of the test's own. */
  readonly hookHost: string
  enrol(domain: string): Promise<EnrolledApp>
  /** What the store takes, bytes. */
  stored(): Promise<number>
  /** Memory of each process, bytes. */
  resident(): Promise<number[]>
  /** For how long each process has run and has waited for a core, ns. */
  schedule(): Promise<{ ran: number; waited: number }[]>
  /** Ends every process and starts it again on the same data. */
  restart(): Promise<void>
}

/** With the processes' own name server: only root can give them one. */
export const HAS_NAMES = process.getuid?.() === 0 && process.platform === 'linux'
/** Of each worker its own. */
const NAME_SERVER = `127.0.53.${process.env.VITEST_POOL_ID ?? 1}`
const ROOMS = 'notify,keys,archive,contacts,sessions,mq'
const DESCRIPTORS = 1_024
/** A queue that an attack of some seconds can fill. */
const QUEUE_LENGTH = 150

const wsOf = (url: string) => url.replace(/^http/, 'ws')

/** A port that is listened on minutes later: outside the range from which the kernel gives ports to others meanwhile. */
const laterPort = () => 20_000 + Math.floor(Math.random() * 10_000)

const surroundings = async () => {
  const owned = createReleaseStack()
  try {
    const home = owned.use(await temporaryHome())
    const names = HAS_NAMES && owned.use(await startNameServer({ host: NAME_SERVER, port: 53 }))
    const resolvConf = join(home.path, 'resolv.conf')
    if (names) await writeFile(resolvConf, `nameserver ${NAME_SERVER}\n`)
    const limited = `ulimit -n ${DESCRIPTORS}; exec "$@"`
    const launcher = names
      ? ['unshare', '--mount', 'sh', '-c', `mount --bind "$0" /etc/resolv.conf; ${limited}`, resolvConf]
      : ['sh', '-c', limited, 'sh']
    const keyServers = {
      hanging: `http://127.0.0.9:${laterPort()}`,
      switching: `http://127.0.0.8:${laterPort()}`,
    }
    const adminToken = randomBytes(16).toString('hex')
    const env = {
      BELFRY_ADMIN_TOKEN: adminToken,
      // Empty is unset: the default limits and budgets.
      BELFRY_LIMITS: '',
      BELFRY_BUDGETS: '',
      BELFRY_KEY_SERVERS: Object.values(keyServers).join(','),
      BELFRY_MQ_DOMAINS: `default: queueLength=${QUEUE_LENGTH}`,
      // Another checkout may have another notation.
      BELFRY_ALLOW_PRIVATE_ADDRESSES:
        process.env.BELFRY_ALLOW_PRIVATE_ADDRESSES ??
        'keys=127.0.0.8/31; webhooks=127.0.0.0/28; did=127.0.0.1',
    }
    return {
      ...{ owned, home, launcher, keyServers, adminToken, env },
      hookHost: names ? 'good.example' : '127.0.0.1',
    }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}
type Surroundings = Awaited<ReturnType<typeof surroundings>>

/** Enrols an app in a project of its own. */
const enrolAt =
  (server: () => string, { adminToken }: Surroundings) =>
  async (domain: string): Promise<EnrolledApp> => {
    const response = await fetch(`${server()}/admin/apps`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ domain, project: randomUUID(), types: [{ name: 'News' }, { name: 'Alerts' }] }),
    })
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
    const answer: unknown = await response.json()
    return enrolled.parse({ ...Object(answer), domain })
  }

const residentOf = (processes: readonly { pid: number }[]) =>
  Promise.all(processes.map(({ pid }) => residentBytes(pid)))

/** Zeros where the kernel does not count. */
const scheduleOf = (processes: readonly { pid: number }[]) =>
  Promise.all(
    processes.map(async ({ pid }) => {
      const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '')
      const [ran = 0, waited = 0] = text.split(' ').map(Number)
      return { ran, waited }
    }),
  )

const onLmdb = async (): Promise<Ground> => {
  const around = await surroundings()
  const { owned, home, launcher, keyServers, hookHost } = around
  try {
    const port = await freePort()
    const env = { ...around.env, BELFRY_PUBLIC_URL: `http://127.0.0.1:${port}` }
    const dataDir = join(home.path, 'data')
    const start = () => startServerProcess(dataDir, { port, env, launcher })
    let running = await start()
    owned.use({ [Symbol.asyncDispose]: async () => void (await running.end('SIGKILL')) })
    const { url } = running
    return {
      ...{ relays: [wsOf(url)], servers: [url], all: [url], keyServers, hookHost },
      enrol: enrolAt(() => url, around),
      stored: async () => (await stat(join(dataDir, 'store', 'data.mdb'))).blocks * 512,
      resident: () => residentOf([running]),
      schedule: () => scheduleOf([running]),
      async restart() {
        await running.end('SIGTERM')
        running = await start()
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}

const onRedis = async (): Promise<Ground> => {
  const around = await surroundings()
  const { owned, env, launcher, keyServers, hookHost } = around
  try {
    const redis = owned.use(await startRedis())
    const fleet = owned.use(await startFleet(redis.url, { env, launcher, rooms: ROOMS }))
    const members = [...fleet.relays, ...fleet.notifies]
    const servers = fleet.notifies.map(({ url }) => url)
    return {
      ...{ relays: fleet.relays.map(({ wsUrl }) => wsUrl), servers, keyServers, hookHost },
      all: members.map(({ url }) => url),
      enrol: enrolAt(() => servers[0] ?? '', around),
      stored: async () => Number(/^used_memory:(\d+)/m.exec(await redis.cli('info', 'memory'))?.[1]),
      resident: () => residentOf(members.map((member) => member.process)),
      schedule: () => scheduleOf(members.map((member) => member.process)),
      async restart() {
        for (const some of [fleet.relays, fleet.notifies])
          await Promise.all(some.map((member) => member.restart('SIGTERM')))
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  } catch (error) {
    await owned[Symbol.asyncDispose]()
    throw error
  }
}

export const GROUNDS = [
  { name: 'one process on the embedded store', start: onLmdb },
  { name: 'two relays and two notify servers on Redis', start: onRedis },
] as const
