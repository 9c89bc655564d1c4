import { describe, expect, it } from 'vitest'
import { createTurns } from '../../../src/relay/delivery/turns.ts'
import type { Head } from '../../../src/relay/store.ts'

const head = (seq: number, payer: string, publisher = payer, size = 10): Head => ({
  ...{ seq, payer, publisher, size },
})
const seqsOf = (heads: readonly Head[]) => heads.map(({ seq }) => seq)
const ALL = { limit: 1_000_000, maxBytes: 1e9 }

describe('turns', () => {
  it('go round the payers, each in order', () => {
    const turns = createTurns()
    for (let seq = 1; seq <= 5; seq++) turns.add(head(seq, 'x'))
    turns.add(head(6, 'y'))
    turns.add(head(7, 'z'))
    turns.add(head(8, 'y'))
    expect(seqsOf(turns.take({ ...ALL, limit: 4 }))).toEqual([1, 6, 7, 2])
    turns.add(head(9, 'new'))
    expect(turns.size).toBe(5)
    expect(seqsOf(turns.take(ALL))).toEqual([8, 3, 9, 4, 5])
    expect(turns.size).toBe(0)
  })

  it('keep a publisher in order although its payer changes', () => {
    const turns = createTurns()
    for (let seq = 1; seq <= 3; seq++) turns.add(head(seq, 'x'))
    turns.add(head(4, 'x', 'p'))
    turns.add(head(5, 'y', 'p'))
    turns.add(head(6, 'y', 'q'))
    expect(seqsOf(turns.take(ALL))).toEqual([1, 6, 2, 3, 4, 5])
    turns.add(head(7, 'x'))
    turns.add(head(8, 'x'))
    turns.add(head(9, 'y', 'p'))
    expect(seqsOf(turns.take(ALL))).toEqual([7, 9, 8])
  })

  it('end at the bytes, with one message at least', () => {
    const turns = createTurns()
    for (let seq = 1; seq <= 3; seq++) turns.add(head(seq, `${seq}`))
    expect(seqsOf(turns.take({ limit: 9, maxBytes: 5 }))).toEqual([1])
    expect(seqsOf(turns.take({ limit: 9, maxBytes: 20 }))).toEqual([2, 3])
  })

  it('take back what found no room, in its order, and know what they have', () => {
    const turns = createTurns()
    for (let seq = 1; seq <= 3_000; seq++) turns.add(head(seq, 'x'))
    const order: number[] = []
    while (turns.size > 0) {
      const taken = turns.take({ ...ALL, limit: 100 })
      const kept = turns.size > 0 ? 90 : taken.length
      order.push(...seqsOf(taken.slice(0, kept)))
      turns.putBack(taken.slice(kept))
      if (turns.size > 0) turns.add(head(3_000, 'x'))
    }
    expect(order).toEqual(Array.from({ length: 3_000 }, (_, at) => at + 1))
    turns.add(head(1, 'x'))
    turns.clear()
    expect(turns.take(ALL)).toEqual([])
  })
})
