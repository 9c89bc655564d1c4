import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createArchiveStore } from '../../src/archive/store/archive.ts'
import { MESSAGE_TABLES, sizeOf } from '../../src/archive/store/rows.ts'
import type { ArchiveStore, NewArchived } from '../../src/archive/store.ts'
import type { Kv, PlacedRow, Table } from '../../src/storage/kv.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { client, hex, MINUTE, T, topic } from './relay-samples.ts'

const LIMITS = { messages: 1_000, bytes: 1_000_000 }

const ALL = { direction: 'forward', limit: 100, maxBytes: 1_000_000 } as const

const archived = (name: string, more: Partial<NewArchived> = {}): NewArchived => ({
  ...{ topic: topic('t'), id: hex(name), message: name, tag: 5000, at: T, expiresAt: T + MINUTE },
  ...more,
})
const some = (from: number, to: number, more: Partial<NewArchived> = {}) =>
  Array.from({ length: to - from }, (_, at) => archived(`m${from + at}`, more))

type From = Partial<Parameters<ArchiveStore['page']>[1]>
const textsOf = async (store: ArchiveStore, from: From = {}, of = topic('t')) => {
  const page = await store.page(of, {
    ...{ direction: 'forward', limit: 100, maxBytes: 1_000_000, now: T },
    ...from,
  })
  return page && { texts: page.messages.map(({ message }) => message), next: page.next }
}

const rowsOf = async (kv: Kv, table: Table): Promise<PlacedRow[]> => {
  const rows: PlacedRow[] = []
  for await (const page of kv.rows(table)) rows.push(...page.rows)
  return rows
}

/** That what is counted is what is there, and that a topic with messages is due once. */
const expectConsistent = async (kv: Kv): Promise<{ count: number; dueAt: number[] }> => {
  const { messages, texts, owned, topics, due } = MESSAGE_TABLES
  const heads = (await rowsOf(kv, messages.table)).map((row) => ({ ...row, head: messages.valueOf(row) }))
  const states = (await rowsOf(kv, topics.table)).map((row) => ({ ...row, state: topics.valueOf(row) }))
  for (const { set, state } of states) {
    const own = heads.filter((row) => row.set.partition === set.partition)
    expect(state.count).toBe(own.length)
    expect(state.bytes).toBe(own.reduce((sum, { head }) => sum + sizeOf(head), 0))
  }
  expect(new Set(heads.map(({ set }) => set.partition)).size).toBe(states.length)
  const places = (await rowsOf(kv, texts.table)).map((row) => [
    ...[row.set.partition, row.key.toString('hex'), texts.valueOf(row).seq],
  ])
  const expected = heads.map(({ set, key, head }) => [set.partition, head.id, key.readDoubleBE()])
  expect(places.sort()).toEqual(expected.sort())
  expect(await rowsOf(kv, owned.table)).toHaveLength(
    heads.filter(({ head }) => head.owner !== undefined).length,
  )
  const dueAt = (await rowsOf(kv, due.table)).map(({ key }) => key.readDoubleBE())
  expect(dueAt).toEqual(expect.arrayContaining(states.map(({ state }) => state.dueAt)))
  return { count: heads.length, dueAt }
}

