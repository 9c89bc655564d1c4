import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CANCELLED } from '../../src/notify/store/receipts.ts'
import type { Notification, OutboxEntry, OutboxEntryOf } from '../../src/notify/store/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { become, notification, record, subscription, T, target } from './notify-samples.ts'

const LEASE = { worker: 'w', until: T + 100 }
type Several = OutboxEntryOf<'notifications'>
const isSeveral = (entry: OutboxEntry): entry is Several => entry.task.kind === 'notifications'

/** One outbox entry for several subscribers, leased to who sends at once. */
export const notifyLeasedContract = (engine: Engine): void => {
  describe(`entries for several subscribers, of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const keyOf = (at: number) => `eip155:0x${(at * 7919).toString(16).padStart(40, '0')}`
    const crowd = async (count: number) => {
      const all = Array.from({ length: count }, (_, at) => at)
      await Promise.all(all.map((at) => become(store(), keyOf(at), record([subscription(`s${at}`)]))))
      return all
    }
    const copyOf = (id: string, at: number) => `${id} ${at}`
    const numberOf = (subscriptionId: string) => Number(subscriptionId.slice(1))
    const targetsOf = (id: string, people: readonly number[]) =>
      people.map((at) => target(keyOf(at), `s${at}`, copyOf(id, at)))
    const hand = async (
      id: string,
      people: readonly number[],
      change: Partial<Notification> = {},
      lease = LEASE,
    ) => {
      const kept = await store().putNotification(notification(id, change))
      return store().enqueueLeased(kept, targetsOf(id, people), lease)
    }
    const named = (entries: readonly Several[]) =>
      entries.flatMap(({ task }) => task.targets.map(({ subscriptionId }) => numberOf(subscriptionId)))
    /** Says that some were published, as a worker does. */
    const settle = async (id: string, entries: readonly Several[], published: readonly number[] = []) => {
      for (const entry of entries) {
        const people = named([entry])
        const others = targetsOf(
          id,
          people.filter((at) => !published.includes(at)),
        )
        await store().settleNotifications(
          [entry],
          {
            published: people
              .filter((at) => published.includes(at))
              .map((at) => ({ accountKey: keyOf(at), deliveredId: copyOf(id, at) })),
            others: others.map(({ accountKey, outbox }) => ({ accountKey, outbox })),
          },
          T + 5,
        )
      }
    }
    const take = (now = T, limit = 1_000) =>
      store().takeOutbox({ worker: 'other', limit, now, until: now + 100 })
    const states = async (id: string) => {
      const all = await store().receipts({ projectId: 'project', domain: 'app.example', id }, { limit: 999 })
      return Object.fromEntries(all.map(({ accountKey, state }) => [accountKey, state]))
    }
    const stateOf = async (id: string, at: number) => (await states(id))[keyOf(at)]

    it('names all that are sent once, and says of the others what became of them', async () => {
      const people = await crowd(300)
      await hand('n', people.slice(0, 10))
      const { outcomes, entries } = await hand('n', [...people, 1_000])
      expect(outcomes).toEqual([
        ...people.map((at) => (at < 10 ? 'repeated' : 'sent')),
        // Never subscribed.
        'gone',
      ])
      expect(named(entries).sort((a, b) => a - b)).toEqual(people.slice(10))
      for (const { task, createdAt, expiresAt } of entries) {
        expect(task).toMatchObject({ projectId: 'project', domain: 'app.example', notificationId: 'n' })
        expect([createdAt, expiresAt]).toEqual([T, target('', '', 'x').outbox.expiresAt])
      }
      expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length)
      expect(new Set(Object.values(await states('n')))).toEqual(new Set(['queued']))
      expect(await store().unreadCounts(['s0', 's299'])).toEqual([1, 1])
    })

    it('adds none when nothing is sent', async () => {
      const people = await crowd(3)
      const first = await hand('n', people)
      expect((await hand('n', people)).entries).toEqual([])
      expect(await store().outboxSize()).toBe(first.entries.length)
      expect(await hand('n', [])).toEqual({ outcomes: [], entries: [] })
    })

    it('are taken by nobody else until their lease ends or they are given back', async () => {
      const people = await crowd(4)
      const { entries } = await hand('n', people)
      expect(await take(T + 99)).toEqual([])
      await store().returnOutbox(
        entries.slice(0, 1).map(({ id }) => id),
        T + 50,
      )
      expect((await take(T + 50)).map(({ id }) => id)).toEqual([entries[0]?.id])
      await stores.reopen()
      expect(new Set((await take(T + 151)).map(({ id }) => id))).toEqual(new Set(entries.map(({ id }) => id)))
    })

    it('end when all are published', async () => {
      const people = await crowd(20)
      const { entries } = await hand('n', people)
      await settle('n', entries, people)
      expect(new Set(Object.values(await states('n')))).toEqual(new Set(['published']))
      expect(await store().outboxSize()).toBe(0)
      await settle('n', entries)
      expect(await store().outboxSize()).toBe(0)
      expect(new Set(Object.values(await states('n')))).toEqual(new Set(['published']))
    })

    it('leave an entry for each that was not published, in their order behind what waits', async () => {
      const people = await crowd(6)
      const { entries } = await hand('n', people)
      await become(store(), keyOf(0), record([subscription('s0')]), {
        outbox: [target(keyOf(0), 's0', 'before').outbox],
      })
      await settle('n', entries, [0, 2, 4])
      const taken = await take()
      expect(taken.map(({ id }) => id).sort()).toEqual(['before', 'n 1', 'n 3', 'n 5'])
      expect(taken.filter(({ id }) => id !== 'before')).toEqual(
        expect.arrayContaining(targetsOf('n', [1, 3, 5]).map(({ outbox }) => outbox)),
      )
      expect(await stateOf('n', 1)).toBe('queued')
      expect(await stateOf('n', 2)).toBe('published')
    })

    it('bring nothing back that was replaced, read, or whose subscription ended meanwhile', async () => {
      const people = await crowd(4)
      const { entries } = await hand('n', people, { collapseKey: 'k' })
      expect((await hand('newer', [0], { collapseKey: 'k' })).outcomes).toEqual(['sent'])
      expect(await stateOf('n', 0)).toBe('failed')
      await store().markRead({
        ...{ accountKey: keyOf(1), subscriptionId: 's1', ids: [copyOf('n', 1)], at: T + 1 },
        ...{ outbox: [], outboxIfChanged: [] },
      })
      await settle('n', entries)
      expect((await take()).map(({ id }) => id).sort()).toEqual(['n 2', 'n 3'])
      expect([await stateOf('n', 0), await stateOf('n', 1)]).toEqual(['failed', 'read'])
    })

    it('are on their way: cancelling takes only what has an entry of its own', async () => {
      const people = await crowd(5)
      const { entries } = await hand('n', people)
      const of = { projectId: 'project', domain: 'app.example', id: 'n' }
      expect(await store().cancelQueued(of, 100, T)).toEqual({ cancelled: 0, more: false })
      await settle('n', entries, [0])
      expect(await store().cancelQueued(of, 100, T + 6)).toEqual({ cancelled: 4, more: false })
      const all = await store().receipts(of, { limit: 9, state: 'failed' })
      expect(all.map(({ reason }) => reason)).toEqual(Array(4).fill(CANCELLED))
      expect(await take()).toEqual([])
    })

    it('a hundred callers at once: each copy is sent once, and is in one entry at the end of all leases', async () => {
      const people = await crowd(40)
      const calls = await Promise.all(
        Array.from({ length: 100 }, (_, at) =>
          hand('n', people.slice(at % 20, (at % 20) + 20), {}, { worker: `w${at}`, until: T + 100 }),
        ),
      )
      const sent = named(calls.flatMap(({ entries }) => entries))
      expect(sent.sort((a, b) => a - b)).toEqual(people.slice(0, 39))
      await stores.reopen()
      const taken = await take(T + 101)
      const several = taken.filter(isSeveral)
      expect(several).toHaveLength(taken.length)
      await settle('n', several)
      const each = await take(T + 102)
      expect(each.map(({ id }) => id).sort()).toEqual(
        people
          .slice(0, 39)
          .map((at) => copyOf('n', at))
          .sort(),
      )
    })
  })
}
