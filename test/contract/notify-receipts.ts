import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  CANCELLED,
  type DeliveryState,
  type NotificationName,
  REPLACED,
} from '../../src/notify/store/receipts.ts'
import type { Notification } from '../../src/notify/store/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import {
  become,
  entry,
  held as heldBy,
  notification,
  record,
  subscription,
  T,
  target,
} from './notify-samples.ts'

const alice = 'eip155:0xalice'
const bob = 'eip155:0xbob'
const name = (id: string): NotificationName => ({ projectId: 'project', domain: 'app.example', id })
const none = { queued: 0, published: 0, delivered: 0, read: 0, failed: 0 }

/** What became of notifications, for each subscriber; taking them back. */
export const notifyReceiptsContract = (engine: Engine): void => {
  describe(`receipts of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
      await become(store(), alice, record([subscription('s'), subscription('t', { domain: 'b.example' })]))
      await become(store(), bob, record([subscription('u')]))
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    /** Hands `id` to one subscriber, as the copy `copy`. */
    const enqueue = async (
      id: string,
      copy: string,
      { to = alice, by = 's', ...change }: { to?: string; by?: string } & Partial<Notification> = {},
    ) => {
      const kept = await store().putNotification(notification(id, change))
      return (await store().enqueue(kept, [target(to, by, copy)], { isLinked: true }))[0]
    }
    const done = (
      id: string,
      copy: string,
      became: 'published' | 'failed' = 'published',
      reason?: string,
    ) => ({
      id: copy,
      receipt: {
        of: name(id),
        accountKey: alice,
        subscriptionId: 's',
        became,
        ...(reason !== undefined && { reason }),
      },
    })
    const publish = (id: string, copy: string, at = T + 1) => store().completeOutbox([done(id, copy)], at)
    const deliver = async (copy: string, at = T + 2) =>
      (await store().markDelivered([{ accountKey: alice, subscriptionId: 's', deliveredId: copy, at }]))[0]
    const read = (which: readonly string[] | 'all', at = T + 3) =>
      store().markRead({
        accountKey: alice,
        subscriptionId: 's',
        ids: which,
        at,
        outbox: [],
        outboxIfChanged: [],
      })
    const take = async (limit = 1000, now = T, until = now + 100) =>
      (await store().takeOutbox({ worker: 'w', limit, now, until })).map(({ id }) => id)
    const all = (id: string, state?: DeliveryState) =>
      store().receipts(name(id), { limit: 1000, ...(state && { state }) })
    const stateOf = async (id: string) => (await all(id)).map(({ state }) => state)
    /** Of the subscriptions of this file. */
    const ownerOf = (subscriptionId: string) => (subscriptionId === 'u' ? bob : alice)
    const history = async (
      subscriptionId = 's',
      page: { after?: string; limit?: number; unreadFirst?: boolean } = {},
    ) => {
      const { after = null, limit = 1000, unreadFirst = false } = page
      const { notifications } = await store().history(ownerOf(subscriptionId), subscriptionId, {
        ...{ after, limit, unreadFirst },
        now: T,
      })
      return notifications.map(({ id }) => id)
    }
    const unread = async (id = 's') => (await store().unreadCounts(heldBy(ownerOf(id), id)))[0]
    /** Accounts that are subscribed to the app, with real addresses. */
    const crowd = async (count: number) => {
      const people = Array.from({ length: count }, (_, at) => ({
        key: `eip155:0x${(at * 7919).toString(16).padStart(40, '0')}`,
        id: `n${at}`,
      }))
      await Promise.all(people.map(({ key, id }) => become(store(), key, record([subscription(id)]))))
      return people
    }
    const handAll = async (id: string, people: readonly { key: string; id: string }[]) => {
      const kept = await store().putNotification(notification(id))
      return store().enqueue(
        kept,
        people.map((one) => target(one.key, one.id, `${id} ${one.id}`)),
      )
    }
    const pages = async (id: string, limit: number, state?: DeliveryState) => {
      const found: string[][] = []
      for (;;) {
        const after = found.at(-1)?.at(-1)
        const page = await store().receipts(name(id), {
          limit,
          ...(state && { state }),
          ...(after !== undefined && { after }),
        })
        if (page.length === 0) return found
        found.push(page.map(({ accountKey }) => accountKey))
      }
    }

    describe('their way', () => {
      it('forgets an account in every state, and nobody else', async () => {
        for (const id of ['queued', 'published', 'delivered', 'read', 'failed']) {
          if (id !== 'failed') await enqueue(id, `a-${id}`)
          else await store().putNotification(notification(id))
          await enqueue(id, `b-${id}`, { to: bob, by: 'u' })
        }
        await store().refuse(
          name('failed'),
          [{ accountKey: alice, account: 'eip155:1:0xAlice', reason: 'no' }],
          T,
        )
        for (const id of ['published', 'delivered', 'read']) await publish(id, `a-${id}`)
        await deliver('a-delivered')
        await read(['a-read'])
        for (const id of ['queued', 'published', 'delivered', 'read', 'failed'] as const) {
          const states = (await store().receipts(name(id), { limit: 9 })).map((one) => [
            one.accountKey,
            one.state,
          ])
          expect(states).toEqual(
            expect.arrayContaining([
              [alice, id],
              [bob, 'queued'],
            ]),
          )
        }
        for (let time = 0; time < 2; time++) {
          await store().forgetReceipts(alice)
          for (const id of ['queued', 'published', 'delivered', 'read', 'failed']) {
            expect(await store().receipts(name(id), { limit: 9 })).toMatchObject([{ accountKey: bob }])
            expect(await store().receiptCounts(name(id))).toEqual({ ...none, queued: 1 })
          }
        }
      })

      it('begin as queued, and go on with what is ticked off, delivered and read', async () => {
        expect(await enqueue('n', 'c')).toBe('sent')
        const receipt = { accountKey: alice, account: `written ${alice}` }
        expect(await all('n')).toEqual([{ ...receipt, state: 'queued', at: T }])
        await take()
        await publish('n', 'c')
        expect(await all('n')).toEqual([{ ...receipt, state: 'published', at: T + 1 }])
        expect(await store().outboxSize()).toBe(0)
        expect(await deliver('c')).toEqual(name('n'))
        expect(await all('n')).toEqual([{ ...receipt, state: 'delivered', at: T + 2 }])
        expect(await read(['c'])).toEqual({ outcome: 'committed', changed: 1 })
        expect(await all('n')).toEqual([{ ...receipt, state: 'read', at: T + 3 }])
        expect(await store().receiptCounts(name('n'))).toEqual({ ...none, read: 1 })
      })

      it('become delivered for many accounts at once, each with the entry that tells of it, once', async () => {
        const people = [
          { accountKey: alice, subscriptionId: 's', copies: ['a1', 'a2'] },
          { accountKey: bob, subscriptionId: 'u', copies: ['b1', 'b2'] },
        ]
        const kept = [
          await store().putNotification(notification('n1')),
          await store().putNotification(notification('n2')),
        ]
        for (const { accountKey, subscriptionId, copies } of people) {
          for (const [at, copy] of copies.entries()) {
            const one = kept[at]
            if (one) await store().enqueue(one, [target(accountKey, subscriptionId, copy)])
          }
        }
        await store().completeOutbox([{ id: 'a1' }, { id: 'a2' }, { id: 'b1' }, { id: 'b2' }], T)
        let rings = 0
        using _ = store().onOutbox(() => rings++)
        const all = people.flatMap(({ accountKey, subscriptionId, copies }, person) =>
          copies.map((deliveredId, at) => ({
            ...{ accountKey, subscriptionId, deliveredId, at: T + 10 * person + at },
            outbox: entry(`event ${deliveredId}`),
          })),
        )
        const gone = { accountKey: alice, subscriptionId: 's', deliveredId: 'no such copy', at: T }
        const told = [...all.slice(0, 2), { ...gone, outbox: entry('event of nothing') }, ...all.slice(2)]
        const names = [name('n1'), name('n2'), undefined, name('n1'), name('n2')]
        expect(await store().markDelivered(told)).toEqual(names)
        expect(rings).toBeGreaterThan(0)
        expect(await store().receipts(name('n2'), { limit: 10 })).toEqual(
          expect.arrayContaining([
            { accountKey: alice, account: `written ${alice}`, state: 'delivered', at: T + 1 },
            { accountKey: bob, account: `written ${bob}`, state: 'delivered', at: T + 11 },
          ]),
        )
        expect((await take()).sort()).toEqual(['event a1', 'event a2', 'event b1', 'event b2'])
        // Another report finds it delivered: nothing is told of it.
        await store().completeOutbox([{ id: 'event a1' }], T)
        expect(await store().markDelivered(told)).toEqual(names.map(() => undefined))
        expect(await store().outboxSize()).toBe(3)
      })

      it('keep the account as it was written, whatever that is', async () => {
        const key = 'eip155:0x00000000000000000000000000000000000000ab'
        const written = 'eip155:8453:0x00000000000000000000000000000000000000aB'
        await become(store(), key, record([subscription('v')]))
        const kept = await store().putNotification(notification('n'))
        await store().enqueue(kept, [{ ...target(key, 'v', 'c'), account: written }])
        expect(await all('n')).toEqual([{ accountKey: key, account: written, state: 'queued', at: T }])
      })

      it('never go back, and leave out what was not seen', async () => {
        await enqueue('n', 'c')
        await take()
        await read('all')
        expect(await stateOf('n')).toEqual(['read'])
        await publish('n', 'c')
        expect(await deliver('c')).toBeUndefined()
        expect(await stateOf('n')).toEqual(['read'])
        expect(await store().outboxSize()).toBe(0)
        await enqueue('m', 'd')
        await take()
        expect(await deliver('d')).toEqual(name('m'))
        await store().completeOutbox([done('m', 'd', 'failed', 'too late to say')], T + 3)
        expect(await stateOf('m')).toEqual(['delivered'])
        expect(await history()).toEqual(['d', 'c'])
      })

      it('fail when the entry is ticked off as failed: the copy is withdrawn', async () => {
        await enqueue('n', 'c')
        await enqueue('m', 'd')
        await take()
        await store().completeOutbox([done('n', 'c', 'failed', 'Why not'), done('m', 'd')], T + 1)
        expect(await all('n')).toEqual([
          { accountKey: alice, account: `written ${alice}`, state: 'failed', reason: 'Why not', at: T + 1 },
        ])
        expect(await history()).toEqual(['d'])
        expect(await unread()).toBe(1)
        expect(await store().delivered(alice, 's', 'c')).toBeUndefined()
        expect(await store().deliveredById('c')).toBeUndefined()
        expect(await deliver('c')).toBeUndefined()
        expect(await read(['c', 'd'])).toEqual({ outcome: 'committed', changed: 1 })
        expect(await stateOf('n')).toEqual(['failed'])
      })

      it('do not move for what is ticked off a second time, or without a receipt', async () => {
        await enqueue('n', 'c')
        await publish('n', 'c')
        await store().completeOutbox([done('n', 'c', 'failed', 'late')], T + 9)
        expect(await stateOf('n')).toEqual(['published'])
        expect(await unread()).toBe(1)
        await enqueue('m', 'd')
        await store().completeOutbox([{ id: 'd' }, { id: 'unknown' }, done('gone', 'unknown')], T)
        expect(await stateOf('m')).toEqual(['queued'])
      })

      it('are there for who was refused, where there was none', async () => {
        await enqueue('n', 'c')
        const failures = [
          { accountKey: alice, account: 'eip155:1:0xAlice', reason: 'No' },
          { accountKey: bob, account: 'eip155:1:0xBob', reason: 'No' },
        ]
        await store().refuse(name('n'), failures, T + 5)
        await store().refuse(name('n'), [{ accountKey: bob, account: 'other', reason: 'Other' }], T + 6)
        await store().refuse(name('unknown'), failures, T + 5)
        expect(await all('n', 'failed')).toEqual([
          { accountKey: bob, account: 'eip155:1:0xBob', state: 'failed', reason: 'No', at: T + 5 },
        ])
        expect(await store().receiptCounts(name('n'))).toEqual({ ...none, queued: 1, failed: 1 })
        expect(await all('unknown')).toEqual([])
        expect(await store().receiptCounts(name('unknown'))).toEqual(none)
      })

      it('begin anew when it is handed over after all, or to another subscription', async () => {
        await store().putNotification(notification('n'))
        await store().refuse(name('n'), [{ accountKey: alice, account: 'a', reason: 'No' }], T)
        expect(await enqueue('n', 'c')).toBe('sent')
        expect(await stateOf('n')).toEqual(['queued'])
        await publish('n', 'c')
        await deliver('c')
        await become(store(), alice, record([subscription('s2')]))
        expect(await enqueue('n', 'c2', { by: 's2' })).toBe('sent')
        expect(await all('n')).toMatchObject([{ state: 'queued' }])
        // What is late concerns the earlier one.
        expect(await deliver('c')).toBeUndefined()
        await publish('n', 'c')
        expect(await stateOf('n')).toEqual(['queued'])
      })

      it('are none of who is gone or has his copy, and end with their notification', async () => {
        expect(await enqueue('n', 'c', { by: 'gone' })).toBe('gone')
        expect(await all('n')).toEqual([])
        await enqueue('m', 'd', { expiresAt: T + 10 })
        await publish('m', 'd')
        expect(await enqueue('m', 'd', { expiresAt: T + 10 })).toBe('repeated')
        expect(await stateOf('m')).toEqual(['published'])
        while ((await store().sweep(T + 10, 100)) > 0);
        expect(await all('m')).toEqual([])
        expect(await enqueue('m', 'd', { createdAt: T + 10, expiresAt: T + 20 })).toBe('sent')
        expect(await stateOf('m')).toEqual(['queued'])
      })

      it('do not belong to the next notification with the same id, without a sweep', async () => {
        await enqueue('m', 'd', { expiresAt: T + 10 })
        await store().refuse(name('m'), [{ accountKey: bob, account: 'b', reason: 'No' }], T)
        expect(await enqueue('m', 'd', { createdAt: T + 10, expiresAt: T + 20 })).toBe('sent')
        expect(await all('m')).toMatchObject([{ accountKey: alice, state: 'queued' }])
      })

      it('survive a restart', async () => {
        await enqueue('n', 'c')
        await enqueue('m', 'd')
        await publish('n', 'c')
        await stores.reopen()
        expect([await stateOf('n'), await stateOf('m')]).toEqual([['published'], ['queued']])
        expect(await store().cancelQueued(name('m'), 10, T + 1000)).toMatchObject({ cancelled: 1 })
      })
    })

    describe('pages and counts', () => {
      it('name every account once, by state or not', async () => {
        const people = await crowd(230)
        await handAll('n', people)
        const taken = await take()
        const of = people.slice(0, 100)
        await store().completeOutbox(
          of.map(({ key, id }) => ({
            id: `n ${id}`,
            receipt: { of: name('n'), accountKey: key, subscriptionId: id, became: 'published' as const },
          })),
          T + 1,
        )
        expect(taken).toHaveLength(230)
        await store().refuse(name('n'), [{ accountKey: bob, account: bob, reason: 'No' }], T)
        const keys = people.map(({ key }) => key)
        const sorted = (pages: string[][]) => pages.flat().sort()
        const everybody = await pages('n', 37)
        expect(everybody.slice(0, -1).every((page) => page.length === 37)).toBe(true)
        expect(sorted(everybody)).toEqual([...keys, bob].sort())
        expect(sorted(await pages('n', 37, 'published'))).toEqual(keys.slice(0, 100).sort())
        expect(sorted(await pages('n', 1000, 'queued'))).toEqual(keys.slice(100).sort())
        expect(sorted(await pages('n', 1, 'failed'))).toEqual([bob])
        expect(sorted(await pages('n', 10, 'read'))).toEqual([])
        expect(await store().receiptCounts(name('n'))).toEqual({
          ...none,
          queued: 130,
          published: 100,
          failed: 1,
        })
      })

      it('miss nobody and repeat nobody while receipts move between pages', async () => {
        const people = await crowd(60)
        await handAll('n', people)
        const seen: string[] = []
        for (let at = 0; ; at++) {
          const after = seen.at(-1)
          const page = await store().receipts(name('n'), { limit: 7, ...(after !== undefined && { after }) })
          if (page.length === 0) break
          seen.push(...page.map(({ accountKey }) => accountKey))
          await store().completeOutbox(
            people
              .filter((_, index) => index % 5 === at % 5)
              .map(({ key, id }) => ({
                id: `n ${id}`,
                receipt: { of: name('n'), accountKey: key, subscriptionId: id, became: 'published' as const },
              })),
            T + 1,
          )
        }
        expect([...seen].sort()).toEqual(people.map(({ key }) => key).sort())
      })
    })

    describe('cancelling', () => {
      it('withdraws what nobody holds, in steps, and leaves what somebody does', async () => {
        const people = await crowd(50)
        await handAll('n', people)
        await enqueue('other', 'c')
        const held = await take(20)
        let cancelled = 0
        for (;;) {
          const step = await store().cancelQueued(name('n'), 7, T + 50)
          expect(step.cancelled).toBeLessThanOrEqual(7)
          cancelled += step.cancelled
          if (!step.more) break
        }
        const heldOfIt = held.filter((id) => id.startsWith('n '))
        expect(cancelled).toBe(50 - heldOfIt.length)
        expect(await store().receiptCounts(name('n'))).toEqual({
          ...none,
          queued: heldOfIt.length,
          failed: cancelled,
        })
        expect((await all('n', 'failed'))[0]).toMatchObject({ reason: CANCELLED, at: T + 50 })
        const counts = await store().unreadCounts(people.flatMap(({ key, id }) => heldBy(key, id)))
        expect(counts.filter((count) => count === 1)).toHaveLength(heldOfIt.length)
        expect(await stateOf('other')).toEqual(['queued'])
        expect(await store().cancelQueued(name('unknown'), 10, T)).toEqual({ cancelled: 0, more: false })
        // When the lease ends they are nobody's.
        expect(await store().cancelQueued(name('n'), 100, T + 100)).toEqual({
          cancelled: heldOfIt.length,
          more: false,
        })
        expect((await take(1000, T + 1000)).filter((id) => id.startsWith('n '))).toEqual([])
      })

      it('withdraws what was given back and waits, also when it expired or its subscription ended', async () => {
        await enqueue('n', 'c')
        await enqueue('n', 'e', { to: bob, by: 'u' })
        await take()
        await store().returnOutbox(['c', 'e'], T + 500)
        await become(store(), bob, record())
        expect(await store().cancelQueued(name('n'), 10, T + 10)).toEqual({ cancelled: 2, more: false })
        expect(await take(10, T + 500)).toEqual([])
        expect(await store().outboxSize()).toBe(0)
      })

      it('does not bring back what is repeated, and keeps its place in the history', async () => {
        for (const [at, id] of ['a', 'b', 'c', 'd'].entries()) {
          await enqueue(`n${id}`, id, { createdAt: T - 10 + at })
        }
        await read(['a'])
        await store().cancelQueued(name('nc'), 10, T)
        expect(await enqueue('nc', 'c', { createdAt: T })).toBe('repeated')
        expect(await history()).toEqual(['d', 'b', 'a'])
        expect(await history('s', { after: 'c' })).toEqual(['b', 'a'])
        expect(await history('s', { after: 'c', unreadFirst: true })).toEqual(['b', 'a'])
        expect(await unread()).toBe(2)
        expect(await take()).not.toContain('c')
      })

      it('takes nothing that was read from the history meanwhile', async () => {
        await enqueue('n', 'c')
        await read(['c'])
        expect(await store().cancelQueued(name('n'), 10, T)).toEqual({ cancelled: 0, more: false })
        expect(await history()).toEqual(['c'])
        expect(await take()).toEqual(['c'])
      })

      it('and taking: each entry goes to one of them', async () => {
        const people = await crowd(100)
        await handAll('n', people)
        const racers = Array.from({ length: 100 }, async (_, at) => {
          // So that some come while others are being written.
          for (let turn = 0; turn < at % 10; turn++) await new Promise((resolve) => setImmediate(resolve))
          if (at % 2 === 1) return (await store().cancelQueued(name('n'), 2, T)).cancelled
          return (await store().takeOutbox({ worker: `${at}`, limit: 1, now: T, until: T + 1000 })).length
        })
        const won = await Promise.all(racers)
        const taken = won.filter((_, at) => at % 2 === 0).reduce((sum, one) => sum + one, 0)
        const cancelled = won.filter((_, at) => at % 2 === 1).reduce((sum, one) => sum + one, 0)
        expect(taken + cancelled).toBe(100)
        expect(cancelled).toBeGreaterThan(0)
        expect(await store().receiptCounts(name('n'))).toEqual({ ...none, queued: taken, failed: cancelled })
        expect(await store().outboxSize()).toBe(taken)
      })
    })

    describe('collapsing', () => {
      const key = { collapseKey: 'price' }

      it('replaces what the wallet does not have yet, published or not', async () => {
        await enqueue('n1', 'c1', key)
        await enqueue('n2', 'c2', key)
        expect(await all('n1')).toMatchObject([{ state: 'failed', reason: REPLACED }])
        await take()
        await publish('n2', 'c2')
        await enqueue('n3', 'c3', key)
        expect(await all('n2')).toMatchObject([{ state: 'failed', reason: REPLACED }])
        expect(await history()).toEqual(['c3'])
        expect(await unread()).toBe(1)
        expect(await take()).toEqual(['c3'])
        expect(await store().outboxSize()).toBe(1)
        // Whoever held the entry comes too late.
        await publish('n1', 'c1')
        expect(await stateOf('n1')).toEqual(['failed'])
      })

      it('leaves what was delivered or read, other keys, other subscriptions, and what has none', async () => {
        await enqueue('n1', 'c1', key)
        await take()
        await publish('n1', 'c1')
        await deliver('c1')
        await enqueue('n2', 'c2', key)
        await read(['c2'])
        await enqueue('n3', 'c3', key)
        await enqueue('n4', 'c4', { collapseKey: 'any key: ünïcode, "quotes" and\0zeros' })
        await enqueue('n5', 'c5')
        await enqueue('n6', 'c6', { ...key, domain: 'b.example', by: 't' })
        await enqueue('n7', 'c7', { ...key, to: bob, by: 'u' })
        expect(await history()).toEqual(['c5', 'c4', 'c3', 'c2', 'c1'])
        expect([await history('t'), await history('u')]).toEqual([['c6'], ['c7']])
        expect(await unread()).toBe(4)
      })

      it('does not let a repeated older one replace the newer', async () => {
        await enqueue('n1', 'c1', key)
        await enqueue('n2', 'c2', key)
        expect(await enqueue('n1', 'c1', key)).toBe('repeated')
        expect(await history()).toEqual(['c2'])
        expect(await stateOf('n2')).toEqual(['queued'])
      })

      it('leaves one of a hundred that come at once', async () => {
        const sent = await Promise.all(
          Array.from({ length: 100 }, (_, at) => enqueue(`n${at}`, `c${at}`, { ...key, createdAt: T + at })),
        )
        expect(new Set(sent)).toEqual(new Set(['sent']))
        expect(await unread()).toBe(1)
        const [last = ''] = await history()
        expect(await take()).toEqual([last])
        const states = await Promise.all(Array.from({ length: 100 }, (_, at) => stateOf(`n${at}`)))
        expect(states.flat().filter((state) => state === 'failed')).toHaveLength(99)
      })

      it('and taking: what is taken was not replaced before', async () => {
        for (let at = 0; at < 20; at++) {
          await enqueue(`n${at}`, `c${at}`, { ...key, collapseKey: `${at}` })
        }
        const [taken] = await Promise.all([
          Promise.all(Array.from({ length: 50 }, () => take(1))),
          Promise.all(
            Array.from({ length: 20 }, (_, at) => enqueue(`m${at}`, `d${at}`, { collapseKey: `${at}` })),
          ),
        ])
        const ids = [...taken.flat(), ...(await take())]
        expect(new Set(ids).size).toBe(ids.length)
        // Every newer one is sent, older ones only if they were taken first.
        expect(ids.filter((id) => id.startsWith('d'))).toHaveLength(20)
        await store().completeOutbox(
          ids.map((id) => done(id.startsWith('c') ? `n${id.slice(1)}` : `m${id.slice(1)}`, id)),
          T + 1,
        )
        const older = await Promise.all(Array.from({ length: 20 }, (_, at) => stateOf(`n${at}`)))
        const newer = await Promise.all(Array.from({ length: 20 }, (_, at) => stateOf(`m${at}`)))
        expect(new Set(older.flat())).toEqual(new Set(['failed']))
        expect(new Set(newer.flat())).toEqual(new Set(['published']))
        expect(await unread()).toBe(20)
        expect(await store().outboxSize()).toBe(0)
      })
    })

    describe('races', () => {
      it('tell exactly one of a hundred that it delivered, also while it is read', async () => {
        await enqueue('n', 'c')
        await take()
        await publish('n', 'c')
        const told = await Promise.all(Array.from({ length: 100 }, () => deliver('c')))
        expect(told.filter((one) => one !== undefined)).toEqual([name('n')])
        await enqueue('m', 'd')
        const [delivered, marked] = await Promise.all([
          Promise.all(Array.from({ length: 50 }, () => deliver('d'))),
          Promise.all(Array.from({ length: 50 }, () => read('all'))),
        ])
        expect(delivered.filter((one) => one !== undefined).length).toBeLessThanOrEqual(1)
        const changed = marked.map((one) => (one.outcome === 'committed' ? one.changed : 0))
        expect(changed.reduce((sum, one) => sum + one, 0)).toBe(2)
        expect([await stateOf('n'), await stateOf('m')]).toEqual([['read'], ['read']])
      })

      it('keep unread counts what the history says, whoever hands, marks, withdraws', async () => {
        const racers = Array.from({ length: 100 }, (_, at) => {
          if (at % 4 === 3) return read('all')
          if (at % 4 === 2) return read([`c${at - 1}`, `c${at - 2}`])
          return enqueue(`n${at}`, `c${at}`, { createdAt: T - at, ...(at % 8 === 0 && { collapseKey: 'k' }) })
        })
        const cancels = Array.from({ length: 50 }, (_, at) => store().cancelQueued(name(`n${4 * at}`), 1, T))
        await Promise.all([...racers, ...cancels])
        const { notifications } = await store().history(alice, 's', {
          after: null,
          limit: 1000,
          unreadFirst: false,
          now: T,
        })
        expect(await unread()).toBe(notifications.filter(({ isRead }) => !isRead).length)
        for (const { notification: one, isRead } of notifications) {
          expect(await stateOf(one.id)).toEqual([isRead ? 'read' : 'queued'])
        }
        const left = await store().outboxSize()
        expect(await take()).toHaveLength(left)
      })
    })

    it('pages of a history stay right while copies arrive, are read and withdrawn', async () => {
      let at = 0
      /** A small generator: the same course each time. */
      const chance = (limit: number) => {
        at = (at * 1103515245 + 12345) % 2147483648
        return at % limit
      }
      for (let n = 0; n < 40; n++) await enqueue(`n${n}`, `c${n}`, { createdAt: T - 100 + chance(20) })
      const before = await history()
      const withdrawn = new Set<string>()
      const seen: string[] = []
      for (let n = 0; ; n++) {
        const after = seen.at(-1)
        const page = await history('s', { limit: 3, ...(after !== undefined && { after }) })
        if (page.length === 0) break
        seen.push(...page)
        await enqueue(`new${n}`, `d${n}`, { createdAt: T - 100 + chance(30) })
        await read([`c${chance(40)}`, page[chance(3)] ?? ''])
        const gone = n % 2 === 0 ? `${page.at(-1)}`.replace('c', 'n') : `n${chance(40)}`
        if ((await store().cancelQueued(name(gone), 1, T)).cancelled > 0)
          withdrawn.add(gone.replace('n', 'c'))
      }
      expect(new Set(seen).size).toBe(seen.length)
      const missed = before.filter((id) => !seen.includes(id))
      expect(missed.filter((id) => !withdrawn.has(id))).toEqual([])
      expect(withdrawn.size).toBeGreaterThan(3)
    })

    describe('what was sent', () => {
      const ids = ({ notifications }: { notifications: Notification[] }) => notifications.map(({ id }) => id)

      it('is listed newest first, by project or app, in pages that nothing moves', async () => {
        const sent: string[] = []
        for (let at = 0; at < 12; at++) {
          const domain = at % 3 === 0 ? 'b.example' : 'app.example'
          await store().putNotification(notification(`n${at}`, { domain, createdAt: T + Math.floor(at / 4) }))
          sent.unshift(`n${at}`)
        }
        await store().putNotification(notification('foreign', { projectId: 'other' }))
        expect((await store().notifications('project', { limit: 100 })).next).toBeNull()
        const found: string[] = []
        for (let after: string | null | undefined; after !== null; ) {
          const page = await store().notifications('project', {
            limit: 5,
            ...(after !== undefined && { after }),
          })
          found.push(...ids(page))
          await store().putNotification(notification(`new ${page.next}`, { createdAt: T + 50 }))
          after = page.next
        }
        const instants = (list: string[]) => list.map((id) => Math.floor(Number(id.slice(1)) / 4))
        expect([...found].sort()).toEqual([...sent].sort())
        expect(instants(found)).toEqual(instants(sent))
        const own = await store().notifications('project', { domain: 'b.example', limit: 100 })
        expect(ids(own).sort()).toEqual(['n0', 'n3', 'n6', 'n9'])
        expect(own.next).toBeNull()
        expect(ids(await store().notifications('nobody', { limit: 5 }))).toEqual([])
      })

      it('refuses a cursor that no page ended with', async () => {
        await store().putNotification(notification('n'))
        for (const after of ['', 'AAAA', '!', 'A'.repeat(200)]) {
          await expect(store().notifications('project', { limit: 5, after })).rejects.toMatchObject({
            code: 'bad_params',
          })
        }
      })

      it('is not listed any more when it is swept', async () => {
        await store().putNotification(notification('short', { expiresAt: T + 5 }))
        const kept = await store().putNotification(
          notification('long', { deliverBy: T + 6, collapseKey: 'k' }),
        )
        while ((await store().sweep(T + 5, 100)) > 0);
        expect((await store().notifications('project', { limit: 5 })).notifications).toEqual([kept])
      })
    })

    it('lets entries that are no copies be ticked off among those that are', async () => {
      await become(store(), bob, record([subscription('u')]), { outbox: [entry('answer')] })
      await enqueue('n', 'c')
      await take()
      await store().completeOutbox([{ id: 'answer' }, done('n', 'c')], T)
      expect(await store().outboxSize()).toBe(0)
      expect(await stateOf('n')).toEqual(['published'])
    })
  })
}
