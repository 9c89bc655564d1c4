/** A provider that is down is asked by one push at a time, after pauses that double; no other waits for it. */
import { expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { engines } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { addition, device, startWorker } from '../support/push/bare-worker.ts'

/** Failures in a row before the first pause. */
const FAILURES = 5
const WAITING = 20
const HOUR = 3_600_000

/** Time stands still until the test sets it forward; what only polls goes on. */
const stillClock = (): Clock & { forward(ms: number): void } => {
  let now = Date.now()
  return {
    now: () => now,
    after: systemClock.after,
    forward(ms) {
      now += ms
    },
  }
}

it.each(engines)('a provider that is down is left alone for pauses that double, on $name', async (engine) => {
  await using owned = createReleaseStack()
  const { push: store } = owned.use(await engine.open())
  const clock = stillClock()
  const limits = () => ({ now: clock.now(), devices: 8 })
  let isDown = true
  let refusals = 0
  let done = 0
  const served: string[] = []
  const answer = (_: string, token: string) => {
    if (isDown && token !== 'other') {
      refusals += 1
      return { kind: 'later' as const, reason: 'HTTP 503', isDown: true }
    }
    served.push(token)
    return { kind: 'accepted' as const }
  }
  const add = async (names: readonly string[]) => {
    for (const one of names) await store.register(one, device('small', one, 'apns'), limits())
    await store.add(
      names.map((one) => ({ ...addition(one, 'small', one, 'apns'), at: clock.now() })),
      { limit: 8, now: clock.now() },
    )
  }
  await store.register('other', device('big', 'other'), limits())
  let others = 0
  /** The worker goes on meanwhile. */
  const serveOther = async () => {
    others += 1
    const one = { ...addition('other', 'big', `other-${others}`), at: clock.now() }
    await store.add([one], { limit: 8, now: clock.now() })
    await eventually(() => expect(served.filter((token) => token === 'other')).toHaveLength(others))
    await eventually(() => expect(done).toBe(refusals + others))
  }

  const first = Array.from({ length: FAILURES }, (_, at) => `first-${at}`)
  const rest = Array.from({ length: WAITING }, (_, at) => `rest-${at}`)
  await add(first)
  owned.use(startWorker(store, answer, clock, () => (done += 1)))
  const refused = (times: number) =>
    eventually(() => expect([refusals, done - others]).toEqual([times, times]))
  await refused(FAILURES)
  await add(rest)
  await serveOther()
  expect(refusals).toBe(FAILURES)
  for (let [probes, pauseMs] = [1, 1_000]; probes <= 4; probes += 1, pauseMs *= 2) {
    clock.forward(pauseMs)
    await refused(FAILURES + probes)
    await serveOther()
    expect(refusals).toBe(FAILURES + probes)
  }

  isDown = false
  clock.forward(HOUR)
  const all = [...first, ...rest].sort()
  await eventually(() => expect(served.filter((token) => token !== 'other').sort()).toEqual(all))
})
