/** Verbs and lines of the port, on every engine. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { float, text } from '../../src/storage/codec.ts'
import type { LineRow, Verb } from '../../src/storage/kv.ts'
import { ask, defineTable, read, runOne } from '../../src/storage/table.ts'
import { engines } from '../support/engines.ts'
import type { TestStores } from '../support/stores.ts'

const NOW = 1_700_000_000_000
const LINE = defineTable({ name: 'test.line', shape: 'line', codec: text })
const NUMBERS = defineTable({ name: 'test.number', shape: 'map', codec: float })
const HINTS = defineTable({ name: 'test.hint', shape: 'cell', codec: text })

const keyOf = (place: number, weight = 1): Buffer => {
  const key = Buffer.alloc(8)
  key.writeUInt32BE(place, 3)
  key[7] = weight
  return key
}

for (const engine of engines) {
  describe(`verbs of the port on ${engine.name}`, () => {
    let stores: TestStores
    beforeAll(async () => {
      stores = await engine.open()
    })
    afterAll(() => stores[Symbol.asyncDispose]())
    const kv = () => stores.kv

    it('see what was there at the moment of their writes, however many run at once', async () => {
      const partition = randomUUID()
      const row = NUMBERS.in(partition)
      const key = Buffer.from('sum')
      const raise = () =>
        runOne(kv(), partition, NOW, function* (): Verb<number> {
          const [{ value = 0 }] = yield* ask([row.get(key)])
          return { answer: value, writes: [row.put({ key, value: value + 1 })] }
        })
      const before = await Promise.all(Array.from({ length: 50 }, raise))
      expect(before.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, at) => at))
    })

    it('fail alone', async () => {
      const partition = randomUUID()
      const row = NUMBERS.in(partition)
      const put = (value: number) =>
        function* (): Verb<void> {
          yield* ask([row.get(Buffer.from(`${value}`))])
          if (value === 2) throw new Error('two')
          return { answer: undefined, writes: [row.put({ key: Buffer.from(`${value}`), value })] }
        }
      const verbs = [1, 2, 3].map((value) => kv().run([{ partition, verb: put(value) }], NOW))
      const settled = await Promise.allSettled(verbs)
      expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      const found = await read(
        kv(),
        [1, 2, 3].map((value) => row.get(Buffer.from(`${value}`))),
      )
      expect(found.map(({ value }) => value)).toEqual([1, undefined, 3])
    })

    it('write hints into other partitions', async () => {
      const partition = randomUUID()
      const hint = HINTS.in(`other ${partition}`)
      await runOne(kv(), partition, NOW, function* (): Verb<void> {
        const [{ value }] = yield* ask([hint.get()])
        const writes = [NUMBERS.in(partition).put({ key: Buffer.from('a'), value: 1 })]
        return { answer: undefined, writes, hints: [hint.put({ value: value ?? partition })] }
      })
      const [{ value }] = await read(kv(), [hint.get()])
      expect(value).toBe(partition)
    })
  })

  describe(`lines of the port on ${engine.name}`, () => {
    let stores: TestStores
    let partitions: string[]
    beforeAll(async () => {
      stores = await engine.open()
      partitions = [0, 1, 2].map((nth) => `${randomUUID()} ${nth}`)
    })
    afterAll(() => stores[Symbol.asyncDispose]())
    const kv = () => stores.kv
    const lineIn = (nth: number) => LINE.in(partitions[nth] ?? '')

    const write = (nth: number, writesOf: (line: ReturnType<typeof lineIn>) => Parameters<typeof wrote>[0]) =>
      runOne(kv(), partitions[nth] ?? '', NOW, wrote(writesOf(lineIn(nth))))
    const wrote = (writes: ReturnType<ReturnType<typeof lineIn>['drop']>[]) =>
      function* (): Verb<void> {
        yield []
        return { answer: undefined, writes }
      }
    const rowOf = (nth: number, place: number, weight = 1): LineRow =>
      lineIn(nth).placed({ at: 0, key: keyOf(place, weight), value: `${place}` })
    const append = (nth: number, ...rows: LineRow[]) =>
      write(nth, (line) => rows.map((row) => line.append(row)))
    const take = async (limit: number, now = NOW, until = now + 100) => {
      const taken = await kv().takePlaces({ table: LINE.table, partitions }, { limit, now, until })
      return taken.map(({ partition, key, value }) =>
        LINE.valueOf({ set: LINE.in(partition).name, key, value }),
      )
    }
    const weigh = () => kv().weigh({ table: LINE.table, partitions })
    const isFree = (nth: number, row: LineRow, now: number) =>
      runOne(kv(), partitions[nth] ?? '', now, function* (): Verb<boolean> {
        const [free] = yield* ask([lineIn(nth).isFree(row, now)])
        return { answer: free, writes: [] }
      })

    it('are taken in the order of their keys, and what comes back before what is new', async () => {
      await append(0, rowOf(0, 1), rowOf(0, 4))
      await append(1, rowOf(1, 2), rowOf(1, 3))
      expect(await weigh()).toBe(4)
      expect(await take(4)).toEqual(['1', '2', '3', '4'])
      await append(0, rowOf(0, 5))
      const held = { set: lineIn(1).name, row: rowOf(1, 2), heldUntil: NOW + 100 }
      expect(await isFree(1, rowOf(1, 2), NOW + 10)).toBe(false)
      await kv().releasePlaces([{ ...held, heldUntil: NOW + 7 }], NOW + 20)
      expect(await isFree(1, rowOf(1, 2), NOW + 10)).toBe(false)
      await kv().releasePlaces([held], NOW + 20)
      expect(await isFree(1, rowOf(1, 2), NOW + 10)).toBe(true)
      expect(await take(1, NOW + 20, NOW + 500)).toEqual(['2'])
      expect((await take(9, NOW + 100, NOW + 500)).sort()).toEqual(['1', '3', '4', '5'])
      for (const [nth, place] of [
        [0, 1],
        [1, 2],
        [1, 3],
        [0, 4],
        [0, 5],
      ] as const)
        await write(nth, (line) => [line.drop(rowOf(nth, place))])
      expect(await weigh()).toBe(0)
      expect(await take(9, NOW + 1_000)).toEqual([])
    })

    it('are taken by what they stand for', async () => {
      await append(2, rowOf(2, 10, 5), rowOf(2, 11, 3), rowOf(2, 12, 4))
      expect(await weigh()).toBe(12)
      expect(await take(2)).toEqual(['10'])
      expect(await take(5)).toEqual(['11'])
      await write(2, (line) => [line.replace(rowOf(2, 10, 5), rowOf(2, 10, 2))])
      expect(await weigh()).toBe(9)
      // It has its lease still.
      expect(await take(100, NOW + 50)).toEqual(['12'])
      await write(2, (line) => [line.append(rowOf(2, 13), { until: NOW + 60, isReturned: true })])
      expect(await take(100, NOW + 59)).toEqual([])
      expect(await isFree(2, rowOf(2, 13), NOW)).toBe(true)
      expect(await take(100, NOW + 60)).toEqual(['13'])
      expect((await take(100, NOW + 100, NOW + 200)).sort()).toEqual(['10', '11'])
      await stores.reopen()
      expect((await take(100, NOW + 500)).sort()).toEqual(['10', '11', '12', '13'])
      const rows: string[] = []
      for await (const page of kv().rows(LINE.table, undefined, partitions))
        rows.push(...page.rows.map((row) => LINE.valueOf(row)))
      expect(rows.sort()).toEqual(['10', '11', '12', '13'])
    })
  })
}
