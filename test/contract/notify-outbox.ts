import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OutboxEntry, OutboxTask } from '../../src/notify/store/store.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { become, drain, entry, handOne, record, subscription, T } from './notify-samples.ts'

const alice = 'eip155:0xalice'

/** The outbox: what must be sent, taken by workers, until it is sent. */
export const notifyOutboxContract = (engine: Engine): void => {
  describe(`the outbox of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const put = (...entries: OutboxEntry[]) =>
      store()
        .account(alice)
        .then(({ record: now }) => become(store(), alice, now, { outbox: entries }))
    const fill = async (count: number): Promise<string[]> => {
      const ids = Array.from({ length: count }, (_, at) => `e${at}`)
      await put(...ids.map((id) => entry(id)))
      return ids
    }
    const complete = (...ids: string[]) =>
      store().completeOutbox(
        ids.map((id) => ({ id })),
        T,
      )
    const take = async (limit: number, now = T, until = now + 100, worker = 'w') =>
      (await store().takeOutbox({ worker, limit, now, until })).map(({ id }) => id)

    it('gives every kind of entry back as it was put', async () => {
      const tasks: OutboxTask[] = [
        {
          kind: 'response',
          topic: 'topic',
          key: 'sealed',
          tag: 4001,
          rpcId: '1700000000000123',
          signer: null,
          claims: { act: 'notify_subscription_response', app: null, nested: [{ a: 1.5 }] },
          view: { accountKey: alice, account: 'eip155:1:0xAbCd', domain: null },
          join: 'a topic',
        },
        {
          kind: 'response',
          topic: 'topic',
          key: 'sealed',
          tag: 4005,
          rpcId: '"text"',
          signer: 'app.example',
          claims: {},
          error: { code: -1, message: 'No' },
          leave: 'a topic',
        },
        { kind: 'changed', accountKey: alice, identityKey: 'did:key:z6Mk' },
        {
          kind: 'notification',
          accountKey: alice,
          subscriptionId: 's',
          projectId: 'p',
          domain: 'd',
          notificationId: 'n',
        },
        { kind: 'notification', accountKey: alice, subscriptionId: 's', domain: 'd', notificationId: 'old' },
        {
          ...{ kind: 'digest', accountKey: alice, subscriptionId: 's', domain: 'd' },
          ...{ slot: T, count: 2, ids: ['a', 'b'] },
        },
        { kind: 'leave', topic: 'topic' },
      ]
      const entries = tasks.map((task, at) => entry(`e${at}`, { task, createdAt: T + at }))
      await put(...entries)
      expect(await store().takeOutbox({ worker: 'w', limit: 10, now: T, until: T + 1 })).toEqual(entries)
    })

    it('takes an entry beside marking nothing as read, once', async () => {
      await become(store(), alice, record([subscription('s')]))
      const task = {
        ...{ kind: 'digest' as const, accountKey: alice, subscriptionId: 's', domain: 'd' },
        ...{ slot: T, count: 1, ids: ['a'] },
      }
      const digest = entry('digest:s.1', { task })
      const marking = { accountKey: alice, subscriptionId: 's', ids: [], at: T, outboxIfChanged: [] }
      for (let nth = 0; nth < 2; nth++)
        expect(await store().markRead({ ...marking, outbox: [digest] })).toMatchObject({ changed: 0 })
      expect(await store().takeOutbox({ worker: 'w', limit: 10, now: T, until: T + 1 })).toEqual([digest])
    })

    it('gives the oldest first, at most as many as asked for', async () => {
      const ids = await fill(10)
      expect(await take(4)).toEqual(ids.slice(0, 4))
      await put(entry('later'))
      expect(await take(100)).toEqual([...ids.slice(4), 'later'])
    })

    it('gives an entry to nobody else until its lease ends, and then again', async () => {
      const ids = await fill(5)
      expect(await take(5, T, T + 100)).toEqual(ids)
      expect(await take(5, T + 99, T + 200, 'other')).toEqual([])
      expect(await take(5, T + 100, T + 200, 'other')).toEqual(ids)
      expect(await take(5, T + 150, T + 300)).toEqual([])
    })

    it('gives what came back before what is new', async () => {
      await fill(3)
      await take(3, T, T + 10)
      await put(entry('new'))
      expect(await take(3, T + 10)).toEqual(['e0', 'e1', 'e2'])
      expect(await take(3, T + 10)).toEqual(['new'])
    })

    it('gives different entries to workers that take at once', async () => {
      const ids = await fill(1000)
      const taken = await Promise.all(
        Array.from({ length: 100 }, (_, at) => take(10, T, T + 100, `worker ${at}`)),
      )
      expect(taken.flat().sort()).toEqual(ids.sort())
      expect(await take(10)).toEqual([])
    })

    it('never gives a completed entry again', async () => {
      await fill(4)
      await take(3)
      await complete('e0', 'e2', 'e3', 'unknown')
      expect(await store().outboxSize()).toBe(1)
      expect(await take(10, T + 1000)).toEqual(['e1'])
      await complete('e0', 'e1')
      expect(await take(10, T + 5000)).toEqual([])
      expect(await store().outboxSize()).toBe(0)
    })

    it('takes entries back before their lease ends, and gives them again from the stated instant on', async () => {
      await fill(3)
      await take(3, T, T + 1000)
      await store().returnOutbox(['e1', 'unknown'], T + 50)
      expect(await take(10, T + 49)).toEqual([])
      expect(await take(10, T + 50, T + 2000)).toEqual(['e1'])
      expect(await take(10, T + 1000, T + 2000)).toEqual(['e0', 'e2'])
    })

    it('may hold an entry back for longer than its lease', async () => {
      await fill(1)
      await take(1, T, T + 10)
      await store().returnOutbox(['e0'], T + 500)
      expect(await take(1, T + 499)).toEqual([])
      expect(await take(1, T + 500)).toEqual(['e0'])
    })

    it('counts its entries, held ones included', async () => {
      expect(await store().outboxSize()).toBe(0)
      await fill(5)
      await take(2)
      expect(await store().outboxSize()).toBe(5)
    })

    it('leaves an entry as it is when its id comes a second time', async () => {
      await put(entry('e', { createdAt: T }))
      await put(entry('e', { createdAt: T + 1 }))
      expect(await store().takeOutbox({ worker: 'w', limit: 10, now: T, until: T + 1 })).toEqual([entry('e')])
    })

    it('calls the listeners when entries were added, and not after they were let go', async () => {
      let calls = 0
      const listening = store().onOutbox(() => {
        calls += 1
      })
      await put(entry('e'))
      await eventually(() => expect(calls).toBeGreaterThan(0))
      await become(store(), alice, record([subscription('s')]))
      const before = calls
      await handOne(store(), alice, 's', 'copy')
      await eventually(() => expect(calls).toBeGreaterThan(before))
      listening[Symbol.dispose]()
      const after = calls
      await put(entry('f'))
      expect(calls).toBe(after)
    })

    it('has the entries by the time it calls the listeners', async () => {
      let seen: Promise<number> | undefined
      // Not any more when the store is closed: a call may come late.
      using _ = store().onOutbox(() => {
        seen ??= store().outboxSize()
      })
      await put(entry('e'))
      await eventually(() => expect(seen).toBeDefined())
      expect(await seen).toBe(1)
    })

    it('loses nothing over a restart, and keeps the order', async () => {
      const ids = await fill(20)
      await take(10, T, T + 100)
      await complete('e3', 'e4', 'e15')
      await stores.reopen()
      await put(entry('later'))
      expect(await store().outboxSize()).toBe(18)
      const left = [...ids.filter((id) => !['e3', 'e4', 'e15'].includes(id)), 'later']
      // Leases have ended by then, whether or not the engine keeps them over a restart.
      expect(await drain(store(), T + 100)).toEqual(left)
    })
  })
}
