import { describe, expect, it } from 'vitest'
import { isWanted, quietUntil, rankOf } from '../../src/push/policy.ts'

const at = (text: string) => Date.parse(text)
const night = (timeZone: string) => ({ from: 22 * 60, to: 7 * 60, timeZone })

describe('quiet hours', () => {
  it.each([
    ['before them', '2026-01-10T21:59:59Z', undefined],
    ['at their beginning', '2026-01-10T22:00:00Z', '2026-01-11T07:00:00Z'],
    ['before midnight', '2026-01-10T23:30:15Z', '2026-01-11T07:00:00Z'],
    ['after midnight', '2026-01-11T00:10:00Z', '2026-01-11T07:00:00Z'],
    ['in their last minute', '2026-01-11T06:59:59Z', '2026-01-11T07:00:00Z'],
    ['at their end', '2026-01-11T07:00:00Z', undefined],
  ])('over midnight, %s', (_, now, end) => {
    const until = quietUntil(night('UTC'), at(now))
    expect(until && new Date(until).toISOString()).toBe(end && new Date(end).toISOString())
  })

  it('are those of the time zone, with its summer time', () => {
    expect(quietUntil(night('Europe/Vienna'), at('2026-01-10T21:30:00Z'))).toBe(at('2026-01-11T06:00:00Z'))
    expect(quietUntil(night('Europe/Vienna'), at('2026-07-10T20:30:00Z'))).toBe(at('2026-07-11T05:00:00Z'))
    expect(quietUntil(night('Asia/Kolkata'), at('2026-01-10T12:00:00Z'))).toBeUndefined()
    expect(quietUntil(night('Asia/Kolkata'), at('2026-01-10T16:30:00Z'))).toBe(at('2026-01-11T01:30:00Z'))
  })

  it('within a day', () => {
    const noon = { from: 12 * 60, to: 13 * 60, timeZone: 'UTC' }
    expect(quietUntil(noon, at('2026-01-10T12:30:00Z'))).toBe(at('2026-01-10T13:00:00Z'))
    expect(quietUntil(noon, at('2026-01-10T13:30:00Z'))).toBeUndefined()
    expect(quietUntil({ ...noon, to: noon.from }, at('2026-01-10T12:00:00Z'))).toBeUndefined()
  })
})

describe('what wakes', () => {
  it.each([
    ['a session request', 1108, undefined, 3],
    ['a notification', 4002, undefined, 2],
    ['another message that is to prompt', 7000, true, 1],
    ['another message', 7000, undefined, 0],
    ['a notification that must not prompt', 4002, false, 0],
    ['an answer, whatever it asks for', 1109, true, 0],
    ['what keeps devices in step, whatever it asks for', 4012, true, 0],
  ])('%s', (_, tag, prompt, rank) => {
    expect(rankOf(tag, prompt)).toBe(rank)
  })

  it('is what the filter of a device names, or all', () => {
    expect([isWanted({}, 4002), isWanted({ tags: [4002] }, 4002), isWanted({ tags: [1108] }, 4002)]).toEqual([
      true,
      true,
      false,
    ])
    expect(isWanted({ tags: [] }, 4002)).toBe(false)
  })
})
