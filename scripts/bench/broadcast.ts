/**
 * A broadcast to a crowd on 100 sockets: how soon it is accepted, how many reach the sockets in a second, what each costs
 * the server, and how long another project's single notification takes meanwhile.
 */
import { randomUUID } from 'node:crypto'
import { type EnrolledApp, enrol, postNotification } from '../../test/support/story.ts'
import { alternate, type Both, median, startBoth } from './engines.ts'
import { DOMAIN } from './notify.ts'
import { startCrypto } from './references/crypto.ts'
import { atRest, type BenchServer } from './server.ts'
import { SUBSCRIBERS } from './sizes.ts'
import { type Crowd, subscribeCrowd } from './subscribers.ts'
import { bytes, count, ms, percentile, type Row, sum } from './table.ts'

const ROUNDS = 5
const SOCKETS = 100

export interface Audience extends Disposable {
  server: BenchServer
  app: EnrolledApp
  crowd: Crowd
}

export const gather = async (server: BenchServer, domain: string, accounts: number): Promise<Audience> => {
  const app = await enrol(server.dataDir, domain)
  const crowd = await subscribeCrowd(server, app, { accounts, sockets: Math.min(SOCKETS, accounts) })
  await atRest(server)
  return { server, app, crowd, [Symbol.dispose]: () => crowd[Symbol.dispose]() }
}

const postBroadcast = async ({ server, app }: Audience): Promise<void> => {
  const response = await fetch(`${server.url}/v1/${app.projectId}/broadcasts`, {
    method: 'POST',
    headers: { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      appDomain: app.domain,
      notification_id: randomUUID(),
      notification: { type: app.types[0]?.id, title: 'Hello', body: 'x'.repeat(200) },
    }),
  })
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
}

/** Resolves when so many notifications have arrived. */
const arrivals = (crowd: Crowd, expected: number): Promise<void> =>
  new Promise((resolve) => {
    let left = expected
    crowd.onNotification = () => {
      if (--left === 0) resolve()
    }
  })

/** Ms until it was accepted, and notifications that arrived in a second from the call on. */
export const broadcast = async (audience: Audience): Promise<{ accepted: number; rate: number }> => {
  const size = audience.crowd.subscribers.length
  const all = arrivals(audience.crowd, size)
  const start = performance.now()
  await postBroadcast(audience)
  const accepted = performance.now() - start
  await all
  return { accepted, rate: (size * 1000) / (performance.now() - start) }
}

const measured = async (audience: Audience) => {
  const before = await atRest(audience.server)
  const done = await broadcast(audience)
  return { ...done, cpu: (await atRest(audience.server)) - before }
}
type Round = Awaited<ReturnType<typeof measured>>

/** How long single notifications of another project took from call to socket while a broadcast was under way, ms. */
const singles = async ({ mass, single }: { mass: Audience; single: Audience }): Promise<number[]> => {
  let isOver = false
  const ended = broadcast(mass).then(() => {
    isOver = true
  })
  const accounts = single.crowd.subscribers.map(({ account }) => account)
  const took: number[] = []
  while (!isOver) {
    const arrived = arrivals(single.crowd, 1)
    const start = performance.now()
    await postNotification(single.server, single.app, { id: randomUUID(), body: 'x'.repeat(200), accounts })
    await arrived
    took.push(performance.now() - start)
  }
  await ended
  await atRest(mass.server)
  return took
}

const rateOf = (rounds: readonly Round[]): number => median(rounds.map(({ rate }) => rate))

const figure = (rounds: readonly Round[], memory: number): string => {
  const cost = (sum(rounds.map(({ cpu }) => cpu)) * 1e6) / (rounds.length * SUBSCRIBERS)
  const accepted = median(rounds.map((round) => round.accepted))
  return `${count(rateOf(rounds))} /s, ${count(cost)} µs; accepted in ${ms(accepted)}; RSS ${bytes(memory)}`
}

const singlesRow = ({ embedded, redis }: Both<number[]>): Row => {
  const shown = (took: number[]) =>
    `p50 ${ms(percentile(took, 0.5))}, p99 ${ms(percentile(took, 0.99))} (${count(took.length)} of them)`
  return {
    what: "another project's single notification during a broadcast",
    figure: shown(embedded),
    onRedis: shown(redis),
    // Of times the reciprocal, so that more is better everywhere in the column.
    ratio: (percentile(embedded, 0.99) / percentile(redis, 0.99)).toFixed(2),
  }
}

export const benchBroadcast = async (): Promise<Row[]> => {
  await using servers = await startBoth()
  await using crypto = await startCrypto('notifications')
  const gatherBoth = async (server: BenchServer) => ({
    mass: await gather(server, DOMAIN, SUBSCRIBERS),
    single: await gather(server, `single.${DOMAIN}`, 1),
  })
  const sides = { embedded: await gatherBoth(servers.embedded), redis: await gatherBoth(servers.redis) }
  using _embedded = sides.embedded.mass
  using _redis = sides.redis.mass
  using _singleEmbedded = sides.embedded.single
  using _singleRedis = sides.redis.single
  // What is compiled while it runs for the first time is not what anybody waits for later.
  await alternate(sides, 1, ({ mass }) => measured(mass))
  const rounds = await alternate(sides, ROUNDS, async ({ mass }) => {
    await crypto.measure()
    return measured(mass)
  })
  const memory = { embedded: await servers.embedded.memory(), redis: await servers.redis.memory() }
  const rates = { embedded: rateOf(rounds.embedded), redis: rateOf(rounds.redis) }
  const took = await alternate(sides, ROUNDS, singles)
  return [
    {
      what: `broadcast to ${count(SUBSCRIBERS)} on ${SOCKETS} sockets, HTTP call to last socket`,
      figure: figure(rounds.embedded, memory.embedded),
      onRedis: figure(rounds.redis, memory.redis),
      ratio: (rates.redis / rates.embedded).toFixed(2),
      reference: crypto.compared(rates),
    },
    singlesRow({ embedded: took.embedded.flat(), redis: took.redis.flat() }),
  ]
}
