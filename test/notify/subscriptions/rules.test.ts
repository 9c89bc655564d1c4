import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SUBSCRIPTION_LIFETIME_MS, WATCHER_LIFETIME_MS } from '../../../src/notify/lifetimes.ts'
import type { AccountRecord } from '../../../src/notify/store/store.ts'
import * as rules from '../../../src/notify/subscriptions/rules.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'

const NOW = Date.UTC(2026, 0, 1)
const EMPTY: AccountRecord = { subscriptions: [], watchers: [] }
const ACCOUNT = 'eip155:1:0x0000000000000000000000000000000000000001'

const fresh = (name: string) => ({ id: `id-${name}`, key: `key-${name}`, topic: `topic-${name}` })
const subscribed = (record: AccountRecord, domain: string, now = NOW, name = domain) =>
  rules.subscribe(record, { domain, scope: ['news'], account: ACCOUNT, fresh: fresh(name), now })
const watched = (record: AccountRecord, who: string, domain: string | null, now = NOW) =>
  rules.watch(record, {
    identityKey: who,
    domain,
    account: ACCOUNT,
    key: `S-${who}`,
    topic: `T-${who}`,
    now,
  })
const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return 'nothing'
}

describe('a subscription', () => {
  it('lives 30 days from subscribe and from update', () => {
    const { record, subscription } = subscribed(EMPTY, 'a.example')
    expect(subscription.expiresAt).toBe(NOW + 30 * 86_400_000)
    const later = NOW + 86_400_000
    const updated = rules.update(record, {
      subscriptionId: subscription.id,
      scope: [],
      account: ACCOUNT,
      now: later,
    })
    expect(updated.subscriptions[0]).toMatchObject({ scope: [], expiresAt: later + 30 * 86_400_000 })
  })

  it('keeps id, key, topic and birth when it is made again, and takes the new scope and spelling', () => {
    const first = subscribed(EMPTY, 'a.example')
    const again = rules.subscribe(first.record, {
      domain: 'a.example',
      scope: ['offers'],
      account: 'eip155:10:0x0000000000000000000000000000000000000001',
      fresh: fresh('other'),
      now: NOW + 5,
    })
    expect(again.record.subscriptions).toHaveLength(1)
    expect(again.subscription).toEqual({
      ...first.subscription,
      scope: ['offers'],
      account: 'eip155:10:0x0000000000000000000000000000000000000001',
      expiresAt: NOW + 5 + SUBSCRIPTION_LIFETIME_MS,
    })
    expect(again.expired).toBeUndefined()
  })

  it('keeps its preferences until a request says otherwise, and null removes them', () => {
    const preferences = { quiet: { from: '22:00', to: '07:00', timeZone: 'UTC' } }
    const { record, subscription } = subscribed(EMPTY, 'a.example')
    const update = (before: AccountRecord, wish: rules.PreferencesWish, now = NOW) =>
      rules.update(before, { subscriptionId: subscription.id, scope: [], account: ACCOUNT, now, ...wish })
    const preferring = update(record, { preferences })
    expect(preferring.subscriptions[0]?.preferences).toEqual(preferences)
    const kept = [update(preferring, {}), subscribed(preferring, 'a.example').record]
    for (const { subscriptions } of kept) expect(subscriptions[0]?.preferences).toEqual(preferences)
    for (const none of [null, {}]) {
      const [one] = update(preferring, { preferences: none }).subscriptions
      expect(Object.keys(one ?? {})).not.toContain('preferences')
    }
    const anew = subscribed(preferring, 'a.example', NOW + SUBSCRIPTION_LIFETIME_MS, 'b')
    expect(anew.subscription).toEqual(
      subscribed(EMPTY, 'a.example', NOW + SUBSCRIPTION_LIFETIME_MS, 'b').subscription,
    )
  })

  it('is a new one after its end, although the old one was not swept yet', () => {
    const first = subscribed(EMPTY, 'a.example')
    const again = subscribed(first.record, 'a.example', NOW + SUBSCRIPTION_LIFETIME_MS, 'second')
    expect(again.record.subscriptions).toHaveLength(1)
    expect(again.subscription).toMatchObject(fresh('second'))
    expect(again.expired).toEqual(first.subscription)
  })

  it('is not found by update and remove when it is unknown or over', () => {
    const { record, subscription } = subscribed(EMPTY, 'a.example')
    const end = subscription.expiresAt
    const update = (subscriptionId: string, now: number) => () =>
      rules.update(record, { subscriptionId, scope: [], account: ACCOUNT, now })
    expect(codeOf(update('unknown', NOW))).toBe('not_subscribed')
    expect(codeOf(update(subscription.id, end))).toBe('not_subscribed')
    expect(codeOf(update(subscription.id, end - 1))).toBe('nothing')
    expect(codeOf(() => rules.remove(record, subscription.id, end))).toBe('not_subscribed')
    expect(rules.remove(record, subscription.id, NOW)).toEqual(EMPTY)
  })

  it('is listed until it expires, then only the sweep sees it', () => {
    const { record } = subscribed(subscribed(EMPTY, 'a.example').record, 'b.example', NOW + 1)
    const names = (domain: string | null, now: number) =>
      rules.viewOf(record, domain, now).map((held) => held.domain)
    expect(names(null, NOW + 2)).toEqual(['a.example', 'b.example'])
    expect(names('b.example', NOW + 2)).toEqual(['b.example'])
    expect(names(null, NOW + SUBSCRIPTION_LIFETIME_MS)).toEqual(['b.example'])
    const swept = rules.expire(record, NOW + SUBSCRIPTION_LIFETIME_MS)
    expect(swept.changed).toBe(true)
    expect(swept.expired.map((held) => held.domain)).toEqual(['a.example'])
    expect(rules.expire(swept.record, NOW + SUBSCRIPTION_LIFETIME_MS).changed).toBe(false)
  })
})

