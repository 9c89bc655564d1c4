/** The next time of day in a time zone, also around changes of the clocks. */
import { expect, test } from 'vitest'
import { nextTimeOfDay } from '../../../src/notify/publish/wall-clock.ts'

const at = (text: string) => Date.parse(text)

test.each([
  ['UTC', 480, '2026-01-01T07:59:59.999Z', '2026-01-01T08:00:00Z'],
  ['UTC', 480, '2026-01-01T08:00:00Z', '2026-01-02T08:00:00Z'],
  ['Europe/Vienna', 480, '2026-01-01T07:00:00Z', '2026-01-02T07:00:00Z'],
  // The clocks go forward on 29 March and back on 25 October.
  ['Europe/Vienna', 480, '2026-03-28T07:00:00Z', '2026-03-29T06:00:00Z'],
  ['Europe/Vienna', 480, '2026-10-24T06:00:00Z', '2026-10-25T07:00:00Z'],
  // 02:30 is skipped.
  ['Europe/Vienna', 150, '2026-03-28T12:00:00Z', '2026-03-29T01:30:00Z'],
  // 02:30 comes twice: the second counts.
  ['Europe/Vienna', 150, '2026-10-24T12:00:00Z', '2026-10-25T01:30:00Z'],
  ['Asia/Kathmandu', 480, '2026-05-01T12:00:00Z', '2026-05-02T02:15:00Z'],
  ['Pacific/Kiritimati', 480, '2026-05-01T19:00:00Z', '2026-05-02T18:00:00Z'],
  ['America/Los_Angeles', 480, '2026-05-01T16:00:00Z', '2026-05-02T15:00:00Z'],
  // Samoa had no 30 December.
  ['Pacific/Apia', 480, '2011-12-29T19:00:00Z', '2011-12-30T18:00:00Z'],
])('%s, minute %i: after %s it is %s', (zone, minute, after, expected) => {
  expect(new Date(nextTimeOfDay(zone, minute, at(after))).toISOString()).toBe(
    new Date(expected).toISOString(),
  )
})
