import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MqMessage, QueueName } from '../../src/mq/store.ts'
import { MQ_TABLES } from '../../src/mq/store-rows.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { mqStoreModel } from './mq-model.ts'

const HOUR = 3_600_000
const mine: QueueName = { domain: 'default', hashDID: 'CTdEkf9jndVbqyv4eFoepDjk3Fr3VreYnoNpFnQSZ5mZ' }
const yours: QueueName = { ...mine, hashDID: '8wVnt83NUB3usrooEUWRhRChiyGQFDXBG2uyt4LtndT' }

/** What the message hub may rely on, whatever the engine. */
export const mqStoreContract = (engine: Engine): void => {
  describe(`the queues on ${engine.name}`, () => {
    let stores: TestStores
    // Redis takes back by its own clock what expired long ago.
    const now = Date.now()
    const store = () => stores.mq
    const message = (id: string, change: Partial<MqMessage> = {}): MqMessage => ({
      id,
      message: `text of ${id} ünchanged ✓`,
      expiresAt: now + HOUR,
      ...change,
    })
    const put = (queue: QueueName, one: MqMessage, most = 1_000, at = now) =>
      store().put(queue, one, { now: at, most })
    const take = (queue: QueueName, id?: string, at = now) =>
      store().take(queue, { now: at, ...(id !== undefined && { id }) })
    const takeAll = async (queue: QueueName, at = now) => {
      const ids: string[] = []
      for (let one = await take(queue, undefined, at); one; one = await take(queue, undefined, at))
        ids.push(one.id)
      return ids
    }

    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('lets a payer with few messages into a full queue, at the cost of the one with most', async () => {
      const limits = { now, most: 6, foothold: 2 }
      const of = (id: string, payer?: string) => message(id, payer === undefined ? {} : { payer })
      const putBy = (payer: string | undefined, id: string) => store().put(mine, of(id, payer), limits)
      for (const id of ['n1', 'a1', 'a2', 'a3'])
        expect(await putBy(id === 'n1' ? undefined : 'a', id)).toBe(true)
      for (const id of ['b1', 'b2']) expect(await putBy('b', id)).toBe(true)
      // Neither who has many, nor who pays nothing, gets in.
      for (const payer of ['a', 'b', undefined]) expect(await putBy(payer, `${payer} more`)).toBe(false)
      await stores.reopen()
      expect(await putBy('c', 'c1')).toBe(true)
      // None has so many now that it would matter.
      expect(await putBy('c', 'c2')).toBe(false)
      expect(await putBy('d', 'd1')).toBe(true)
      const left: string[] = []
      for (let at = 0; at < 7; at++) {
        const found = await store().take(mine, { now })
        if (found) left.push(found.id)
      }
      expect(left).toHaveLength(6)
      expect(left).toEqual(expect.arrayContaining(['n1', 'a3', 'b2', 'c1', 'd1']))
      expect(left).not.toContain('a1')
      // What was taken counts no more: the payers begin anew.
      for (let at = 0; at < 6; at++) expect(await putBy('a', `again ${at}`)).toBe(true)
      expect(await putBy('e', 'e1')).toBe(true)
      expect((await store().head(mine, now))?.id).toBe('again 1')
    })

    it('keeps nothing of a message that it refuses', async () => {
      expect(await put(mine, message('first'), 1)).toBe(true)
      const dueRows = async () => {
        let count = 0
        for await (const { rows } of stores.kv.rows(MQ_TABLES.due.table)) count += rows.length
        return count
      }
      const before = await dueRows()
      for (let at = 1; at <= 5; at++) {
        const later = message(`later ${at}`, { expiresAt: now + HOUR + at * 600_000 })
        expect(await put(mine, later, 1)).toBe(false)
      }
      expect(await dueRows()).toBe(before)
    })

    it('knows until when a queue is one that is read', async () => {
      expect(await store().attendedUntil(mine, now)).toBe(0)
      await store().attend(mine, now + 1_000, now)
      await store().attend(mine, now + 2_000, now)
      await stores.reopen()
      expect(await store().attendedUntil(mine, now)).toBe(now + 2_000)
      expect(await store().attendedUntil(yours, now)).toBe(0)
      await store().sweep(now + 1_500, 10)
      expect(await store().attendedUntil(mine, now + 1_999)).toBe(now + 2_000)
      expect(await store().attendedUntil(mine, now + 2_000)).toBe(0)
      await store().sweep(now + 2_000, 10)
      expect(await store().attendedUntil(mine, now + 2_000)).toBe(0)
    })

    it('gives a message back as it came, its sender too', async () => {
      const one = message('a', {
        message: '\u0000 {"}"} \n é',
        sender: 'did:ssi:key:d:x',
        messageSigned: true,
        payer: 'payer',
      })
      await put(mine, one)
      expect(await store().head(mine, now)).toEqual(one)
      expect(await take(mine)).toEqual(one)
      await put(mine, message('b'))
      expect(await store().head(mine, now)).toEqual(message('b'))
      expect(await take(mine, 'b')).toEqual(message('b'))
    })

    it('keeps the order in which messages were put, after removals and a restart too', async () => {
      for (let at = 0; at < 12; at++) await put(mine, message(`m${at}`))
      expect(await store().remove(mine, 'm0')).toBe(true)
      expect((await take(mine, 'm11'))?.id).toBe('m11')
      expect((await take(mine, 'm5'))?.id).toBe('m5')
      await stores.reopen()
      await put(mine, message('last'))
      expect((await store().head(mine, now))?.id).toBe('m1')
      expect(await takeAll(mine)).toEqual(['m1', 'm2', 'm3', 'm4', 'm6', 'm7', 'm8', 'm9', 'm10', 'last'])
      await stores.reopen()
      expect(await store().head(mine, now)).toBeUndefined()
    })

    it('gives messages that came at once in one order, and none twice', async () => {
      const ids = Array.from({ length: 100 }, (_, at) => `m${at}`)
      await Promise.all(ids.map((id) => put(mine, message(id))))
      const taken = await Promise.all(Array.from({ length: 130 }, () => take(mine)))
      const found = taken.flatMap((one) => (one ? [one.id] : []))
      expect(found).toHaveLength(100)
      expect(new Set(found)).toEqual(new Set(ids))
    })

    it('gives one message to one of many who take it, by its id too', async () => {
      for (const id of [undefined, 'b']) {
        await put(mine, message(id ?? 'a'))
        const taken = await Promise.all(Array.from({ length: 50 }, () => take(mine, id)))
        expect(taken.filter((one) => one !== undefined)).toEqual([message(id ?? 'a')])
      }
    })

    it('keeps as many as it may, exactly, whoever puts at once', async () => {
      const kept = await Promise.all(Array.from({ length: 60 }, (_, at) => put(mine, message(`m${at}`), 25)))
      expect(kept.filter(Boolean)).toHaveLength(25)
      expect(await put(mine, message('more'), 25)).toBe(false)
      expect(await put(yours, message('theirs'), 25)).toBe(true)
      await take(mine)
      expect(await put(mine, message('more'), 25)).toBe(true)
      expect(await put(mine, message('and more'), 25)).toBe(false)
      expect(await takeAll(mine)).toHaveLength(25)
    })

    it('keeps a message once that is put again', async () => {
      expect(await put(mine, message('a'), 1)).toBe(true)
      expect(await put(mine, message('a'), 1)).toBe(true)
      expect(await takeAll(mine)).toEqual(['a'])
    })

    it('keeps queues apart, by reader and by domain', async () => {
      const elsewhere = { ...mine, domain: 'vault.csc' }
      await put(mine, message('a'))
      for (const other of [yours, elsewhere]) {
        expect(await store().head(other, now)).toBeUndefined()
        expect(await take(other)).toBeUndefined()
        expect(await take(other, 'a')).toBeUndefined()
        expect(await store().remove(other, 'a')).toBe(false)
      }
      expect((await store().head(mine, now))?.id).toBe('a')
    })

    it('knows nothing of ids that nobody has put, whatever they look like', async () => {
      for (const id of ['', 'a/b', '\u0000', 'x'.repeat(1_500)]) {
        expect(await take(mine, id === '' ? 'none' : id)).toBeUndefined()
        expect(await store().remove(mine, id)).toBe(false)
      }
    })

    it('does not show what has expired, and does not count it', async () => {
      await put(mine, message('short', { expiresAt: now + 10 }), 2)
      await put(mine, message('long'), 2)
      expect(await put(mine, message('too many'), 2)).toBe(false)
      const later = now + 10
      expect((await store().head(mine, later))?.id).toBe('long')
      expect(await take(mine, 'short', later)).toBeUndefined()
      expect(await put(mine, message('third'), 2, later)).toBe(true)
      expect(await put(mine, message('fourth'), 2, later)).toBe(false)
      expect(await takeAll(mine, later)).toEqual(['long', 'third'])
    })

    it('sweeps what has expired, a piece at a time, and nothing else', async () => {
      for (let at = 0; at < 7; at++) {
        await put(mine, message(`m${at}`, { expiresAt: now + (at === 3 ? HOUR : 5) }))
      }
      await put(yours, message('y', { expiresAt: now + 5 }))
      await put(yours, message('z', { expiresAt: now + 50 }))
      expect(await store().sweep(now, 100)).toBe(0)
      let swept = 0
      for (let round = 0; round < 10 && swept < 7; round++) {
        const piece = await store().sweep(now + 5, 3)
        expect(piece).toBeLessThanOrEqual(3)
        swept += piece
      }
      expect(swept).toBe(7)
      expect(await store().sweep(now + 5, 100)).toBe(0)
      expect(await store().sweep(now + 50, 100)).toBe(1)
      expect(await takeAll(mine)).toEqual(['m3'])
      expect(await store().sweep(now + 2 * HOUR, 100)).toBe(0)
    })

    it('puts messages back at their places, twice without a trace', async () => {
      const placed = [7, 3, 12].map((place) => ({ ...mine, place, ...message(`m${place}`) }))
      await store().restore(placed)
      await store().restore(placed)
      await put(mine, message('new'))
      expect(await takeAll(mine)).toEqual(['m3', 'm7', 'm12', 'new'])
    })

    it('tells in which queue something was put', async () => {
      const told: QueueName[] = []
      const listening = store().onPut((queue) => void told.push(queue))
      await put(mine, message('a'))
      await eventually(() => expect(told).toContainEqual(mine))
      listening[Symbol.dispose]()
      told.length = 0
      await put(yours, message('b'))
      expect(told).toEqual([])
    })

    mqStoreModel(store, now)
  })
}
