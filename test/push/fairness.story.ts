/** Many devices at once: tokens that are gone, a provider that is down, a project with far more to push than others. */
import { describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import type { SendOutcome } from '../../src/push/providers/provider.ts'
import { forwardClock } from '../support/clock.ts'
import { engines } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { addition, device, startWorker } from '../support/push/bare-worker.ts'
import { crowd } from '../support/runs.ts'

const DEVICES = crowd(10_000, 2_000)
/** Of the project with most. */
const JOBS = crowd(1_000_000, 5_000, 100)
const HOUR = 3_600_000
/** Of a provider that is down, and how long at once the clock goes forward meanwhile. */
const HELD_UP = crowd(2_000, 200)
const STEP_MS = HOUR / crowd(60, 12)

const inParts = async <T>(all: readonly T[], work: (part: readonly T[]) => Promise<unknown>) => {
  for (let at = 0; at < all.length; at += 500) await work(all.slice(at, at + 500))
}

describe.each(engines)('pushes on $name', (engine) => {
  it(`ends ${DEVICES} devices whose tokens are gone in one round`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const names = Array.from({ length: DEVICES }, (_, at) => `client-${at}`)
    const limits = { now: Date.now(), devices: 8 }
    await inParts(names, (part) =>
      Promise.all(part.map((one) => store.register(one, device('p', one), limits))),
    )
    await inParts(names, (part) =>
      store.add(
        part.map((one) => addition(one, 'p', one)),
        { limit: 8, now: Date.now() },
      ),
    )
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

  it(`pushes of one project do not wait for the ${JOBS} that another has`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const limits = { now: Date.now(), devices: 8 }
    const crowdOf = Array.from({ length: JOBS }, (_, at) => `big-${at}`)
    await inParts(crowdOf, (part) =>
      Promise.all(part.map((one) => store.register(one, device('big', one), limits))),
    )
    await inParts(crowdOf, (part) =>
      store.add(
        part.map((one) => addition(one, 'big', one)),
        { limit: 8, now: Date.now() },
      ),
    )
    const few = Array.from({ length: 100 }, (_, at) => `small-${at}`)
    await Promise.all(few.map((one) => store.register(one, device('small', one), limits)))
    /** Of the big one, those that were sent; of the others, how many of the big one were before them. */
    let sent = 0
    const sentBefore = new Map<string, number>()
    let free = () => {}
    const isOver = new Promise<void>((resolve) => (free = resolve))
    owned.defer(() => free())
    owned.use(
      startWorker(store, async (project, token) => {
        // The big one has work all the while.
        if (project === 'big' && sent++ > JOBS - 500) await isOver
        if (project === 'small') sentBefore.set(token, sent)
        return { kind: 'accepted' }
      }),
    )
    const waited: number[] = []
    for (const one of few) {
      const from = sent
      await store.add([addition(one, 'small', one)], { limit: 8, now: Date.now() })
      await eventually(() => expect(sentBefore.has(one)).toBe(true))
      waited.push((sentBefore.get(one) ?? 0) - from)
    }
    expect(await store.countWaiting({ projectId: 'big', provider: 'fcm' })).toBeGreaterThan(0)
    waited.sort((a, b) => a - b)
    // The first of them would wait for all.
    expect(waited.at(-1)).toBeLessThan(JOBS / 4)
    free()
  }, 3_600_000)

  it(`a provider that is down for an hour holds up its ${HELD_UP} jobs, which then go out, and no others`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    const clock = forwardClock()
    const bounds = () => ({ limit: 8, now: clock.now() })
    const names = Array.from({ length: HELD_UP }, (_, at) => `held-${at}`)
    const limits = { now: clock.now(), devices: 8 }
    await store.register('other', device('small', 'other'), limits)
    await inParts(names, (part) =>
      Promise.all(part.map((one) => store.register(one, device('small', one, 'apns'), limits))),
    )
    await inParts(names, (part) =>
      store.add(
        part.map((one) => addition(one, 'small', one, 'apns')),
        bounds(),
      ),
    )
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
      await store.add([addition('other', 'small', `other-${sent}`)], bounds())
      await eventually(() => expect(served.get('other')).toBe(sent))
    }
    expect(served.size).toBe(1)
    // Asked now and then, not once for each job.
    expect(refusals).toBeLessThan(HELD_UP)
    isDown = false
    clock.forward(STEP_MS)
    await eventually(() => expect(served.size).toBe(HELD_UP + 1), 120_000)
    expect(Math.max(...names.map((one) => served.get(one) ?? 0))).toBe(1)
  }, 600_000)
})
