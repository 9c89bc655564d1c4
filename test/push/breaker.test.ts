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

/** A worker whose provider of Apple is down until `isDown` is false, and another project, for which the worker goes on. */
const start = async (engine: (typeof engines)[number], refusal: { reason: string; afterMs?: number }) => {
  const owned = createReleaseStack()
  const { push: store } = owned.use(await engine.open())
  const clock = stillClock()
  const state = { isDown: true, refusals: 0, done: 0, others: 0 }
  const served: string[] = []
  const answer = (_: string, token: string) => {
    if (state.isDown && token !== 'other') {
      state.refusals += 1
      return { kind: 'later' as const, isDown: true, ...refusal }
    }
    served.push(token)
    return { kind: 'accepted' as const }
  }
  const limits = () => ({ now: clock.now(), devices: 8 })
  const bounds = () => ({ limit: 8, now: clock.now() })
  await store.register('other', device('big', 'other'), limits())
  owned.use(startWorker(store, answer, clock, () => (state.done += 1)))
  const ofOther = () => served.filter((token) => token === 'other')
  return {
    state,
    clock,
    served: () => served.filter((token) => token !== 'other').sort(),
    async add(names: readonly string[]) {
      for (const one of names) await store.register(one, device('small', one, 'apns'), limits())
      const additions = names.map((one) => ({ ...addition(one, 'small', one, 'apns'), at: clock.now() }))
      await store.add(additions, bounds())
    },
    /** The provider refused so often, and the worker knows. */
    refused: (times: number) =>
      eventually(() => expect([state.refusals, state.done - state.others]).toEqual([times, times])),
    async serveOther() {
      state.others += 1
      await store.add([{ ...addition('other', 'big', `other-${state.others}`), at: clock.now() }], bounds())
      await eventually(() => expect(ofOther()).toHaveLength(state.others))
      await eventually(() => expect(state.done).toBe(state.refusals + state.others))
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

it.each(engines)('a provider that is down is left alone for pauses that double, on $name', async (engine) => {
  await using down = await start(engine, { reason: 'HTTP 503' })
  const { state, clock } = down
  const first = Array.from({ length: FAILURES }, (_, at) => `first-${at}`)
  const rest = Array.from({ length: WAITING }, (_, at) => `rest-${at}`)
  await down.add(first)
  await down.refused(FAILURES)
  await down.add(rest)
  await down.serveOther()
  expect(state.refusals).toBe(FAILURES)
  for (let [probes, pauseMs] = [1, 1_000]; probes <= 4; probes += 1, pauseMs *= 2) {
    clock.forward(pauseMs)
    await down.refused(FAILURES + probes)
    await down.serveOther()
    expect(state.refusals).toBe(FAILURES + probes)
  }

  state.isDown = false
  clock.forward(HOUR)
  const all = [...first, ...rest].sort()
  await eventually(() => expect(down.served()).toEqual(all))
})

it.each(engines)('a provider that names a time is asked by nobody before it, on $name', async (engine) => {
  const afterMs = 30_000
  await using down = await start(engine, { reason: 'HTTP 429', afterMs })
  const { state, clock } = down
  await down.add(['first'])
  await down.refused(1)
  state.isDown = false
  await down.add(['second'])
  await down.serveOther()
  clock.forward(afterMs - 1)
  await down.serveOther()
  expect(down.served()).toEqual([])
  clock.forward(1)
  await eventually(() => expect(down.served()).toEqual(['first', 'second']))
})
