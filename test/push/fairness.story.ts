/** Many devices at once: tokens that are gone, a provider that is down. A project with far more to push than others: `fairness.alone.ts`. */
import { describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import type { SendOutcome } from '../../src/push/providers/provider.ts'
import { forwardClock } from '../support/clock.ts'
import { engines } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { addAll, addition, device, startWorker } from '../support/push/bare-worker.ts'
import { crowd } from '../support/runs.ts'

const DEVICES = crowd(10_000, 2_000)
const HOUR = 3_600_000
/** Of a provider that is down, and how long at once the clock goes forward meanwhile. */
const HELD_UP = crowd(2_000, 200)
const STEP_MS = HOUR / crowd(60, 12)

describe.each(engines)('pushes on $name', (engine) => {
  it(`ends ${DEVICES} devices whose tokens are gone in one round`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const names = Array.from({ length: DEVICES }, (_, at) => `client-${at}`)
    await addAll(store, 'p', names)
    let sent = 0
    owned.use(
      startWorker(store, () => {
        sent += 1
        return { kind: 'gone', reason: 'Unregistered' }
      }),
    )
    await eventually(async () => expect(await store.countDevices('p', Date.now())).toBe(0), 300_000)
    expect(sent).toBe(DEVICES)
    await eventually(async () =>
      expect(await store.countWaiting({ projectId: 'p', provider: 'fcm' })).toBe(0),
    )
  }, 600_000)

  it(`a provider that is down for an hour holds up its ${HELD_UP} jobs, which then go out, and no others`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const clock = forwardClock()
    const names = Array.from({ length: HELD_UP }, (_, at) => `held-${at}`)
    await store.register('other', device('small', 'other'), { now: clock.now(), devices: 8 })
    await addAll(store, 'small', names, 'apns')
    let isDown = true
    const served = new Map<string, number>()
    let refusals = 0
    const answer = (_: string, token: string): SendOutcome => {
      if (isDown && token !== 'other') {
        refusals += 1
        return { kind: 'later', reason: 'HTTP 503', isDown: true }
      }
      served.set(token, (served.get(token) ?? 0) + 1)
      return { kind: 'accepted' }
    }
    owned.use(startWorker(store, answer, clock))
    await eventually(() => expect(refusals).toBeGreaterThan(0))
    let sent = 0
    for (let passed = 0; passed < HOUR; passed += STEP_MS) {
      clock.forward(STEP_MS)
      sent += 1
      await store.add([addition('other', 'small', `other-${sent}`)], { limit: 8, now: clock.now() })
      await eventually(() => expect(served.get('other')).toBe(sent))
    }
    expect(served.size).toBe(1)
    // Asked now and then, not once for each job.
    expect(refusals).toBeLessThan(HELD_UP)
    isDown = false
    const isOver = () => eventually(() => expect(served.size).toBe(HELD_UP + 1), 20_000)
    // An answer of before may be known only behind the leap: then the provider is left alone for a minute from there on.
    for (let leap = 0; leap < 10 && served.size <= HELD_UP; leap++) {
      clock.forward(STEP_MS)
      await isOver().catch(() => {})
    }
    await isOver()
    expect(Math.max(...names.map((one) => served.get(one) ?? 0))).toBe(1)
  }, 600_000)
})