export const archiveStoreContract = (engine: Engine): void => {
  describe(`the archive on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.archive
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keeps a message of a topic once, in its order, also over a restart', async () => {
      await store().keep([...some(0, 3), archived('m1'), archived('m1', { topic: topic('u') })], LIMITS, T)
      await store().keep([archived('m0', { at: T + 1 }), archived('ü €')], LIMITS, T)
      await stores.reopen()
      expect(await textsOf(store())).toEqual({ texts: ['m0', 'm1', 'm2', 'ü €'], next: undefined })
      expect(await textsOf(store(), {}, topic('u'))).toEqual({ texts: ['m1'], next: undefined })
      expect(await textsOf(store(), {}, topic('nothing'))).toEqual({ texts: [], next: undefined })
      const page = await store().page(topic('t'), {
        ...{ direction: 'forward', limit: 1, maxBytes: 1, now: T },
      })
      expect(page?.messages[0]).toMatchObject(archived('m0'))
    })

    it('gives pages in both directions, each beginning with the message that it is asked for', async () => {
      await store().keep(some(0, 250), LIMITS, T)
      for (const direction of ['forward', 'backward'] as const) {
        const seen: string[] = []
        let origin: string | undefined
        do {
          const page = await textsOf(store(), { direction, origin, limit: 99 })
          seen.push(...(page?.texts ?? []))
          origin = page?.next
          // What comes meanwhile is at the end: it is in the way of nobody.
          await store().keep([archived(`later ${seen.length}`)], LIMITS, T)
        } while (origin !== undefined && seen.length < 250)
        const all = some(0, 250).map(({ message }) => message)
        const old = seen.filter((text) => text.startsWith('m'))
        expect(old).toEqual(direction === 'forward' ? all : all.reverse())
      }
    })

    it('ends a page where it becomes too long, but never before its first message', async () => {
      await store().keep(
        some(0, 4).map((one) => ({ ...one, message: one.message.padEnd(1_000, '.') })),
        LIMITS,
        T,
      )
      expect((await textsOf(store(), { maxBytes: 2_500 }))?.texts).toHaveLength(2)
      expect((await textsOf(store(), { maxBytes: 1 }))?.texts).toHaveLength(1)
      expect((await textsOf(store(), { maxBytes: 1 }))?.next).toBe(hex('m1'))
    })

    it('knows nothing of a page that begins with an unknown, an expired or a foreign message', async () => {
      await store().keep([...some(0, 2), archived('old', { expiresAt: T + 1 })], LIMITS, T)
      await store().keep([archived('other', { topic: topic('u') })], LIMITS, T)
      for (const origin of [hex('unknown'), hex('other')])
        expect(await textsOf(store(), { origin })).toBeUndefined()
      expect(await textsOf(store(), { origin: hex('old'), now: T + 1 })).toBeUndefined()
      expect((await textsOf(store(), { origin: hex('old') }))?.texts).toEqual(['old'])
    })

    it('forgets what has expired, swept or not', async () => {
      await store().keep(some(0, 3, { expiresAt: T + 10 }), LIMITS, T)
      await store().keep(some(3, 5), LIMITS, T)
      expect((await textsOf(store(), { now: T + 9 }))?.texts).toHaveLength(5)
      expect((await textsOf(store(), { now: T + 10 }))?.texts).toEqual(['m3', 'm4'])
      await store().sweep(T + 10, 100)
      expect((await textsOf(store(), { now: T }))?.texts).toEqual(expect.arrayContaining(['m3', 'm4']))
      await store().keep([archived('m5')], LIMITS, T + 10)
      expect((await textsOf(store()))?.texts).toEqual(['m3', 'm4', 'm5'])
    })

    it('lets the oldest of a topic go when there are too many, or too long ones', async () => {
      await store().keep(some(0, 5), { messages: 3, bytes: 1_000_000 }, T)
      expect((await textsOf(store()))?.texts).toEqual(['m2', 'm3', 'm4'])
      await store().keep([archived('x'.repeat(4_000), { topic: topic('u') })], LIMITS, T)
      await store().keep(
        [...some(0, 2, { topic: topic('u') }), archived('y'.repeat(3_000), { topic: topic('u') })],
        { messages: 10, bytes: 4_000 },
        T,
      )
      expect((await textsOf(store(), {}, topic('u')))?.texts).toEqual(['m0', 'm1', 'y'.repeat(3_000)])
      // A message that went may come again, as a new one.
      await store().keep([archived('m0')], LIMITS, T)
      expect((await textsOf(store()))?.texts).toEqual(['m2', 'm3', 'm4', 'm0'])
    })

    it('drops what an owner has before a message, and nothing for one that it does not have', async () => {
      const [one, other] = [hex('one owner'), hex('other owner')]
      const drop = (before: string, owner = one) => store().drop(topic('t'), hex(before), owner)
      await store().keep(some(0, 6, { owner: one }), LIMITS, T)
      expect(await drop('unknown')).toBe(false)
      expect(await drop('m4', other)).toBe(true)
      expect((await textsOf(store()))?.texts).toHaveLength(6)
      await stores.reopen()
      expect(await drop('m4')).toBe(true)
      expect(await drop('m4')).toBe(true)
      expect((await textsOf(store()))?.texts).toEqual(['m4', 'm5'])
      // The bytes were given back: there is room again.
      await store().keep(some(10, 12), { messages: 4, bytes: 1_000 }, T)
      expect((await textsOf(store()))?.texts).toEqual(['m4', 'm5', 'm10', 'm11'])
    })

    it('leaves what others own and what nobody owns, of this topic and of others', async () => {
      const [one, other] = [hex('one owner'), hex('other owner')]
      const owners = [one, undefined, other, one, other, one]
      const mixed = owners.map((owner, at) => archived(`m${at}`, { owner }))
      await store().keep(mixed, LIMITS, T)
      await store().keep(some(0, 3, { topic: topic('u'), owner: one }), LIMITS, T)
      expect((await store().page(topic('t'), { ...ALL, now: T }))?.messages).toMatchObject(
        owners.map((owner) => (owner === undefined ? {} : { owner })),
      )
      expect(await store().drop(topic('t'), hex('m5'), one)).toBe(true)
      expect((await textsOf(store()))?.texts).toEqual(['m1', 'm2', 'm4', 'm5'])
      // What went by its quota or its age is not missed.
      await store().keep([archived('m6', { owner: other })], { messages: 3, bytes: 1_000_000 }, T)
      expect((await textsOf(store()))?.texts).toEqual(['m4', 'm5', 'm6'])
      expect(await store().drop(topic('t'), hex('m6'), other)).toBe(true)
      expect((await textsOf(store()))?.texts).toEqual(['m5', 'm6'])
      expect((await textsOf(store(), {}, topic('u')))?.texts).toHaveLength(3)
    })

    it('drops more than one piece of it', async () => {
      const owner = hex('one owner')
      const plenty = { messages: 10_000, bytes: 10_000_000 }
      await store().keep([...some(0, 4_100, { owner }), archived('mark'), archived('last')], plenty, T)
      expect(await store().drop(topic('t'), hex('mark'), owner)).toBe(true)
      expect((await textsOf(store()))?.texts).toEqual(['mark', 'last'])
    })

    it('removes what has expired, wherever in its topic it is, and gives its room back', async () => {
      const [owner, HOUR] = [hex('one owner'), 60 * MINUTE]
      const mixed = Array.from({ length: 500 }, (_, at) =>
        archived(`m${at}`, {
          expiresAt: T + (at % 3 === 0 ? 5 : 1) * HOUR,
          ...(at % 2 === 0 && { owner }),
        }),
      )
      await store().keep(mixed, LIMITS, T)
      await store().keep(some(0, 2, { topic: topic('u') }), LIMITS, T)
      expect(await store().sweep(T + MINUTE / 2, 100)).toBe(0)
      expect(await store().sweep(T + HOUR, 100)).toBe(2)
      expect(await store().sweep(T + HOUR, 100)).toBe(0)
      const lasting = mixed.filter((_, at) => at % 3 === 0)
      expect(await expectConsistent(stores.kv)).toEqual({ count: lasting.length, dueAt: [T + 5 * HOUR] })
      const left = await textsOf(store(), { limit: 1_000, now: T + HOUR })
      expect(left?.texts).toEqual(lasting.map(({ message }) => message))
      await stores.reopen()
      expect(await store().sweep(T + 5 * HOUR, 100)).toBe(1)
      expect(await expectConsistent(stores.kv)).toEqual({ count: 0, dueAt: [] })
    })

    it('sweeps every other topic where one has a damaged row', async () => {
      const { messages } = MESSAGE_TABLES
      for (const name of ['t', 'u', 'v']) await store().keep(some(0, 2, { topic: topic(name) }), LIMITS, T)
      const set = messages.in(topic('u')).name
      const [row] = (await rowsOf(stores.kv, messages.table)).filter(
        (one) => one.set.partition === topic('u'),
      )
      if (!row) throw new Error('The row is gone')
      const value = Buffer.from(row.value)
      value[value.length - 1] = (value.at(-1) ?? 0) ^ 1
      const writes = [{ kind: 'put', set, key: row.key, value } as const]
      await stores.kv.commit([{ partition: topic('u'), writes }], T)
      await expect(store().sweep(T + 60 * MINUTE, 100)).rejects.toThrow('archive.messages')
      const left = await rowsOf(stores.kv, messages.table)
      expect(left.map((one) => one.set.partition)).toEqual([topic('u'), topic('u')])
    })

    it('counts right with many at once, in several processes', async () => {
      const owner = hex('one owner')
      const other = createArchiveStore(stores.kv, { now: Date.now })
      const limits = { messages: 30, bytes: 1_000_000 }
      await store().keep([archived('mark', { expiresAt: T + 100 * MINUTE })], LIMITS, T)
      await Promise.all(
        Array.from({ length: 60 }, async (_, at) => {
          const one = at % 2 === 0 ? store() : other
          if (at % 10 === 0) await one.drop(topic('t'), hex(`m${at - 5}`), owner)
          else if (at % 7 === 0) await one.sweep(T + 90 * MINUTE, 100)
          // Each is kept by both.
          else await one.keep(some(at - 1, at + 1, { owner }), limits, T)
        }),
      )
      const { count } = await expectConsistent(stores.kv)
      expect(count).toBeLessThanOrEqual(30)
    })

    it('puts messages back where they were, and goes on behind them; a second time changes nothing', async () => {
      const placed = some(0, 3).map((one, at) => ({ ...one, seq: 10 - 3 * at }))
      await store().restore(placed)
      await store().restore(placed)
      await store().keep([archived('next')], LIMITS, T)
      expect(await textsOf(store())).toEqual({ texts: ['m2', 'm1', 'm0', 'next'], next: undefined })
      expect((await expectConsistent(stores.kv)).count).toBe(4)
    })

    it('tells of registrations that another store has taken, and not of its own', async () => {
      const other = createArchiveStore(stores.kv, { now: Date.now })
      const told: unknown[] = []
      using _listening = store().onRegister((registered) => told.push(registered))
      const registration = (name: string, tags: number[]) => ({
        ...{ clientId: client(name), tags, owners: {}, expiresAt: T + MINUTE },
      })
      // It may begin to listen between two of them.
      await eventually(async () => {
        await store().register(registration('mine', [1]), T)
        await other.register(registration('theirs', [2, 3]), T)
        await other.register(registration('none', []), T)
        expect(told).toContainEqual({ clientId: client('theirs'), tags: [2, 3] })
        expect(told).toContainEqual({ clientId: client('none'), tags: [] })
      })
      expect(told).not.toContainEqual({ clientId: client('mine'), tags: [1] })
    })

    it('knows a tag as long as any of many registrations that come at once', async () => {
      await Promise.all(
        Array.from({ length: 50 }, (_, at) =>
          store().register(
            { clientId: client(`${at}`), tags: [1, 100 + at], owners: {}, expiresAt: T + 1 + at * MINUTE },
            T,
          ),
        ),
      )
      expect(await store().tags(T, 100)).toHaveLength(51)
      expect((await store().tags(T + 48 * MINUTE + 1, 100)).sort()).toEqual([1, 149])
      for (let swept = 10; swept === 10; ) swept = await store().sweep(T + 108.5 * MINUTE, 10)
      expect((await store().tags(0, 100)).sort()).toEqual([1, 149])
    })

    it('knows what a client registered last, until it expires, also over a restart', async () => {
      expect(await store().tags(T, 10)).toEqual([])
      const [a, b] = [client('a'), client('b')]
      await store().register({ clientId: a, tags: [1], owners: {}, expiresAt: T + MINUTE }, T)
      const owners = { [topic('t')]: hex('owner') }
      await store().register({ clientId: a, tags: [5000, 5002], owners, expiresAt: T + MINUTE }, T)
      await store().register({ clientId: b, tags: [7], owners: {}, expiresAt: T + 10 }, T)
      await stores.reopen()
      expect(await store().registrations([a, client('nobody')], T)).toEqual([
        { clientId: a, tags: [5000, 5002], owners, expiresAt: T + MINUTE },
      ])
      expect(await store().registrations([b], T + 10)).toEqual([])
      expect(await store().tags(T, 10)).toEqual(expect.arrayContaining([7, 5000, 5002]))
      expect(await store().tags(T, 2)).toHaveLength(2)
      expect(await store().tags(T + 10, 10)).not.toContain(7)
      await store().sweep(T + 10, 100)
      expect(await store().registrations([a], T)).toHaveLength(1)
      // One that is renewed lives on; a tag does as long as any of its registrations.
      await store().register({ clientId: a, tags: [1], owners: {}, expiresAt: T + 2 * MINUTE }, T)
      await store().register({ clientId: b, tags: [1], owners: {}, expiresAt: T + MINUTE }, T)
      await store().sweep(T + MINUTE, 100)
      expect((await store().registrations([a, b], T + MINUTE)).map(({ clientId }) => clientId)).toEqual([a])
      expect(await store().tags(T + MINUTE, 10)).toEqual([1])
      await store().sweep(T + 3 * MINUTE, 100)
      expect(await store().registrations([a], T + 3 * MINUTE)).toEqual([])
      expect(await store().tags(T + 3 * MINUTE, 10)).toEqual([])
    })
  })
}
