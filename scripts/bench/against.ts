/**
 * `npm run bench against <folder> [text]`: this checkout beside another one that is built (the last commit, say), on both
 * engines, turn and turn about in one run; only what has the text in its name, if there is one. Of each measurement: what
 * was done in a second, and how long the server computed for it, both as a ratio of which more is better. What else the
 * machine does disturbs the first far more than the second, so small changes are seen in the second only.
 *
 * Who begins a round begins right behind its own last one, and differs by that alone. So rounds count in pairs (ABBA), in
 * which each side has begun once.
 */
import type { Wallet } from '../../src/notify/client/index.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { inTurns, median, ofPairs, startBoth } from './engines.ts'
import { CALLS, DOMAIN, fanOut, subscribeWallets, type Town, WALLETS, withSockets } from './notify.ts'
import { measure } from './relay.ts'
import { atRest } from './server.ts'
import { count, type Row, sum } from './table.ts'

/** Even: each side begins as often as the other. */
const ROUNDS = 10
/** Of each wallet in a round. */
const REQUESTS = 8

/** The same measurement of this checkout and of the other. */
type Sides<T> = readonly [here: T, there: T]

/** A round of work: how much that was, and how much of it was done in a second. */
type Work = (town: Town, round: number) => Promise<{ units: number; rate: number }>

/** The median `here ÷ there` of what was done in a second, and `there ÷ here` of what it cost the server. */
const compared = async (towns: Sides<Town>, work: Work): Promise<string> => {
  const measured = async (town: Town, round: number) => {
    const before = await town.server.cpu()
    const done = await work(town, round)
    return { ...done, cpu: (await atRest(town.server)) - before }
  }
  // What is compiled while it runs for the first time is not what anybody waits for later. Who begins comes last.
  for (const town of [towns[1], towns[0]]) {
    await work(town, -1)
    await atRest(town.server)
  }
  const sides = await inTurns(towns, ROUNDS, measured)
  const [here, there] = sides.map((rounds) => ({
    rates: ofPairs(rounds.map(({ rate }) => rate)),
    // A round may be shorter than the kernel counts; all of them are not.
    cost: (sum(rounds.map(({ cpu }) => cpu)) * 1e6) / sum(rounds.map(({ units }) => units)),
  }))
  if (!here || !there) throw new Error('there are two sides')
  // Of pairs that follow each other: what the machine does besides changes more slowly.
  const ratios = here.rates.map((rate, pair) => rate / (there.rates[pair] ?? Number.NaN))
  const rates = `${median(ratios).toFixed(2)} (${count(median(here.rates))} against ${count(median(there.rates))} /s)`
  return `${rates}; CPU ${(there.cost / here.cost).toFixed(2)} (${count(here.cost)} against ${count(there.cost)} µs)`
}

/** Publishes of 1.2 kB, 64 at once, until they are delivered to so many; the unit is a delivery. */
const publish =
  (subscribers: number, messages: number): Work =>
  async (town) => {
    const { rate } = await measure(town.server.wsUrl, subscribers, messages, 64)
    return { units: subscribers * messages, rate }
  }

/** Requests of all wallets at once, a few of each after another. */
const requests =
  (request: (wallet: Wallet, town: Town, time: number) => Promise<unknown>): Work =>
  async (town) => {
    const some = async (wallet: Wallet) => {
      for (let time = 0; time < REQUESTS; time++) await request(wallet, town, time)
    }
    const start = performance.now()
    await Promise.all(town.wallets.map(some))
    const units = WALLETS * REQUESTS
    return { units, rate: (units * 1000) / (performance.now() - start) }
  }

const fanOutTo =
  (what: string): Work =>
  async (town, round) => ({ units: WALLETS * CALLS, rate: await fanOut(town, `${what} ${round}`) })

const MEASUREMENTS: [what: string, work: Work][] = [
  ['publish → deliver, 1 subscriber', publish(1, 2_000)],
  ['publish → deliver, 10 subscribers', publish(10, 1_000)],
  ['publish → deliver, 100 subscribers', publish(100, 200)],
  [`request: watch, ${WALLETS} wallets at once`, requests((wallet) => wallet.watch())],
  [
    `request: update a subscription, ${WALLETS} wallets at once`,
    requests((wallet, { app }, time) =>
      wallet.update(
        DOMAIN,
        app.types.slice(0, 1 + (time % 2)).map(({ id }) => id),
      ),
    ),
  ],
  ['fan-out, HTTP call to decrypted', fanOutTo('decrypted')],
]

export const benchAgainst = async (checkout: string, text = ''): Promise<Row[]> => {
  await using owned = createReleaseStack()
  const servers = [owned.use(await startBoth()), owned.use(await startBoth(checkout))] as const
  const engines: Sides<Town>[] = []
  for (const engine of ['embedded', 'redis'] as const) {
    engines.push([await subscribeWallets(servers[0][engine]), await subscribeWallets(servers[1][engine])])
  }
  const rows: Row[] = []
  const add = async (what: string, work: Work) => {
    if (!what.includes(text)) return
    const figures = []
    for (const towns of engines) figures.push(await compared(towns, work))
    const [figure = '', onRedis = ''] = figures
    rows.push({ what, figure, onRedis })
  }
  for (const [what, work] of MEASUREMENTS) await add(what, work)
  const peers = []
  for (const town of engines.flat()) peers.push(...(await withSockets(town)))
  await add('fan-out, HTTP call to socket', fanOutTo('socket'))
  for (const peer of peers) peer.close()
  return rows
}
