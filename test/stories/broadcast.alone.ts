/**
 * A broadcast to very many subscribers: answered at once, telling how far it is, in nobody's way, and cancelled half way.
 * The subscribers are put into the store while no server runs; one real wallet listens to an app of another project.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createDapp } from '../../src/notify/client/index.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startServerProcess } from '../support/process.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice } from '../support/story.ts'
import { fill, PLACES } from './crowd.ts'

const SUBSCRIBERS = crowd(100_000, 24_000)
/** How long the other project waits before it sends again, ms: more than 50 times until half way, at either size. */
const EVERY = crowd(200, 10, 20)
/** For how long it sends at most, ms. */
const LONGEST = 120_000
const BIG = 'big.example.com'
const SMALL = 'small.example.com'

describe.each(PLACES)('on %s', (_, open) => {
  it('a broadcast to very many is answered at once, is in nobody’s way, and is cancelled half way', {
    timeout: 240_000,
  }, async () => {
    await using place = await open()
    const { env, dataDir } = place
    const first = await startServerProcess(dataDir, { env })
    const big = await enrol(dataDir, BIG)
    const small = await enrol(dataDir, SMALL, { project: 'another' })
    await first.end('SIGTERM')
    const [news = ''] = big.types.map(({ id }) => id)
    {
      await using stores = await place.open()
      await fill(stores, env.BELFRY_SECRET, { domain: BIG, type: news, count: SUBSCRIBERS })
    }

    await using server = await startServerProcess(dataDir, { env })
    const dappOf = ({ projectId, secret: own }: typeof big) =>
      createDapp({ clock: systemClock, fetch }, { url: server.url, projectId, secret: own })
    const [crier, other] = [dappOf(big), dappOf(small)]
    const owner = newOwner()
    await using wallet = newDevice(server, owner)
    const arrived = new Map<string, number>()
    wallet.on('message', ({ notification }) => void arrived.set(notification.body, performance.now()))
    await wallet.subscribe(SMALL)

    const asked = performance.now()
    const notification = { type: news, title: 'To all', body: 'Hear, hear' }
    const { id } = await crier.broadcast(notification, { id: 'proclamation' })
    const answeredIn = performance.now() - asked

    const sent = new Map<string, number>()
    const steps: number[] = []
    const type = small.types[0]?.id ?? ''
    const begun = performance.now()
    for (let n = 0; performance.now() - begun < LONGEST; n++) {
      const body = `single ${n}`
      sent.set(body, performance.now())
      const [answer, { handed, total }] = await Promise.all([
        other.notify({ type, title: 'Single', body }, [owner.account]),
        crier.broadcastProgress(id),
      ])
      expect(answer.sent).toEqual([owner.account])
      if (total !== null) expect(total).toBe(SUBSCRIBERS)
      steps.push(handed)
      if (handed >= SUBSCRIBERS / 2) break
      await sleep(EVERY)
    }
    const took = performance.now() - begun
    const cancelled = await crier.cancelBroadcast(id)
    await eventually(() => expect(arrived.size).toBe(sent.size), 30_000)
    const lags = [...sent].map(([body, at]) => (arrived.get(body) ?? Number.POSITIVE_INFINITY) - at)
    lags.sort((a, b) => a - b)
    const quantile = (share: number) => lags[Math.min(lags.length - 1, Math.floor(lags.length * share))] ?? 0

    const end = await eventually(async () => {
      const progress = await crier.broadcastProgress(id)
      expect(progress).toMatchObject({
        status: 'cancelled',
        endedAt: expect.any(String),
        counts: { queued: 0 },
      })
      return progress
    }, 30_000)
    process.stdout.write(
      `broadcast: answered in ${answeredIn.toFixed(0)} ms; ${end.handed} handed over in ${took.toFixed(0)} ms; ` +
        `${lags.length} singles beside it p50 ${quantile(0.5).toFixed(0)} ms, p90 ${quantile(0.9).toFixed(0)} ms; ` +
        `${cancelled} taken back\n`,
    )
    expect(answeredIn).toBeLessThan(1_000)
    expect(steps.at(-1)).toBeGreaterThan(0)
    expect([...new Set(steps)].length).toBeGreaterThan(Math.min(3, steps.length - 1))
    // Half way: it was well under way, and nobody behind it had anything.
    expect(end.handed).toBeGreaterThanOrEqual(SUBSCRIBERS / 2)
    expect(end.handed).toBeLessThan(SUBSCRIBERS)
    // What was handed over has left or was taken back, and nothing follows.
    expect(end.counts.published + end.counts.failed).toBe(end.handed)
    // A page that was just being handed over is taken back by who handed it.
    expect(end.counts.failed).toBeGreaterThanOrEqual(cancelled)
    await sleep(1_000)
    expect(await crier.broadcastProgress(id)).toEqual(end)
    // A pause of the machine delays a few; a broadcast that is in the way delays nearly all.
    expect(lags.length).toBeGreaterThan(20)
    expect(quantile(0.9)).toBeLessThan(1_000)
  })
})
