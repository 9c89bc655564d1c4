import { expect, it } from 'vitest'
import type { Wallet } from '../../src/notify/client.ts'
import { startFleet } from '../support/fleet.ts'
import { readMetric } from '../support/metrics.ts'
import { newOwner } from '../support/owner.ts'
import { startRedis } from '../support/redis.ts'
import { enrolByCommandLine, newDevice } from './town.ts'

const WALLETS = 40
const EACH = 25
const REQUESTS = WALLETS * EACH
/** What one of two processes may do of the whole. */
const MOST = 0.65
const DOMAIN = 'division.example.com'

it(`two notify servers divide ${REQUESTS} requests, and each is answered once, to its asker`, {
  timeout: 300_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url, { env: { BELFRY_LOG_LEVEL: 'warn' } })
  const [home] = fleet.notifies
  if (!home) throw new Error('there are two')
  const app = await enrolByCommandLine(home.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const counted = (name: string, labels: Record<string, string>) =>
    Promise.all(fleet.notifies.map(({ url }) => readMetric(url, name, labels)))
  const carriedOut = (outcome: string) =>
    counted('belfry_notify_requests_total', { method: 'wc_notifyUpdate', outcome })
  const answered = () => counted('belfry_notify_deliveries_total', { kind: 'response', outcome: 'sent' })

  const join = async (at: number): Promise<Wallet> => {
    const { wsUrl = '' } = fleet.relays[at % fleet.relays.length] ?? {}
    const wallet = newDevice({ url: home.url, wsUrl }, newOwner(), { receipts: false })
    await wallet.subscribe(DOMAIN, [news])
    return wallet
  }
  const wallets = await Promise.all(Array.from({ length: WALLETS }, (_, at) => join(at)))
  const answeredBefore = await answered()

  const start = performance.now()
  await Promise.all(
    wallets.map(async (wallet) => {
      for (let round = 0; round < EACH; round++) {
        const scope = round % 2 ? [news] : [news, alerts]
        const { scope: now } = await wallet.update(DOMAIN, scope)
        expect([...now].sort()).toEqual([...scope].sort())
      }
    }),
  )
  const seconds = (performance.now() - start) / 1000

  const done = await carriedOut('done')
  const answers = (await answered()).map((all, at) => all - (answeredBefore[at] ?? 0))
  const sum = (parts: number[]) => parts.reduce((all, part) => all + part, 0)
  const share = (parts: number[]) => parts.map((part) => `${((part / sum(parts)) * 100).toFixed(1)} %`)
  console.log(
    `${(REQUESTS / seconds).toFixed(0)} requests/s; carried out ${share(done)}, answered ${share(answers)}`,
  )
  expect(sum(done)).toBe(REQUESTS)
  expect(sum(await carriedOut('redeliver'))).toBe(0)
  expect(sum(answers)).toBe(REQUESTS)
  expect(Math.max(...done)).toBeLessThanOrEqual(REQUESTS * MOST)
  await Promise.all(wallets.map((wallet) => wallet[Symbol.asyncDispose]()))
})
