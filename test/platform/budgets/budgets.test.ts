import { describe, expect, it } from 'vitest'
import { createBudgets, NO_BUDGETS } from '../../../src/platform/budgets/budgets.ts'
import { createShares } from '../../../src/platform/budgets/shares.ts'
import { createStateBudget } from '../../../src/platform/budgets/state-budget.ts'
import { createBuckets } from '../../../src/platform/budgets/token-buckets.ts'
import type { PressureLevel } from '../../../src/platform/budgets/watermark.ts'
import { createWorkBudget } from '../../../src/platform/budgets/work-budget.ts'
import { expectCode } from '../../protocol/throws.ts'
import { manualClock } from '../../support/clock.ts'

const DAY_MS = 86_400_000

describe('work', () => {
  it('is refused when nothing is left, charges nothing then, and is there again with time', () => {
    const clock = manualClock()
    const work = createWorkBudget({ clock }, { burst: 100, seconds: 10 })
    work.charge('a', 100)
    expectCode(() => work.charge('a', 1), 'rate_limited')
    work.charge('b', 100)
    clock.advance(1_000)
    work.charge('a', 10)
    expectCode(() => work.charge('a', 1), 'rate_limited')
  })

  it('may be spent beyond what is left, which says for how long to stop reading', () => {
    const clock = manualClock()
    const work = createWorkBudget({ clock }, { burst: 100, seconds: 10 })
    expect(work.spend('a', 100)).toBe(0)
    expect(work.spend('a', 20)).toBe(2_000)
    clock.advance(2_000)
    expect(work.spend('a', 0)).toBe(0)
    expect(work.spend('a', 1_000_000)).toBeLessThanOrEqual(10_000)
  })
})

describe('state', () => {
  const stateOf = (bytes: number, pressure: () => PressureLevel = () => 'ok') => {
    const clock = manualClock()
    const buckets = createBuckets(clock)
    return { clock, state: createStateBudget({ buckets, clock, pressure }, { bytes }) }
  }

  it('holds so many bytes for thirty days, and as much again over thirty days', async () => {
    const { clock, state } = stateOf(1_000_000)
    const fill = async () => {
      let written = 0
      while (await state.charge('a', 10_000 - 256, 30 * DAY_MS)) written += 10_000
      return written
    }
    expect(await fill()).toBe(1_000_000)
    expect(await state.charge('b', 10_000, 30 * DAY_MS)).toBe(true)
    clock.advance(15 * DAY_MS)
    expect(await fill()).toBe(500_000)
  })

  it.each([
    ['a second', 1_000, 15 * 60],
    ['five minutes', 300_000, 15 * 60],
    ['an hour', 3_600_000, 86_400],
    ['six hours', 6 * 3_600_000, 86_400],
    ['a week', 7 * DAY_MS, 30 * 86_400],
  ])('bounds the bytes as such of what lives for %s', async (_, lifeMs, termS) => {
    const { clock, state } = stateOf(1_000_000)
    const held: number[] = []
    const fill = async () => {
      let written = 0
      while (await state.charge('a', 10_000 - 256, lifeMs)) {
        written += 10_000
        held.push(clock.now() + lifeMs)
      }
      return written
    }
    const least = (termS * 1000) / 4
    const most = Math.floor((4_000_000 * Math.min(1, least / lifeMs)) / 10_000) * 10_000
    expect(await fill()).toBe(most)
    expect(await state.charge('b', 10_000, lifeMs)).toBe(true)
    // It goes on for as long as its term, at full speed.
    for (let step = 0; step < 20; step++) {
      clock.advance((termS * 1000) / 20)
      await fill()
      expect(held.filter((until) => until > clock.now()).length * 10_000).toBeLessThanOrEqual(5_000_000)
    }
  })

  it('takes a batch of hundreds that comes at once', async () => {
    const { state } = stateOf(1_000_000)
    const batch = Array.from({ length: 1_000 }, () => state.charge('a', 100, 300_000))
    expect((await Promise.all(batch)).filter((isPaid) => isPaid)).toHaveLength(1_000)
  })

  it('is free for the house itself, and closed for strangers while the store is full', async () => {
    let level: PressureLevel = 'ok'
    const { state } = stateOf(1_000, () => level)
    expect(await state.charge('', 1_000_000, 30 * DAY_MS)).toBe(true)
    level = 'full'
    expect(await state.charge('', 1, 1_000)).toBe(true)
    expect(await state.charge('a', 1, 1_000)).toBe(false)
    expect([state.isClosed(''), state.isClosed('a')]).toEqual([false, true])
    await expect(state.demand('a', 1, 1_000)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is a little that ends within minutes while the store is nearly full', async () => {
    const { clock, state } = stateOf(1_000_000_000, () => 'high')
    const fill = async () => {
      let requests = 0
      while (await state.charge('a', 2_000, 300_000)) requests += 1
      return requests
    }
    expect(await state.charge('a', 1, 300_001)).toBe(false)
    const first = await fill()
    expect(first).toBeGreaterThan(100)
    expect(first * 2_000).toBeLessThan(256 * 1024)
    await expect(state.demand('a', 2_000, 300_000)).rejects.toMatchObject({ code: 'store_full' })
    expect(await state.charge('b', 2_000, 300_000)).toBe(true)
    await clock.advance(300_000)
    expect(await fill()).toBe(first)
  })

  it('says when to come again', async () => {
    const { state } = stateOf(1_000)
    await expect(state.demand('a', 1_000_000, 30 * DAY_MS)).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfter: expect.any(Number),
    })
  })
})

describe('shares', () => {
  it('bound what one owner holds and what all hold, and come back', () => {
    const shares = createShares({ each: 2, all: 3 })
    expect([shares.take('a'), shares.take('a'), shares.take('a')]).toEqual([true, true, false])
    expect([shares.take('b'), shares.take('b')]).toEqual([true, false])
    expect(shares.left('a')).toBe(0)
    shares.give('a', 2)
    expect(shares.left('b')).toBe(1)
    expect(shares.held).toBe(1)
    expect(() => shares.give('a')).toThrow(RangeError)
  })
})

it('without budgets nothing is counted', async () => {
  const clock = manualClock()
  const budgets = createBudgets({ buckets: createBuckets(clock), clock }, NO_BUDGETS)
  budgets.work.charge('a', 1e9)
  expect(budgets.work.spend('a', 1e9)).toBe(0)
  expect(await budgets.state.charge('a', 1e12, 1e12)).toBe(true)
  expect(budgets.connections.take('a', 1_000_000)).toBe(true)
})
