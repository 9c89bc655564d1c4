import { describe, expect, it } from 'vitest'
import { isWanted, rankOf } from '../../src/push/policy.ts'

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
