import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { addToRanges, rangeEnd, rangesAbove } from '../../../src/relay/store/ranges.ts'
import { text } from '../../../src/storage/codec.ts'
import { createGate } from '../../../src/storage/gate.ts'
import { createHeap } from '../../../src/storage/lmdb/heap.ts'
import { createVolatileRows } from '../../../src/storage/lmdb/kv/volatile-rows.ts'
import { defineTable } from '../../../src/storage/table.ts'

describe('ranges of acknowledged numbers', () => {
  const numbers = fc.array(fc.integer({ min: 1, max: 40 }))
  const rangesOf = (all: number[]) => all.reduce<number[]>(addToRanges, [])

  it('hold exactly the numbers that were added', () => {
    fc.assert(
      fc.property(numbers, (all) => {
        const ranges = rangesOf(all)
        for (let at = 0; at <= 42; at++) expect(rangeEnd(ranges, at) !== undefined).toBe(all.includes(at))
      }),
    )
  })

  it('are as few as possible, rising and apart', () => {
    fc.assert(
      fc.property(numbers, (all) => {
        const ranges = rangesOf(all)
        for (let at = 1; at < ranges.length; at++) {
          const gap = (ranges[at] ?? 0) - (ranges[at - 1] ?? 0)
          expect(gap).toBeGreaterThanOrEqual(at % 2 === 0 ? 2 : 0)
        }
      }),
    )
  })

  it('forget what lies at or below a cursor', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 0, max: 42 }), (all, cursor) => {
        expect(rangesAbove(rangesOf(all), cursor)).toEqual(rangesOf(all.filter((one) => one > cursor)))
      }),
    )
  })
})

describe('a heap', () => {
  it('gives what was pushed in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (all) => {
        const heap = createHeap<number>((a, b) => a < b)
        for (const one of all) heap.push(one)
        const popped: (number | undefined)[] = []
        while (heap.peek() !== undefined) popped.push(heap.pop())
        expect(popped).toEqual([...all].sort((a, b) => a - b))
      }),
    )
  })
})

describe('a gate', () => {
  it('waits for calls that are inside, and refuses those that come later', async () => {
    const gate = createGate()
    const inner = withResolvers<string>()
    const store = gate.guard({
      slow: () => inner.promise,
      quick: async () => 'quick',
      async *many() {
        yield 1
        yield 2
      },
      onNews: () => 'listening',
    })
    const slow = store.slow()
    const many = store.many()[Symbol.asyncIterator]()
    expect(await many.next()).toEqual({ done: false, value: 1 })
    let isClosed = false
    const closing = gate.close().then(() => {
      isClosed = true
    })
    await expect(store.quick()).rejects.toThrow(ProtocolError)
    await expect(store.quick()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(many.next()).rejects.toMatchObject({ code: 'unavailable' })
    expect(isClosed).toBe(false)
    inner.resolve('done')
    expect(await slow).toBe('done')
    await closing
    expect(isClosed).toBe(true)
  })
})

const withResolvers = <T>() => {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe('rows in memory', () => {
  const table = defineTable({ name: 'test.memory', shape: 'cell', codec: text, ends: true, isVolatile: true })
  const put = (name: string, expiresAt: number) => table.in(name).put({ value: name, expiresAt })

  it('go when they have ended, though one that was there before them is renewed all the time', () => {
    const rows = createVolatileRows()
    rows.write(put('renewed', 10))
    rows.write(put('ended', 20))
    rows.write(put('renewed', 1_000))
    rows.forget(20)
    expect(rows.get(table.in('ended').name)).toBeUndefined()
    expect(rows.get(table.in('renewed').name)).toBeDefined()
  })
})
