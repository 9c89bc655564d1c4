import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWorker, type Job, type JobOutcome } from '../../../src/platform/jobs/job-queue.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { eventually } from '../../support/eventually.ts'
import { lmdb, type TestStores } from '../../support/stores.ts'

const HOUR = 3_600_000
const job = (id: string, at = Date.now()): Job => ({
  queue: 'q',
  id,
  group: 'g',
  at,
  expiresAt: at + HOUR,
  attempts: 0,
  body: null,
})

describe('a worker', () => {
  let stores: TestStores
  beforeEach(async () => {
    stores = await lmdb.open()
  })
  afterEach(() => stores[Symbol.asyncDispose]())

  const start = (
    work: (job: Job, signal: AbortSignal) => Promise<JobOutcome>,
    options: { concurrency?: number; lease?: number; retryAfter?: number } = {},
  ) =>
    createWorker(
      { jobQueue: stores.jobQueue, clock: systemClock, log: silent, meter: unmeasured },
      { queue: 'q', concurrency: 3, lease: 10_000, retryAfter: 5, ...options, work },
    )
  const isEmpty = async () => expect(await stores.jobQueue.count('q', 'g')).toEqual({ waiting: 0, dead: 0 })

  it('does what was waiting and what comes, so many at a time', async () => {
    let atWork = 0
    let most = 0
    const done: string[] = []
    await stores.jobQueue.add(Array.from({ length: 20 }, (_, at) => job(`a${at}`)))
    await using _worker = start(async ({ id }) => {
      atWork += 1
      most = Math.max(most, atWork)
      await new Promise((resolve) => setImmediate(resolve))
      atWork -= 1
      done.push(id)
      return { id, kind: 'done' }
    })
    await eventually(() => expect(done).toHaveLength(20))
    await stores.jobQueue.add([job('b')])
    await eventually(() => expect(done).toContain('b'))
    expect(most).toBe(3)
    await eventually(isEmpty)
  })

  it('tries again what throws, with its attempts counted', async () => {
    const attempts: number[] = []
    await stores.jobQueue.add([job('a')])
    await using _worker = start(async (one) => {
      attempts.push(one.attempts)
      if (one.attempts < 2) throw new Error('not yet')
      return { id: one.id, kind: 'done' }
    })
    await eventually(() => expect(attempts).toEqual([0, 1, 2]))
    await eventually(isEmpty)
  })

  it('leaves a job whose time is up to whoever takes it next', async () => {
    const signals: AbortSignal[] = []
    await stores.jobQueue.add([job('a')])
    await using _worker = start(
      async ({ id }, signal) => {
        signals.push(signal)
        if (signals.length === 1) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          return { id, kind: 'failed', attempts: 1, failure: 'too late to count' }
        }
        return { id, kind: 'done' }
      },
      { lease: 50 },
    )
    await eventually(() => expect(signals).toHaveLength(2))
    await eventually(isEmpty)
  })

  it('waits for what it has begun before it ends, and tells it', async () => {
    let ended = false
    let begun = false
    await stores.jobQueue.add([job('a')])
    const worker = start(async ({ id }, signal) => {
      begun = true
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      ended = true
      return { id, kind: 'again', at: Date.now() + HOUR, attempts: 0, body: 'half' }
    })
    await eventually(() => expect(begun).toBe(true))
    await worker[Symbol.asyncDispose]()
    expect(ended).toBe(true)
    expect((await stores.jobQueue.job('q', 'a'))?.body).toBe('half')
  })
})
