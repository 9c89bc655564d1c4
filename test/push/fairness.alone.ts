/** A project with far more to push than others: how long the others wait. */
import { describe, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { engines } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { addAll, addition, device, startWorker } from '../support/push/bare-worker.ts'
import { crowd } from '../support/runs.ts'

const JOBS = crowd(1_000_000, 5_000, 100)
/** The last of the crowd are taken only when the others are through: it has work all the while. */
const HELD = 500

describe.each(engines)('pushes on $name', (engine) => {
  it(`of one project wait under a second while another has ${JOBS}`, async () => {
    await using owned = createReleaseStack()
    const { push: store } = owned.use(await engine.open())
    await addAll(
      store,
      'big',
      Array.from({ length: JOBS }, (_, at) => `big-${at}`),
    )
    const few = Array.from({ length: 100 }, (_, at) => `small-${at}`)
    const limits = { now: Date.now(), devices: 8 }
    await Promise.all(few.map((one) => store.register(one, device('small', one), limits)))

    let sentOfBig = 0
    const sentOfSmall = new Map<string, { at: number; afterBig: number }>()
    let release = () => {}
    const isOver = new Promise<void>((resolve) => (release = resolve))
    owned.use(
      startWorker(store, async (project, token) => {
        if (project === 'big' && ++sentOfBig > JOBS - HELD) await isOver
        if (project === 'small') sentOfSmall.set(token, { at: Date.now(), afterBig: sentOfBig })
        return { kind: 'accepted' }
      }),
    )
    owned.defer(() => release())
    const waits: number[] = []
    const overtakers: number[] = []
    for (const one of few) {
      const from = { at: Date.now(), afterBig: sentOfBig }
      await store.add([addition(one, 'small', one)], { limit: 8, now: from.at })
      const sent = await eventually(() => {
        const known = sentOfSmall.get(one)
        if (!known) throw new Error('not yet sent')
        return known
      })
      waits.push(sent.at - from.at)
      overtakers.push(sent.afterBig - from.afterBig)
    }
    expect(await store.countWaiting({ projectId: 'big', provider: 'fcm' })).toBeGreaterThan(0)
    const byLength = (one: number, other: number) => one - other
    expect(waits.sort(byLength)[98]).toBeLessThan(1_000)
    // In order of arrival the first of them would wait for all.
    expect(overtakers.sort(byLength)[99]).toBeLessThan(JOBS / 10)
  }, 3_600_000)
})
