/** Requests of wallets: 32 of them at once and one alone, each an update of a subscription that is answered. */
import { enrol } from '../../test/support/story.ts'
import { alternate, type Both, median, startBoth } from './engines.ts'
import { DOMAIN } from './notify.ts'
import { startCrypto } from './references/crypto.ts'
import { atRest, type BenchServer } from './server.ts'
import { type Crowd, type Subscriber, subscribeCrowd } from './subscribers.ts'
import { count, ms, percentile, type Row, sum } from './table.ts'

const ROUNDS = 5
const WALLETS = 32
/** Of each wallet in a round. */
const REQUESTS = 15

interface Side {
  server: BenchServer
  crowd: Crowd
  scopes: string[][]
}

const sideOf = async (server: BenchServer): Promise<Side> => {
  const app = await enrol(server.dataDir, DOMAIN)
  const crowd = await subscribeCrowd(server, app, { accounts: WALLETS, sockets: WALLETS })
  const ids = app.types.map(({ id }) => id)
  return { server, crowd, scopes: [ids.slice(0, 1), ids.slice(0, 2)] }
}

/** How long each request took, ms; every other one asks for two types of notifications. */
const requestsOf = async (subscriber: Subscriber, scopes: readonly string[][]): Promise<number[]> => {
  const took: number[] = []
  for (let time = 0; time < REQUESTS; time++) {
    const start = performance.now()
    await subscriber.update(scopes[time % scopes.length] ?? [])
    took.push(performance.now() - start)
  }
  return took
}

const allAtOnce = async ({ server, crowd, scopes }: Side) => {
  const before = await atRest(server)
  const start = performance.now()
  const took = await Promise.all(crowd.subscribers.map((one) => requestsOf(one, scopes)))
  const rate = (WALLETS * REQUESTS * 1000) / (performance.now() - start)
  return { rate, took: took.flat(), cpu: (await atRest(server)) - before }
}
type Round = Awaited<ReturnType<typeof allAtOnce>>

const alone = ({ crowd, scopes }: Side): Promise<number[]> => {
  const [one] = crowd.subscribers
  if (!one) throw new Error('there are some')
  return requestsOf(one, scopes)
}

const rateOf = (rounds: readonly Round[]): number => median(rounds.map(({ rate }) => rate))

const figure = (rounds: readonly Round[]): string => {
  const p50 = percentile(
    rounds.flatMap(({ took }) => took),
    0.5,
  )
  const cost = (sum(rounds.map(({ cpu }) => cpu)) * 1e6) / (rounds.length * WALLETS * REQUESTS)
  return `${count(rateOf(rounds))} /s, ${count(cost)} µs; p50 ${ms(p50)}`
}

const aloneRow = ({ embedded, redis }: Both<number[]>): Row => {
  const shown = (took: number[]) => `p50 ${ms(percentile(took, 0.5))}, p99 ${ms(percentile(took, 0.99))}`
  return {
    what: 'request: update a subscription, one wallet alone',
    figure: shown(embedded),
    onRedis: shown(redis),
    // Of times the reciprocal, so that more is better everywhere in the column.
    ratio: (median(embedded) / median(redis)).toFixed(2),
  }
}

export const benchRequests = async (): Promise<Row[]> => {
  await using servers = await startBoth()
  await using crypto = await startCrypto('requests')
  const sides = { embedded: await sideOf(servers.embedded), redis: await sideOf(servers.redis) }
  using _embedded = sides.embedded.crowd
  using _redis = sides.redis.crowd
  // What is compiled while it runs for the first time is not what anybody waits for later.
  await alternate(sides, 1, allAtOnce)
  const rounds = await alternate(sides, ROUNDS, async (side) => {
    await crypto.measure()
    return allAtOnce(side)
  })
  const took = await alternate(sides, ROUNDS, alone)
  const rates = { embedded: rateOf(rounds.embedded), redis: rateOf(rounds.redis) }
  return [
    {
      what: `request: update a subscription, ${WALLETS} wallets at once`,
      figure: figure(rounds.embedded),
      onRedis: figure(rounds.redis),
      ratio: (rates.redis / rates.embedded).toFixed(2),
      reference: crypto.compared(rates),
    },
    aloneRow({ embedded: took.embedded.flat(), redis: took.redis.flat() }),
  ]
}
