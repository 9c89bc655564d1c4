import { describe, expect, it } from 'vitest'
import { createQuietCheck, quietUntil } from '../../../src/platform/runtime/quiet-hours.ts'

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

it('a check of many agrees with each by itself, at every half hour and in every zone', () => {
  const isQuiet = createQuietCheck()
  for (let now = at('2026-03-28T00:00:30Z'); now < at('2026-03-30T00:00:00Z'); now += 30 * 60_000) {
    for (const zone of ['UTC', 'Europe/Vienna', 'Asia/Kolkata', 'America/St_Johns']) {
      const expected = quietUntil(night(zone), now) !== undefined
      expect([zone, now, isQuiet(night(zone), now), isQuiet(night(zone), now)]).toEqual([
        zone,
        now,
        expected,
        expected,
      ])
    }
  }
})
