import { describe, expect, it } from 'vitest'
import { inTurns, median, ofPairs } from '../../scripts/bench/engines.ts'

describe('two sides in turns', () => {
  it('are compared alike when whoever begins a round is slower', async () => {
    const order: string[] = []
    const begun = new Set<number>()
    const [first, second] = await inTurns(['a', 'b'], 4, async (side, round) => {
      order.push(side)
      const isFirst = !begun.has(round)
      begun.add(round)
      return isFirst ? 100 : 150
    })
    expect(order.join('')).toBe('abbaabba')
    expect(first).toEqual([100, 150, 100, 150])
    expect(ofPairs(first)).toEqual(ofPairs(second))
    expect(median(ofPairs(first))).toBeCloseTo(120)
  })
})
