import { expect, it } from 'vitest'
import type { Wallet } from '../../src/notify/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { readMetric } from '../support/metrics.ts'
import { newOwner } from '../support/owner.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice } from '../support/story.ts'

const WALLETS = 40
const ROUNDS = crowd(50, 6, 8)
/** What a wallet asks in one round: a change, whose answer goes through the outbox, and then so many pages at once. */
const PAGES = 4
const REQUESTS = WALLETS * ROUNDS * (1 + PAGES)
/** What one of two processes may do of the whole. */
const MOST = 0.65
const DOMAIN = 'division.example.com'

it(`two notify servers divide ${REQUESTS} requests, and each is answered once, to its asker`, {
  timeout: 600_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url, { env: { BELFRY_LOG_LEVEL: 'warn' } })
  const [home] = fleet.notifies
  if (!home) throw new Error('there are two')
  const app = await enrol(home.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const counted = (name: string, labels: Record<string, string>) =>
    Promise.all(fleet.notifies.map(({ url }) => readMetric(url, name, labels)))
  const carriedOut = (method: string, outcome: string) =>
    counted('belfry_notify_requests_total', { method, outcome })
  const answered = () => counted('belfry_notify_deliveries_total', { kind: 'response', outcome: 'sent' })

  const sum = (parts: number[]) => parts.reduce((all, part) => all + part, 0)

  const join = async (at: number): Promise<Wallet> => {
    const { wsUrl = '' } = fleet.relays[at % fleet.relays.length] ?? {}
    const wallet = newDevice({ url: home.url, wsUrl }, newOwner(), {
      receipts: false,
      requestTimeout: 60_000,
    })
    await wallet.subscribe(DOMAIN, [news])
    return wallet
  }
  const wallets = await Promise.all(Array.from({ length: WALLETS }, (_, at) => join(at)))
  // Counted a moment after the wallet has its answer.
  await eventually(async () => expect(sum(await answered())).toBe(WALLETS))
  const joined = await answered()

  const start = performance.now()
  await Promise.all(
    wallets.map(async (wallet) => {
      for (let round = 0; round < ROUNDS; round++) {
        const scope = round % 2 ? [news] : [news, alerts]
        const { scope: now } = await wallet.update(DOMAIN, scope)
        expect([...now].sort()).toEqual([...scope].sort())
        await Promise.all(Array.from({ length: PAGES }, () => wallet.history(DOMAIN, { limit: 1 })))
      }
    }),
  )
  const seconds = (performance.now() - start) / 1000

  const { done, answers } = await eventually(async () => {
    const updates = await carriedOut('wc_notifyUpdate', 'done')
    const pages = await carriedOut('wc_notifyGetNotifications', 'done')
    const all = updates.map((some, at) => some + (pages[at] ?? 0))
    const sent = (await answered()).map((some, at) => some - (joined[at] ?? 0))
    expect([sum(updates), sum(all), sum(sent)]).toEqual([WALLETS * ROUNDS, REQUESTS, WALLETS * ROUNDS])
    return { done: all, answers: sent }
  })
  const shares = (parts: number[]) => parts.map((part) => `${((part / sum(parts)) * 100).toFixed(1)} %`)
  console.log(
    `${(REQUESTS / seconds).toFixed(0)} requests/s; carried out: ${shares(done)}; delivered: ${shares(answers)}`,
  )
  expect(Math.max(...done)).toBeLessThanOrEqual(REQUESTS * MOST)
  await Promise.all(wallets.map((wallet) => wallet[Symbol.asyncDispose]()))
})
