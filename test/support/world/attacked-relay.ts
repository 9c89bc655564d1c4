/** Where the attacks on the relay are made: one process on the embedded store, or two relays and two notify servers on Redis. */

import { startFleet } from '../fleet.ts'
import { type ServerProcess, startServerProcess } from '../process.ts'
import { type RedisServer, startRedis } from '../redis.ts'
import { type EnrolledApp, enrol, temporaryHome } from '../story.ts'

/** The bystander asks faster than people do. */
const envWith = (budgets: string) => ({
  BELFRY_LIMITS: 'notify: off; subscriber: off; mark: off',
  BELFRY_BUDGETS: budgets,
})

export interface SecurityGround extends AsyncDisposable {
  /** Relays, as `ws:`; attackers use all of them, the bystander the first. */
  readonly relays: readonly string[]
  /** Notify servers; the first one is asked. */
  readonly server: string
  readonly app: EnrolledApp
  readonly redis?: RedisServer
  /** Ends every process and starts it again on the same data. */
  restart(): Promise<void>
}

const wsOf = (url: string) => url.replace(/^http/, 'ws')

const onLmdb = async (domain: string, budgets = ''): Promise<SecurityGround> => {
  const env = envWith(budgets)
  const home = await temporaryHome()
  let running: ServerProcess = await startServerProcess(home.path, { env })
  const app = await enrol(home.path, domain)
  return {
    get relays() {
      return [wsOf(running.url)]
    },
    get server() {
      return running.url
    },
    app,
    async restart() {
      await running.end('SIGTERM')
      running = await startServerProcess(home.path, { env })
    },
    async [Symbol.asyncDispose]() {
      await running.end('SIGKILL')
      await home[Symbol.asyncDispose]()
    },
  }
}

const onRedis = async (domain: string, budgets = ''): Promise<SecurityGround> => {
  const env = envWith(budgets)
  const redis = await startRedis()
  const fleet = await startFleet(redis.url, { env })
  const [first] = fleet.notifies
  const app = await enrol(first?.dataDir ?? '', domain)
  return {
    redis,
    relays: fleet.relays.map(({ wsUrl }) => wsUrl),
    server: first?.url ?? '',
    app,
    async restart() {
      for (const some of [fleet.relays, fleet.notifies])
        await Promise.all(some.map((member) => member.restart()))
    },
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]()
      await redis[Symbol.asyncDispose]()
    },
  }
}

/** `start` takes `BELFRY_BUDGETS`, by default the default budgets. */
export const GROUNDS = [
  { name: 'LMDB', start: onLmdb },
  { name: 'two relays and two notify servers on Redis', start: onRedis },
] as const