describe('watchers', () => {
  it('end after one day', () => {
    const record = watched(EMPTY, 'phone', null)
    expect(rules.watcherOf(record, 'phone', NOW + 86_400_000 - 1)).toBeDefined()
    expect(rules.watcherOf(record, 'phone', NOW + 86_400_000)).toBeUndefined()
  })

  it('are one for each identity key: watching again replaces app, key and time', () => {
    const record = watched(watched(EMPTY, 'phone', null), 'phone', 'a.example', NOW + 7)
    expect(record.watchers).toHaveLength(1)
    expect(record.watchers[0]).toMatchObject({
      domain: 'a.example',
      expiresAt: NOW + 7 + WATCHER_LIFETIME_MS,
    })
  })

  it('are 25 for one scope, not counting ended ones, other scopes, and one that watches again', () => {
    let record = EMPTY
    for (let at = 0; at < 25; at++) record = watched(record, `all-${at}`, null)
    for (let at = 0; at < 25; at++) record = watched(record, `app-${at}`, 'a.example')
    expect(codeOf(() => watched(record, 'one more', null))).toBe('too_many_watchers')
    expect(codeOf(() => watched(record, 'one more', 'a.example'))).toBe('too_many_watchers')
    expect(codeOf(() => watched(record, 'app-3', null))).toBe('too_many_watchers')
    expect(codeOf(() => watched(record, 'one more', 'b.example'))).toBe('nothing')
    expect(codeOf(() => watched(record, 'all-7', null))).toBe('nothing')
    expect(codeOf(() => watched(record, 'one more', null, NOW + WATCHER_LIFETIME_MS))).toBe('nothing')
  })

  it('hear of a change in their scope, but not the one who made it, nor those who ended', () => {
    let record = watched(EMPTY, 'ended', null, NOW - WATCHER_LIFETIME_MS)
    record = watched(record, 'all', null)
    record = watched(record, 'app', 'a.example')
    record = watched(record, 'other app', 'b.example')
    record = watched(record, 'author', null)
    const told = (except: string | undefined) =>
      rules
        .watchersToTell(record, { domain: 'a.example', except, now: NOW })
        .map(({ identityKey }) => identityKey)
    expect(told('author')).toEqual(['all', 'app'])
    expect(told(undefined)).toEqual(['all', 'app', 'author'])
  })

  it('decide what an answer shows: everything for one of all apps, else the app alone', () => {
    const record = watched(watched(EMPTY, 'all', null), 'app', 'a.example')
    const scope = (identityKey: string, now = NOW) =>
      rules.answerScope(record, { identityKey, domain: 'a.example', now })
    expect(scope('all')).toBeNull()
    expect(scope('app')).toBe('a.example')
    expect(scope('stranger')).toBe('a.example')
    expect(scope('all', NOW + WATCHER_LIFETIME_MS)).toBe('a.example')
  })
})

it('no sequence of wishes leaves two subscriptions of one app, two watchers of one key, or a changed argument', () => {
  const domain = fc.constantFrom('a.example', 'b.example', 'c.example')
  const wish = fc.oneof(
    fc.record({ kind: fc.constant('subscribe' as const), domain, after: fc.nat(40) }),
    fc.record({ kind: fc.constant('remove' as const), domain, after: fc.nat(40) }),
    fc.record({
      kind: fc.constant('watch' as const),
      domain: fc.option(domain),
      who: fc.nat(30),
      after: fc.nat(2),
    }),
    fc.record({ kind: fc.constant('expire' as const), after: fc.nat(40) }),
  )
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 80 }), (wishes) => {
      let record = EMPTY
      let now = NOW
      for (const [at, each] of wishes.entries()) {
        now += each.after * 86_400_000
        const before = structuredClone(record)
        const kept = record
        try {
          if (each.kind === 'subscribe') record = subscribed(record, each.domain, now, String(at)).record
          if (each.kind === 'watch') record = watched(record, String(each.who), each.domain, now)
          if (each.kind === 'expire') record = rules.expire(record, now).record
          if (each.kind === 'remove') {
            record = rules.remove(
              record,
              record.subscriptions.find((s) => s.domain === each.domain)?.id ?? '',
              now,
            )
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
        }
        expect(kept).toEqual(before)
        const domains = record.subscriptions.map((held) => held.domain)
        const keys = record.watchers.map((held) => held.identityKey)
        expect(new Set(domains).size).toBe(domains.length)
        expect(new Set(keys).size).toBe(keys.length)
        for (const scope of [null, ...domains]) {
          const live = record.watchers.filter((held) => held.domain === scope && held.expiresAt > now)
          expect(live.length).toBeLessThanOrEqual(rules.MAX_WATCHERS_PER_SCOPE)
        }
      }
    }),
  )
})
