import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine, TestStores } from '../support/stores.ts'
import { become, DAY, drain, entry, handOne, record, subscription, T, watcher } from './notify-samples.ts'

const alice = 'eip155:0xalice'
const bob = 'eip155:0xbob'

/** Accounts: one commit, and everything that must agree with it. */
export const notifyAccountsContract = (engine: Engine): void => {
  describe(`accounts of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives an account that was never there version 0 and nothing in it', async () => {
      expect(await store().account(alice)).toEqual({ version: 0, record: record() })
    })

    it('gives back what was committed, under a new version each time', async () => {
      const first = record([subscription('s')], [watcher('w', { domain: 'app.example' }), watcher('v')])
      await become(store(), alice, first)
      const before = await store().account(alice)
      expect(before.record).toEqual(first)
      await become(store(), alice, first)
      const after = await store().account(alice)
      expect(after.record).toEqual(first)
      expect(after.version).not.toBe(before.version)
    })

    it('tells accounts apart that differ in case only, and keeps how each is written', async () => {
      const address = 'GwAF45zjfyGzUbd3i3hXxzGeuchzEZXwpRYHZM5912F1'
      const spellings = [address, address.replace('F1', 'f1'), address.toLowerCase()]
      const recordOf = (at: number, spelled: string) => {
        const account = `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${spelled}`
        return record([subscription(`s${at}`, { account })], [watcher(`w${at}`, { account })])
      }
      for (const [at, spelled] of spellings.entries()) {
        await become(store(), `solana:${spelled}`, recordOf(at, spelled))
      }
      for (const [at, spelled] of spellings.entries()) {
        const key = `solana:${spelled}`
        expect((await store().account(key)).record).toEqual(recordOf(at, spelled))
        expect(await store().topicOwner(`topic of s${at}`)).toMatchObject({ accountKey: key })
      }
      const page = await store().subscribers('app.example', { limit: 10 })
      expect(page.map(({ accountKey }) => accountKey).sort()).toEqual(
        spellings.map((spelled) => `solana:${spelled}`).sort(),
      )
    })

    it('changes nothing for a commit that was worked out from another version', async () => {
      const commit = {
        accountKey: alice,
        record: record([subscription('s')]),
        requestId: { id: 'request', expiresAt: T + DAY },
        outbox: [entry('e')],
      }
      expect(await store().commit({ ...commit, expectedVersion: 7 })).toBe('conflict')
      expect(await store().account(alice)).toEqual({ version: 0, record: record() })
      expect(await store().topicOwner('topic of s')).toBeUndefined()
      expect(await store().wasCommitted('request', T)).toBe(false)
      expect(await store().outboxSize()).toBe(0)
      expect(await store().commit({ ...commit, expectedVersion: 0 })).toBe('committed')
      const { requestId: _, ...another } = commit
      expect(await store().commit({ ...another, expectedVersion: 0 })).toBe('conflict')
    })

    it('lets exactly one of many commits of one version through', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, at) =>
          store().commit({
            accountKey: alice,
            expectedVersion: 0,
            record: record([subscription(`s${at}`)]),
            outbox: [entry(`e${at}`)],
          }),
        ),
      )
      expect(outcomes.filter((outcome) => outcome === 'committed')).toHaveLength(1)
      const winner = outcomes.indexOf('committed')
      expect((await store().account(alice)).record.subscriptions[0]?.id).toBe(`s${winner}`)
      expect(await drain(store())).toEqual([`e${winner}`])
      expect(await store().topics({ limit: 10 })).toEqual([`topic of s${winner}`])
    })

    it('never gives a version twice, not even to an account that was empty in between', async () => {
      await become(store(), alice, record([subscription('s')]))
      const { version } = await store().account(alice)
      await become(store(), alice, record())
      await become(store(), alice, record([subscription('s2')]))
      const late = { accountKey: alice, expectedVersion: version, record: record(), outbox: [] }
      expect(await store().commit(late)).toBe('conflict')
    })

    it('commits a request once, whatever version the repetition states', async () => {
      const requestId = { id: 'request', expiresAt: T + DAY }
      await become(store(), alice, record([subscription('s')]), { requestId, outbox: [entry('e')] })
      const { version } = await store().account(alice)
      for (const expectedVersion of [0, version]) {
        const again = {
          accountKey: alice,
          expectedVersion,
          record: record(),
          requestId,
          outbox: [entry('f')],
        }
        expect(await store().commit(again)).toBe('repeated')
      }
      expect((await store().account(alice)).version).toBe(version)
      expect(await drain(store())).toEqual(['e'])
    })

    it('knows which requests were committed, until they expire', async () => {
      await become(store(), alice, record(), { requestId: { id: 'request', expiresAt: T + 10 } })
      expect(await store().wasCommitted('request', T + 9)).toBe(true)
      expect(await store().wasCommitted('request', T + 10)).toBe(false)
      expect(await store().wasCommitted('other', T)).toBe(false)
    })

    it('commits the same request exactly once when it comes many times at once', async () => {
      const requestId = { id: 'request', expiresAt: T + DAY }
      const commit = {
        accountKey: alice,
        expectedVersion: 0,
        record: record([subscription('s')]),
        outbox: [],
      }
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, () => store().commit({ ...commit, requestId })),
      )
      expect(outcomes.filter((outcome) => outcome === 'committed')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome === 'repeated')).toHaveLength(99)
    })

    it('knows whose a notify topic is, as long as there is a subscription', async () => {
      await become(store(), alice, record([subscription('s')]))
      expect(await store().topicOwner('topic of s')).toEqual({ accountKey: alice, subscriptionId: 's' })
      await become(store(), alice, record([subscription('s2')]))
      expect(await store().topicOwner('topic of s')).toBeUndefined()
      expect(await store().topicOwner('topic of s2')).toEqual({ accountKey: alice, subscriptionId: 's2' })
      await become(store(), alice, record([subscription('s2', { topic: 'moved' })]))
      expect(await store().topicOwner('topic of s2')).toBeUndefined()
      expect(await store().topicOwner('moved')).toEqual({ accountKey: alice, subscriptionId: 's2' })
    })

    it('gives the account of a notify topic as a commit of its next record needs it', async () => {
      expect(await store().accountAt('topic of s')).toBeUndefined()
      await become(store(), alice, record([subscription('s')], [watcher('w')]))
      const found = await store().accountAt('topic of s')
      expect(found).toEqual({ accountKey: alice, ...(await store().account(alice)) })
      const next = record([subscription('s2')])
      const commit = { accountKey: alice, expectedVersion: found?.version ?? 0, record: next, outbox: [] }
      expect(await store().commit(commit)).toBe('committed')
      expect(await store().commit(commit)).toBe('conflict')
      expect(await store().accountAt('topic of s')).toBeUndefined()
      expect((await store().accountAt('topic of s2'))?.record).toEqual(next)
      await become(store(), alice, record())
      expect(await store().accountAt('topic of s2')).toBeUndefined()
    })

    it('knows which account a watcher watches, also when it moves', async () => {
      await become(store(), alice, record([], [watcher('w')]))
      expect(await store().watcherOwner('w')).toBe(alice)
      await become(store(), bob, record([], [watcher('w')]))
      expect(await store().watcherOwner('w')).toBe(bob)
      await become(store(), alice, record([subscription('s')], [watcher('w')]))
      expect(await store().watcherOwner('w')).toBe(bob)
      await become(store(), alice, record())
      expect(await store().watcherOwner('w')).toBe(bob)
      await become(store(), bob, record())
      expect(await store().watcherOwner('w')).toBeUndefined()
    })

    it('lists the subscribers of an app with what they hold now, in pages, in account-key order', async () => {
      const keys = Array.from({ length: 12 }, (_, at) => `eip155:0x${`${at}`.padStart(2, '0')}`)
      await Promise.all(
        keys.map((accountKey, at) => become(store(), accountKey, record([subscription(`s${at}`)]))),
      )
      const expired = subscription('s5', { scope: ['changed'], expiresAt: T - 1 })
      await become(
        store(),
        'eip155:0x05',
        record([expired, subscription('x', { domain: 'app.example.org' })]),
      )
      await become(store(), 'eip155:0x06', record([subscription('y', { domain: 'other.example' })]))
      const first = await store().subscribers('app.example', { limit: 6 })
      expect(first.map(({ accountKey }) => accountKey)).toEqual(keys.slice(0, 6))
      expect(first[5]?.subscription).toEqual(expired)
      const rest = await store().subscribers('app.example', { after: keys[5] ?? '', limit: 50 })
      expect(rest.map(({ accountKey }) => accountKey)).toEqual(keys.slice(7))
      expect(await store().subscribers('nobody.example', { limit: 10 })).toEqual([])
      expect(await store().subscriberCount('app.example')).toBe(11)
      expect(await store().subscriberCount('nobody.example')).toBe(0)
    })

    it('pages through all notify topics, in topic order', async () => {
      const topics = Array.from({ length: 12 }, (_, at) => `topic ${`${at}`.padStart(2, '0')}`)
      await Promise.all(
        topics.map((topic, at) =>
          become(store(), `account ${at}`, record([subscription(`s${at}`, { topic })], [watcher(`w${at}`)])),
        ),
      )
      const first = await store().topics({ limit: 5 })
      expect(first).toEqual(topics.slice(0, 5))
      expect(await store().topics({ after: first[4] ?? '', limit: 50 })).toEqual(topics.slice(5))
    })

    it('names the accounts in which something expires at or before an instant', async () => {
      await become(store(), alice, record([subscription('a', { expiresAt: T + 30 })], [watcher('w')]))
      await become(store(), bob, record([subscription('b')], [watcher('v', { expiresAt: T + 20 })]))
      expect(await store().accountsDue(T + 19, 10)).toEqual([])
      expect(await store().accountsDue(T + 20, 10)).toEqual([bob])
      expect((await store().accountsDue(T + 30, 10)).sort()).toEqual([alice, bob])
      expect(await store().accountsDue(T + 30, 1)).toHaveLength(1)
      await become(store(), bob, record([subscription('b')], [watcher('v', { expiresAt: T + 50 })]))
      expect(await store().accountsDue(T + 30, 10)).toEqual([alice])
      await become(store(), alice, record([], [watcher('w')]))
      expect(await store().accountsDue(T + 30, 10)).toEqual([])
      await become(store(), bob, record())
      expect(await store().accountsDue(T + 100 * DAY, 10)).toEqual([alice])
    })

    it('takes the history of a subscription that is no longer in the record, and of no other', async () => {
      await become(store(), alice, record([subscription('s'), subscription('t', { domain: 'b.example' })]))
      for (const id of ['s', 't']) expect(await handOne(store(), alice, id, `copy of ${id}`)).toBe('sent')
      await become(store(), alice, record([subscription('t', { domain: 'b.example' })]))
      const page = { after: null, limit: 10, unreadFirst: false, now: T }
      expect((await store().history('s', page)).notifications).toEqual([])
      expect(await store().delivered('s', 'copy of s')).toBeUndefined()
      expect(await store().deliveredById('copy of s')).toBeUndefined()
      expect(await store().unreadCounts(['s', 't'])).toEqual([0, 1])
      expect((await store().history('t', page)).notifications).toHaveLength(1)
      await store().sweep(T, 1000)
      expect(await store().delivered('t', 'copy of t')).toBeDefined()
    })

    it('keeps the history of a subscription that only changed', async () => {
      await become(store(), alice, record([subscription('s')]))
      await handOne(store(), alice, 's', 'copy')
      await become(store(), alice, record([subscription('s', { scope: [], expiresAt: T + 60 * DAY })]))
      expect(await store().unreadCounts(['s'])).toEqual([1])
      expect(await store().delivered('s', 'copy')).toBeDefined()
    })

    it('loses nothing over a restart', async () => {
      const requestId = { id: 'request', expiresAt: T + DAY }
      await become(store(), alice, record([subscription('s')], [watcher('w')]), {
        requestId,
        outbox: [entry('e')],
      })
      const before = await store().account(alice)
      await stores.reopen()
      expect(await store().account(alice)).toEqual(before)
      expect(await store().topicOwner('topic of s')).toEqual({ accountKey: alice, subscriptionId: 's' })
      expect(await store().watcherOwner('w')).toBe(alice)
      expect(await store().subscribers('app.example', { limit: 10 })).toHaveLength(1)
      expect(await store().accountsDue(T + DAY, 10)).toEqual([alice])
      expect(await store().wasCommitted('request', T)).toBe(true)
      const again = {
        accountKey: alice,
        expectedVersion: before.version,
        record: record(),
        requestId,
        outbox: [],
      }
      expect(await store().commit(again)).toBe('repeated')
      expect(await drain(store())).toEqual(['e'])
    })
  })
}
