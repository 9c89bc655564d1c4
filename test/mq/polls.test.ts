import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPolls, type Polls } from '../../src/mq/polls.ts'
import type { QueueName } from '../../src/mq/store.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { manualClock } from '../support/clock.ts'

const queue: QueueName = { domain: 'default', hashDID: 'reader' }
const other: QueueName = { domain: 'default', hashDID: 'other' }

let dir: string
let stores: Stores
let clock: ReturnType<typeof manualClock>
let polls: Polls
let left: AbortController
let puts = 0
/** Something is put there. */
const tell = async (name: QueueName) => {
  puts += 1
  const message = { id: `m${puts}`, message: 'x', expiresAt: clock.now() + 1_000 }
  await stores.mq.put(name, message, { now: clock.now(), most: 100 })
}
const start = (catchUpEveryMs?: number) => {
  polls = createPolls({ store: stores.mq, clock, meter: unmeasured }, { catchUpEveryMs })
}
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'belfry-polls-'))
  stores = await openLmdb({ path: dir })
  clock = manualClock()
  left = new AbortController()
  start()
})
afterEach(async () => {
  polls[Symbol.dispose]()
  await stores[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

/** Somebody who waits; `there` is what they will find. */
const waiter = (name = queue, timeoutMs = 10_000) => {
  const state: { looks: number; there: string | undefined; found: string | undefined; isOver: boolean } = {
    looks: 0,
    there: undefined,
    found: undefined,
    isOver: false,
  }
  const look = async () => {
    state.looks += 1
    return state.there
  }
  void polls.wait(name, look, { timeoutMs, signal: left.signal }).then((found) => {
    state.found = found
    state.isOver = true
  })
  return state
}

describe('a poll', () => {
  it('looks once, and then only when something was put into its queue', async () => {
    const one = waiter()
    await clock.advance(5_000)
    await tell(other)
    await clock.advance(1_000)
    expect(one).toMatchObject({ looks: 1, isOver: false })
    one.there = 'message'
    await tell(queue)
    await clock.advance(0)
    expect(one).toMatchObject({ looks: 2, isOver: true, found: 'message' })
  })

  it('wakes all who wait for the queue; who finds nothing waits on, until its patience is over', async () => {
    const [one, two] = [waiter(), waiter()]
    await clock.advance(100)
    one.there = 'only one'
    await tell(queue)
    await clock.advance(0)
    expect(one).toMatchObject({ isOver: true, found: 'only one' })
    expect(two).toMatchObject({ looks: 2, isOver: false })
    await clock.advance(9_899)
    expect(two.isOver).toBe(false)
    await clock.advance(1)
    expect(two).toMatchObject({ isOver: true, found: undefined })
  })

  it('does not miss what is put while it looks', async () => {
    let answer: (found: string | undefined) => void = () => {}
    let looks = 0
    const waiting = polls.wait(
      queue,
      () => {
        looks += 1
        if (looks > 1) return Promise.resolve('second look')
        return new Promise<string | undefined>((resolve) => {
          answer = resolve
        })
      },
      { timeoutMs: 1_000, signal: left.signal },
    )
    await tell(queue)
    answer(undefined)
    expect(await waiting).toBe('second look')
  })

  it('looks now and then where word may get lost', async () => {
    polls[Symbol.dispose]()
    start(2_000)
    const one = waiter()
    await clock.advance(0)
    await clock.advance(6_000)
    expect(one.looks).toBe(4)
    one.there = 'found all the same'
    await clock.advance(2_000)
    expect(one.found).toBe('found all the same')
  })

  it('ends when nobody waits any more, without another look', async () => {
    const one = waiter()
    await clock.advance(10)
    one.there = 'for nobody'
    left.abort()
    await tell(queue)
    await clock.advance(0)
    expect(one).toMatchObject({ looks: 1, isOver: true, found: undefined })
    expect(waiter()).toMatchObject({ looks: 0 })
  })

  it('ends at a stop, and those that come later after one look', async () => {
    const one = waiter()
    await clock.advance(10)
    polls.stop()
    await clock.advance(0)
    expect(one).toMatchObject({ looks: 1, isOver: true })
    const late = waiter()
    await clock.advance(0)
    expect(late).toMatchObject({ looks: 1, isOver: true })
  })

  it('passes on what goes wrong, and is over then', async () => {
    const failing = polls.wait(queue, () => Promise.reject(new Error('no store')), {
      timeoutMs: 1_000,
      signal: left.signal,
    })
    await expect(failing).rejects.toThrow('no store')
  })
})
