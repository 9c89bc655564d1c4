/** What the port promises, on every engine. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { json, text } from '../../src/storage/codec.ts'
import { DamagedRow } from '../../src/storage/damaged-row.ts'
import type { Batch, Check, Kv, SetName, Table, Write } from '../../src/storage/kv.ts'
import { defineTable, read, transact } from '../../src/storage/table.ts'
import { engines } from '../support/engines.ts'
import { runs } from '../support/runs.ts'
import type { TestStores } from '../support/stores.ts'
import { createKvModel, QUEUE, TABLES } from './kv-model.ts'

const NOW = 1_700_000_000_000
const DAY_MS = 86_400_000
const RACERS = 100

const bytes = (...values: number[]) => Buffer.from(values)
const keyArbitrary = fc.constantFrom(
  bytes(),
  bytes(0),
  bytes(0, 1),
  bytes(1),
  bytes(97),
  bytes(97, 0),
  bytes(255),
)
const valueArbitrary = fc.constantFrom(bytes(), bytes(0, 255, 10), Buffer.from('a'), Buffer.from('value'))

interface Step {
  table: number
  partition: number
  subject: number
  key: Buffer
  other: Buffer
  value: Buffer
  kind: number
  count: number
}
const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  table: fc.nat(TABLES.length),
  partition: fc.nat(1),
  subject: fc.nat(1),
  key: keyArbitrary,
  other: keyArbitrary,
  value: valueArbitrary,
  kind: fc.nat(5),
  count: fc.integer({ min: 1, max: 4 }),
})
const commandArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      partition: fc.nat(1),
      checks: fc.array(stepArbitrary, { maxLength: 2 }),
      writes: fc.array(stepArbitrary, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), step: stepArbitrary }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(9) }) },
)

for (const engine of engines) {
  describe(`the port on ${engine.name}`, () => {
    let stores: TestStores
    let world = 0
    beforeAll(async () => {
      stores = await engine.open()
    })
    afterAll(() => stores[Symbol.asyncDispose]())
    const kv = (): Kv => stores.kv

    const setIn = (table: Table, partition: string, subject: number): SetName => ({
      ...{ table, partition },
      subject: ['', 'a subject'][subject] ?? '',
    })

    it('is walked before anything else was asked for', async () => {
      for (const table of TABLES) for await (const { rows } of kv().rows(table)) expect(rows).toEqual([])
    })

    it('does what a sorted list would do', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(commandArbitrary, { maxLength: 30 }), async (commands) => {
          world += 1
          const partitions = [`one:${world}`, `other ${world}`]
          const model = createKvModel()
          let now = NOW
          let due = 0
          const setOf = ({ table, subject }: Step, partition: number) =>
            setIn(TABLES[table] ?? QUEUE, partitions[partition] ?? '', subject)
          const keyOf = ({ shape }: Table, key: Buffer) => (shape === 'cell' ? bytes() : key)
          const checkOf = (step: Step, partition: number): Check => {
            const set = setOf(step, partition)
            const key = keyOf(set.table, step.key)
            if (step.kind < 2) return { kind: step.kind === 0 ? 'absent' : 'present', set, key }
            if (step.kind < 4 && set.table.shape !== 'index')
              return { kind: 'is', set, key, value: step.value }
            return { kind: 'present', set, key }
          }
          const writeOf = (step: Step, partition: number): Write => {
            const set = setOf(step, partition)
            const key = keyOf(set.table, step.key)
            const end = set.table.ends && { expiresAt: now + DAY_MS }
            if (step.kind === 0) return { kind: 'remove', set, key }
            if (step.kind === 1) return { kind: 'clear', set }
            if (set.table.shape === 'queue') {
              // No two are due at one moment: then either may come first.
              due += 1
              const at = now + (due % 7) + due / 1_000
              if (step.kind === 2) return { kind: 'delay', set, id: key, at }
              if (step.kind === 3 && step.value.length > 0)
                return { kind: 'delay', set, id: key, at, value: step.value }
              return { kind: 'enqueue', set, id: key, at, value: step.value, ...end }
            }
            const value = set.table.shape === 'index' ? bytes() : step.value
            return { kind: step.kind === 2 ? 'create' : 'put', set, key, value, ...end }
          }
          for (const command of commands) {
            if (command.do === 'wait') now += command.ms
            else if (command.do === 'commit') {
              const { partition } = command
              const batch: Batch = {
                partition: partitions[partition] ?? '',
                checks: command.checks.map((step) => checkOf(step, partition)),
                writes: command.writes.map((step) => writeOf(step, partition)),
              }
              expect(await kv().commit([batch], now)).toEqual([model.commit(batch)])
            } else if (command.do === 'take') {
              const lease = { limit: command.limit, now, until: now + 5 + due / 1_000_000 }
              for (const subject of ['', 'a subject']) {
                const inSubject = model.rows().filter(({ set }) => set.subject === subject)
                const taken = await kv().take({ table: QUEUE, partitions, subject }, lease)
                expect(taken.length).toBeLessThanOrEqual(command.limit)
                for (const one of taken) {
                  const row = inSubject.find(
                    ({ set, key }) =>
                      set.table === QUEUE && set.partition === one.partition && key.equals(one.id),
                  )
                  expect(row?.value).toEqual(one.value)
                  expect(row?.due).toBeLessThanOrEqual(now)
                  if (row) row.due = lease.until
                }
                const left = inSubject.filter(({ set, due: at }) => set.table === QUEUE && at <= now)
                if (taken.length < command.limit) expect(left).toEqual([])
              }
            } else {
              const { step } = command
              const set = setOf(step, step.partition)
              const { shape } = set.table
              const key = keyOf(set.table, step.key)
              const [from, to] = [step.key, step.other].sort(Buffer.compare)
              const range = {
                ...(step.kind % 2 === 0 && from && { from }),
                ...(step.kind > 2 && to && { to }),
              }
              const isListed = shape === 'ordered' || shape === 'index'
              const request =
                step.kind < 2 || !isListed
                  ? ({ kind: 'get', set, key } as const)
                  : step.kind === 2
                    ? ({ kind: 'count', set, range } as const)
                    : ({ kind: 'range', set, range, limit: step.count, isReverse: step.kind === 5 } as const)
              expect(await kv().read([request])).toEqual([model.read(request)])
            }
          }
          for (const table of [...TABLES, QUEUE]) {
            const found: string[] = []
            for await (const { rows } of kv().rows(table)) {
              for (const { set, key, value } of rows)
                if (partitions.includes(set.partition))
                  found.push(
                    `${set.partition} ${set.subject} ${key.toString('hex')} ${value.toString('hex')}`,
                  )
            }
            const expected = model
              .rows()
              .filter(({ set }) => set.table === table)
              .map(
                ({ set, key, value }) =>
                  `${set.partition} ${set.subject} ${key.toString('hex')} ${value.toString('hex')}`,
              )
            expect([...new Set(found)].sort()).toEqual(expected.sort())
          }
          // Of this world nothing is left for the walks of the next ones.
          for (const partition of partitions) {
            const own = model.rows().filter(({ set }) => set.partition === partition)
            const writes = own.map(({ set, key }): Write => ({ kind: 'remove', set, key }))
            if (writes.length > 0) await kv().commit([{ partition, writes }], now)
          }
        }),
        { numRuns: runs(300) },
      )
    }, 300_000)

    it(`lets one of ${RACERS} racers have it`, async () => {
      const table = defineTable({ name: 'test.prize', shape: 'cell', codec: text })
      const prize = table.in(randomUUID())
      const batch = (who: number) => ({
        partition: prize.name.partition,
        checks: [prize.isAbsent()],
        writes: [prize.put({ value: `${who}` })],
      })
      const outcomes = await Promise.all(
        Array.from({ length: RACERS }, (_, who) => kv().commit([batch(who)], NOW)),
      )
      const winners = outcomes.flatMap(([outcome], who) => (outcome?.isDone ? [who] : []))
      expect(winners).toHaveLength(1)
      const [row] = await read(kv(), [prize.get()])
      expect(row?.value).toBe(`${winners[0]}`)
    })

    it(`loses no change of ${RACERS} that are made with a check that nothing changed`, async () => {
      const table = defineTable({ name: 'test.sum', shape: 'cell', codec: json(z.number()), ends: true })
      const sum = table.in(randomUUID())
      const add = async (): Promise<void> => {
        const [row] = await read(kv(), [sum.get()])
        const [outcome] = await kv().commit(
          [
            {
              partition: sum.name.partition,
              checks: [row?.isUnchanged ?? sum.isAbsent()],
              writes: [sum.put({ value: (row?.value ?? 0) + 1, expiresAt: NOW + DAY_MS })],
            },
          ],
          NOW,
        )
        if (!outcome?.isDone) return add()
      }
      await Promise.all(Array.from({ length: RACERS }, add))
      const [row] = await read(kv(), [sum.get()])
      expect(row?.value).toBe(RACERS)
    })

    it('lets a crowd at one row through with few attempts each', async () => {
      const table = defineTable({ name: 'test.crowd', shape: 'cell', codec: json(z.number()) })
      const sum = table.in(randomUUID())
      let attempts = 0
      const add = () =>
        transact(kv(), NOW, async () => {
          attempts += 1
          const [{ value = 0, isUnchanged }] = await read(kv(), [sum.get()])
          const writes = [sum.put({ value: value + 1 })]
          return { answer: value, batch: { partition: sum.name.partition, checks: [isUnchanged], writes } }
        })
      const answers = await Promise.all(Array.from({ length: RACERS }, add))
      expect(answers.sort((a, b) => a - b)).toEqual(Array.from({ length: RACERS }, (_, at) => at))
      // Once all at the same time, then one after the other.
      expect(attempts).toBeLessThanOrEqual(3 * RACERS)
    })

    it('does what others ask for at the same time as somebody whose call is refused', async () => {
      const table = defineTable({ name: 'test.apart', shape: 'map', codec: text })
      const set = table.in(randomUUID())
      const { partition } = set.name
      const put = (key: Buffer) => kv().commit([{ partition, writes: [set.put({ key, value: 'x' })] }], NOW)
      const [before, refused, after] = await Promise.allSettled([
        put(bytes(1)),
        put(Buffer.alloc(1_950)),
        put(bytes(2)),
      ])
      expect([before?.status, refused?.status, after?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      const found = await read(kv(), [set.get(bytes(1)), set.get(bytes(2))])
      expect(found.map(({ value }) => value)).toEqual(['x', 'x'])
    })

    it('does a batch of thousands of rows, and names the first of several checks that do not hold', async () => {
      const partition = randomUUID()
      const sets = TABLES.filter(({ shape, ends }) => shape !== 'cell' && !ends).map((table) => ({
        ...{ table, partition, subject: 'many' },
      }))
      // Some zero bytes, and in no order.
      const keys = Array.from({ length: 4_500 }, (_, at) => Buffer.from([at % 7, (at * 31) >> 8, at * 31]))
      const value = (set: SetName) => (set.table.shape === 'index' ? bytes() : Buffer.from('value'))
      const writes = sets.flatMap((set) =>
        keys.map((key): Write => ({ kind: 'put', set, key, value: value(set) })),
      )
      const checks = sets.flatMap((set) => keys.map((key): Check => ({ kind: 'absent', set, key })))
      const [first] = await kv().commit([{ partition, checks, writes }], NOW)
      expect(first).toEqual({ isDone: true, results: writes.map(() => 1) })
      const distinct = new Set(keys.map((key) => key.toString('hex'))).size
      for (const set of sets) {
        const found = await kv().read(keys.map((key) => ({ kind: 'get', set, key })))
        expect(found.every((one) => one.kind === 'get' && one.value?.equals(value(set)))).toBe(true)
        if (set.table.shape === 'map') continue
        expect(await kv().read([{ kind: 'count', set, range: {} }])).toEqual([
          { kind: 'count', count: distinct },
        ])
      }
      const some = sets.map((set): Check => ({ kind: 'present', set, key: keys[0] ?? bytes() }))
      const [second] = await kv().commit([{ partition, checks: [...some, ...checks], writes }], NOW)
      const [set] = sets
      expect(second).toEqual({ isDone: false, failed: some.length, found: set && value(set) })
    })

    it('finds a row that was altered, or that stands in the place of another one', async () => {
      const table = defineTable({ name: 'test.sealed', shape: 'ordered', codec: text })
      const set = table.in(randomUUID())
      const { partition } = set.name
      await kv().commit([{ partition, writes: [set.put({ key: bytes(1), value: 'a true word' })] }], NOW)
      const [answer] = await kv().read([{ kind: 'get', set: set.name, key: bytes(1) }])
      const value = answer?.kind === 'get' ? answer.value : undefined
      if (!value) throw new Error('The row is gone')
      for (let bit = 0; bit < 8 * value.length; bit++) {
        const altered = Buffer.from(value)
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await kv().commit(
          [{ partition, writes: [{ kind: 'put', set: set.name, key: bytes(1), value: altered }] }],
          NOW,
        )
        await expect(read(kv(), [set.get(bytes(1))])).rejects.toThrow(DamagedRow)
      }
      await kv().commit([{ partition, writes: [{ kind: 'put', set: set.name, key: bytes(2), value }] }], NOW)
      await expect(read(kv(), [set.get(bytes(2))])).rejects.toThrow('test.sealed')
    })

    it('keeps what it has over a restart, and forgets what has ended', async () => {
      const table = defineTable({ name: 'test.ended', shape: 'cell', codec: text, ends: true })
      const [early, late] = [table.in(randomUUID()), table.in(randomUUID())]
      const put = (set: typeof early, expiresAt: number) => ({
        partition: set.name.partition,
        writes: [set.put({ value: 'x', expiresAt })],
      })
      await kv().commit([put(early, NOW + 10), put(late, NOW + 10)], NOW)
      await kv().commit([put(late, NOW + DAY_MS)], NOW)
      await stores.reopen()
      await kv().sweep(NOW + 9, 100)
      expect((await read(kv(), [early.get(), late.get()])).map((row) => row?.value)).toEqual(['x', 'x'])
      await kv().sweep(NOW + 10, 10_000)
      const [gone, there] = await read(kv(), [early.get(), late.get()])
      // Redis keeps it for an hour more.
      if (engine.name === 'LMDB') expect(gone.value).toBeUndefined()
      expect(there.value).toBe('x')
    })

    it('refuses what is no name, too long, or without its end, and does nothing of the batch', async () => {
      const [ordered, ending] = [TABLES[2], TABLES[3]]
      if (!ordered || !ending) throw new Error('no tables')
      const partition = randomUUID()
      const set = setIn(ordered, partition, 0)
      const good: Write = { kind: 'put', set, key: bytes(1), value: bytes(1) }
      const bad: Write[] = [
        { ...good, key: Buffer.alloc(1_950) },
        { ...good, expiresAt: NOW },
        { ...good, set: setIn(ending, partition, 0) },
        { ...good, set: { ...set, subject: 'with\0zero' } },
      ]
      for (const write of bad) {
        await expect(kv().commit([{ partition, writes: [good, write] }], NOW)).rejects.toThrow(Error)
      }
      await expect(kv().commit([{ partition: 'other', writes: [good] }], NOW)).rejects.toThrow(Error)
      expect(await kv().read([{ kind: 'get', set, key: bytes(1) }])).toEqual([
        { kind: 'get', value: undefined },
      ])
    })
  })
}
