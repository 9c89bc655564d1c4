import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProtocolError } from '../../src/protocol/errors.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import {
  become,
  DAY,
  drain,
  entry,
  handOne,
  held,
  notification,
  record,
  subscription,
  T,
  target,
} from './notify-samples.ts'

const alice = 'eip155:0xalice'
const bob = 'eip155:0xbob'

/** Notifications, the copies that subscribers have, and what they have read. */
export const notifyHistoryContract = (engine: Engine): void => {
  describe(`notifications of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
      await become(store(), alice, record([subscription('s'), subscription('t', { domain: 'b.example' })]))
      await become(store(), bob, record([subscription('u')]))
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const page = { after: null, limit: 50, unreadFirst: false, now: T }
    const ids = async (id: string, change: Partial<Parameters<TestStores['notify']['history']>[2]> = {}) =>
      (await store().history(alice, id, { ...page, ...change })).notifications.map((copy) => copy.id)
    const mark = (subscriptionId: string, which: readonly string[] | 'all', more = {}) =>
      store().markRead({
        accountKey: alice,
        subscriptionId,
        ids: which,
        at: T,
        outbox: [],
        outboxIfChanged: [],
        ...more,
      })
    /** Copies c0, c1, … of one subscription, each a little later than the one before. */
    const fill = async (count: number) => {
      for (let at = 0; at < count; at++)
        await handOne(store(), alice, 's', `c${at}`, { createdAt: T - 100 + at })
    }

    /** Wallets write ids as they please: these can be none, and are unknown like any other. */
    const ODD = ['', '\0', 'a\0b', '🔔'.repeat(255), '__proto__']

    describe('keeping', () => {
      it('keeps a notification once, and answers what is kept', async () => {
        const first = notification('n')
        expect(await store().putNotification(first)).toEqual(first)
        expect(await store().putNotification(notification('n', { title: 'Another' }))).toEqual(first)
        expect(await store().notification('project', 'app.example', 'n')).toEqual(first)
      })

      it('tells notifications apart by project, domain and id', async () => {
        const all = [
          notification('n'),
          notification('n', { projectId: 'other', title: '2' }),
          notification('n', { domain: 'b.example', title: '3' }),
          notification('m', { title: '4' }),
          notification('any id: ünïcode, "quotes" and\0zeros', { title: '5' }),
        ]
        for (const one of all) expect(await store().putNotification(one)).toEqual(one)
        for (const one of all) {
          expect(await store().notification(one.projectId, one.domain, one.id)).toEqual(one)
        }
        expect(await store().notification('project', 'app.example', 'unknown')).toBeUndefined()
      })

      it('keeps the same one for everybody who puts one at once', async () => {
        const kept = await Promise.all(
          Array.from({ length: 100 }, (_, at) =>
            store().putNotification(notification('n', { title: `${at}` })),
          ),
        )
        expect(new Set(kept.map(({ title }) => title)).size).toBe(1)
      })

      it('gives an id free when its notification has expired, without a sweep', async () => {
        await store().putNotification(notification('n', { expiresAt: T + 10 }))
        const late = notification('n', { title: 'Late', createdAt: T + 10 })
        expect(await store().putNotification(late)).toEqual(late)
      })
    })

    describe('handing over', () => {
      it('gives each subscriber a copy, an unread mark and an outbox entry', async () => {
        const one = await store().putNotification(notification('n'))
        const targets = [target(alice, 's', 'c1'), target(bob, 'u', 'c2')]
        expect(await store().enqueue(one, targets)).toEqual(['sent', 'sent'])
        expect(await store().delivered(alice, 's', 'c1')).toEqual({
          id: 'c1',
          sentAt: T,
          isRead: false,
          notification: one,
        })
        expect((await store().delivered(bob, 'u', 'c2'))?.notification).toEqual(one)
        expect(await store().unreadCounts([...held(bob, 'u'), ...held(alice, 's', 't', 'unknown')])).toEqual([
          1, 1, 0, 0,
        ])
        const taken = await store().takeOutbox({ worker: 'w', limit: 10, now: T, until: T + 1 })
        expect(taken).toEqual(targets.map(({ outbox }) => outbox))
      })

      it('leaves a target that has its copy already, and one that is gone, as they are', async () => {
        const one = await store().putNotification(notification('n'))
        await store().enqueue(one, [target(alice, 's', 'c1')])
        await mark('s', ['c1'])
        await drain(store())
        const targets = [
          target(alice, 's', 'c1'),
          target(alice, 'gone', 'c2'),
          target(bob, 's', 'c3'),
          target(alice, 't', 'c4'),
        ]
        const linked = { isLinked: true }
        expect(await store().enqueue(one, targets, linked)).toEqual(['repeated', 'gone', 'gone', 'sent'])
        expect(await store().unreadCounts(held(alice, 's', 't'))).toEqual([0, 1])
        expect(await drain(store())).toEqual(['c4'])
        expect(await store().deliveredById('c2')).toBeUndefined()
        expect(await store().deliveredById('c3')).toBeUndefined()
      })

      it('hands a copy over exactly once when many try at once', async () => {
        const one = await store().putNotification(notification('n'))
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => store().enqueue(one, [target(alice, 's', 'c')])),
        )
        expect(answers.flat().filter((answer) => answer === 'sent')).toHaveLength(1)
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
        expect(await store().outboxSize()).toBe(1)
      })

      it('reaches thousands of subscribers in one call', async () => {
        const accounts = Array.from({ length: 1200 }, (_, at) => `account ${at}`)
        await Promise.all(
          accounts.map((accountKey, at) => become(store(), accountKey, record([subscription(`n${at}`)]))),
        )
        const one = await store().putNotification(notification('n'))
        const targets = accounts.map((accountKey, at) => target(accountKey, `n${at}`, `copy ${at}`))
        const answers = await store().enqueue(one, targets)
        expect(answers).toHaveLength(1200)
        expect(new Set(answers)).toEqual(new Set(['sent']))
        expect(await store().outboxSize()).toBe(1200)
      })

      it('finds a copy by its id alone, and no copy in a foreign subscription', async () => {
        await handOne(store(), alice, 's', 'c')
        expect((await store().deliveredById('c'))?.id).toBe('c')
        expect(await store().delivered(bob, 'u', 'c')).toBeUndefined()
        expect(await store().delivered(alice, 's', 'unknown')).toBeUndefined()
        expect(await store().deliveredById('unknown')).toBeUndefined()
      })
    })

    describe('history', () => {
      it('is newest first, ties by id, descending', async () => {
        for (const [id, createdAt] of [
          ['b', T],
          ['late', T + 5],
          ['c', T],
          ['a', T],
          ['early', T - 5],
        ] as const) {
          await handOne(store(), alice, 's', id, { createdAt })
        }
        expect(await ids('s')).toEqual(['late', 'c', 'b', 'a', 'early'])
        await mark('s', ['c', 'early'])
        expect(await ids('s')).toEqual(['late', 'c', 'b', 'a', 'early'])
        expect(await ids('t')).toEqual([])
        expect(await ids('unknown')).toEqual([])
      })

      it('says what was read and what was sent', async () => {
        await fill(2)
        await mark('s', ['c0'])
        const { notifications } = await store().history(alice, 's', page)
        expect(notifications.map(({ id, isRead, sentAt }) => ({ id, isRead, sentAt }))).toEqual([
          { id: 'c1', isRead: false, sentAt: T - 99 },
          { id: 'c0', isRead: true, sentAt: T - 100 },
        ])
        expect(notifications[0]?.notification.title).toBe('Title of of c1')
      })

      it('pages without gap or repetition through copies of the same instant', async () => {
        const all = Array.from({ length: 23 }, (_, at) => `c${`${at}`.padStart(2, '0')}`)
        for (const id of all) await handOne(store(), alice, 's', id)
        await mark(
          's',
          all.filter((_, at) => at % 3 === 0),
        )
        for (const unreadFirst of [false, true]) {
          const read: string[] = []
          for (let hasMore = true; hasMore; ) {
            const after = read.at(-1) ?? null
            const next = await store().history(alice, 's', { ...page, after, limit: 4, unreadFirst })
            read.push(...next.notifications.map(({ id }) => id))
            hasMore = next.hasMore
          }
          const newest = [...all].reverse()
          const isRead = (id: string) => all.indexOf(id) % 3 === 0
          expect(read).toEqual(
            unreadFirst ? [...newest.filter((id) => !isRead(id)), ...newest.filter(isRead)] : newest,
          )
        }
      })

      it('is not shifted by what arrives between two pages', async () => {
        await fill(6)
        const first = await ids('s', { limit: 3 })
        await handOne(store(), alice, 's', 'new', { createdAt: T })
        expect([...first, ...(await ids('s', { limit: 3, after: 'c3' }))]).toEqual([
          'c5',
          'c4',
          'c3',
          'c2',
          'c1',
          'c0',
        ])
      })

      it('puts unread ones first when asked to', async () => {
        await fill(4)
        await mark('s', ['c3', 'c1'])
        expect(await ids('s', { unreadFirst: true })).toEqual(['c2', 'c0', 'c3', 'c1'])
        expect(await ids('s', { unreadFirst: true, after: 'c2' })).toEqual(['c0', 'c3', 'c1'])
        expect(await ids('s', { unreadFirst: true, after: 'c3' })).toEqual(['c1'])
      })

      it('says whether there is more, and whether an unread one stands on a later page', async () => {
        await fill(4)
        await mark('s', ['c3', 'c2', 'c0'])
        const flags = async (change: Partial<Parameters<TestStores['notify']['history']>[2]>) => {
          const { hasMore, hasMoreUnread } = await store().history(alice, 's', { ...page, ...change })
          return [hasMore, hasMoreUnread]
        }
        expect(await flags({ limit: 1 })).toEqual([true, true])
        expect(await flags({ limit: 2 })).toEqual([true, true])
        expect(await flags({ limit: 3 })).toEqual([true, false])
        expect(await flags({ limit: 4 })).toEqual([false, false])
        expect(await flags({ limit: 1, after: 'c3' })).toEqual([true, true])
        expect(await flags({ limit: 1, after: 'c2' })).toEqual([true, false])
        expect(await flags({ limit: 1, unreadFirst: true })).toEqual([true, false])
        expect(await flags({ limit: 2, unreadFirst: true })).toEqual([true, false])
        await handOne(store(), alice, 's', 'x', { createdAt: T })
        expect(await flags({ limit: 1, unreadFirst: true })).toEqual([true, true])
      })

      it('refuses to begin behind a copy that it does not have', async () => {
        await handOne(store(), alice, 't', 'foreign')
        await handOne(store(), alice, 's', 'short', { expiresAt: T + 5 })
        for (const after of ['unknown', 'foreign', 'short', ...ODD]) {
          const refused = store().history(alice, 's', { ...page, after, now: T + 5 })
          await expect(refused).rejects.toThrow(ProtocolError)
          await expect(refused).rejects.toMatchObject({ code: 'unknown_notification' })
        }
        expect(await ids('s', { after: 'short', now: T + 4 })).toEqual([])
      })

      it('does not show what has expired, without a sweep', async () => {
        await handOne(store(), alice, 's', 'long', { createdAt: T - 2 })
        await handOne(store(), alice, 's', 'short', { createdAt: T - 1, expiresAt: T + 5 })
        expect(await ids('s', { now: T + 4 })).toEqual(['short', 'long'])
        expect(await ids('s', { now: T + 5 })).toEqual(['long'])
        const first = await store().history(alice, 's', { ...page, now: T + 5, limit: 1 })
        expect(first.hasMore).toBe(false)
      })
    })

    describe('marking as read', () => {
      it('marks the named ones, each once, and says how many changed', async () => {
        await fill(4)
        await handOne(store(), bob, 'u', 'foreign')
        const which = ['c0', 'c2', 'c2', 'unknown', 'foreign', ...ODD]
        expect(await mark('s', which)).toEqual({ outcome: 'committed', changed: 2 })
        expect(await mark('s', which)).toEqual({ outcome: 'committed', changed: 0 })
        expect(await store().unreadCounts([...held(alice, 's'), ...held(bob, 'u')])).toEqual([2, 1])
        expect((await store().delivered(alice, 's', 'c0'))?.isRead).toBe(true)
        expect((await store().delivered(alice, 's', 'c1'))?.isRead).toBe(false)
      })

      it('marks all of a subscription, and no others', async () => {
        await fill(4)
        await handOne(store(), alice, 't', 'other')
        expect(await mark('s', 'all')).toEqual({ outcome: 'committed', changed: 4 })
        expect(await mark('s', 'all')).toEqual({ outcome: 'committed', changed: 0 })
        expect(await store().unreadCounts(held(alice, 's', 't'))).toEqual([0, 1])
      })

      it('changes nothing in a subscription that is gone', async () => {
        expect(await mark('gone', 'all')).toEqual({ outcome: 'committed', changed: 0 })
      })

      it('writes the outbox always, and the second part only when something changed', async () => {
        await fill(1)
        const more = { outbox: [entry('always')], outboxIfChanged: [entry('changed')] }
        await mark('s', ['c0'], more)
        expect((await drain(store())).sort()).toEqual(['always', 'c0', 'changed'])
        await mark('s', ['c0'], more)
        expect(await drain(store())).toEqual(['always'])
      })

      it('does a request once, also when it changed nothing', async () => {
        await fill(1)
        const requestId = { id: 'request', expiresAt: T + DAY }
        expect(await mark('s', [], { requestId })).toEqual({ outcome: 'committed', changed: 0 })
        expect(await store().wasCommitted('request', T)).toBe(true)
        expect(await mark('s', 'all', { requestId, outbox: [entry('e')] })).toEqual({ outcome: 'repeated' })
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
        expect(await drain(store())).toEqual(['c0'])
      })

      it('changes each copy once when many mark at once', async () => {
        await fill(10)
        const answers = await Promise.all(Array.from({ length: 50 }, () => mark('s', 'all')))
        const changed = answers.map((answer) => (answer.outcome === 'committed' ? answer.changed : 0))
        expect(changed.reduce((sum, one) => sum + one, 0)).toBe(10)
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([0])
      })
    })

    describe('sweeping', () => {
      /** Sweeps in steps of `limit`, checks that no step took more, and answers the sum. */
      const sweepAll = async (now: number, limit: number): Promise<number> => {
        for (let sum = 0; ; ) {
          const swept = await store().sweep(now, limit)
          expect(swept).toBeLessThanOrEqual(limit)
          if (swept === 0) return sum
          sum += swept
        }
      }

      it('removes what expired, in bounded steps, and what stays is untouched', async () => {
        for (let at = 0; at < 10; at++)
          await handOne(store(), alice, 's', `short ${at}`, { expiresAt: T + 5 })
        await mark('s', ['short 0'])
        await handOne(store(), alice, 's', 'long')
        await become(store(), bob, record(), { requestId: { id: 'request', expiresAt: T + 5 } })
        expect(await store().sweep(T + 4, 100)).toBe(0)
        expect(await sweepAll(T + 5, 7)).toBeGreaterThanOrEqual(10)
        expect(await ids('s', { now: T })).toEqual(['long'])
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
        expect(await store().deliveredById('short 1')).toBeUndefined()
        expect(await store().notification('project', 'app.example', 'of short 1')).toBeUndefined()
        expect(await store().deliveredById('long')).toBeDefined()
      })

      it('leaves nothing of a subscription that ended, and none of its successor', async () => {
        await fill(25)
        await become(store(), alice, record())
        await become(store(), alice, record([subscription('s2')]))
        await handOne(store(), alice, 's2', 'new')
        await sweepAll(T, 10)
        for (let at = 0; at < 25; at++) expect(await store().deliveredById(`c${at}`)).toBeUndefined()
        expect(await ids('s2')).toEqual(['new'])
        expect(await store().unreadCounts(held(alice, 's', 's2'))).toEqual([0, 1])
      })

      it('does not take a notification that came after an expired one with its id', async () => {
        await store().putNotification(notification('n', { expiresAt: T + 5 }))
        const late = await store().putNotification(notification('n', { createdAt: T + 5 }))
        await sweepAll(T + 5, 100)
        expect(await store().notification('project', 'app.example', 'n')).toEqual(late)
      })

      it('hands over again what expired before it was swept', async () => {
        await handOne(store(), alice, 's', 'c', { expiresAt: T + 5 })
        const late = { createdAt: T + 5, title: 'Late' }
        await drain(store())
        expect(await handOne(store(), alice, 's', 'c', late)).toBe('sent')
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
        await sweepAll(T + 5, 100)
        expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
        expect((await store().delivered(alice, 's', 'c'))?.notification.title).toBe('Late')
      })
    })

    it('loses nothing over a restart', async () => {
      await fill(5)
      await mark('s', ['c4'])
      await handOne(store(), bob, 'u', 'x')
      await become(store(), bob, record())
      await stores.reopen()
      expect(await ids('s', { unreadFirst: true })).toEqual(['c3', 'c2', 'c1', 'c0', 'c4'])
      expect(await store().unreadCounts(held(alice, 's'))).toEqual([4])
      expect(await store().deliveredById('x')).toBeUndefined()
      const one = await store().putNotification(notification('of c0', { title: 'Another' }))
      expect(one.title).toBe('Title of of c0')
      expect(await store().enqueue(one, [target(alice, 's', 'c0')])).toEqual(['repeated'])
    })
  })
}
