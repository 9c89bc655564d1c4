/** The spike of the notify store over the port: what its verbs promise, on both engines. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deliveredIdOf } from '../../src/notify/ids.ts'
import type { Notification, OutboxEntry } from '../../src/notify/store/store.ts'
import { STATES } from '../../src/notify/store/verbs/chunks.ts'
import { chunksOf, HEADS, partitionOf, referenceOf } from '../../src/notify/store/verbs/rows.ts'
import { createVerbs, receiptsIn, unreadOf, type Verbs } from '../../src/notify/store/verbs/store.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { read } from '../../src/storage/table.ts'
import { DAY, entry, notification, record, subscription } from '../contract/notify-samples.ts'
import { engines } from '../support/engines.ts'
import type { TestStores } from '../support/stores.ts'

const NOW = Date.now()
const accountOf = (nth: number) => `eip155:0x${nth.toString(16).padStart(40, '0')}`

interface Subscriber {
  accountKey: string
  id: string
}

for (const engine of engines) {
  describe(`the verbs of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    let verbs: Verbs
    let count = 0

    beforeAll(async () => {
      stores = await engine.open()
      verbs = createVerbs(stores.kv, systemClock)
    })
    afterAll(() => stores[Symbol.asyncDispose]())

    const subscribed = async (accountKey = accountOf(++count)): Promise<Subscriber> => {
      const id = randomUUID()
      const { version, record: old } = await verbs.account(accountKey)
      const next = record([...old.subscriptions, subscription(id, { expiresAt: NOW + 30 * DAY })])
      expect(await verbs.commit({ accountKey, expectedVersion: version, record: next, outbox: [] })).toBe(
        'committed',
      )
      return { accountKey, id }
    }
    const published = (change: Partial<Notification> = {}) =>
      verbs.putNotification(
        notification(randomUUID(), { createdAt: NOW, expiresAt: NOW + DAY, deliverBy: NOW + DAY, ...change }),
      )
    const target = ({ accountKey, id: subscriptionId }: Subscriber, of: Notification) => {
      const deliveredId = deliveredIdOf(subscriptionId, of.id)
      const { projectId, domain, id: notificationId } = of
      const task = {
        kind: 'notification' as const,
        accountKey,
        subscriptionId,
        projectId,
        domain,
        notificationId,
      }
      const outbox: OutboxEntry = { id: deliveredId, task, createdAt: NOW, expiresAt: of.deliverBy }
      return {
        accountKey,
        account: accountKey.replace('155:', '155:1:'),
        subscriptionId,
        deliveredId,
        outbox,
      }
    }
    const stateOf = async ({ accountKey, id }: Subscriber, of: Notification) => {
      const partition = partitionOf(accountKey)
      const [head] = await read(stores.kv, [HEADS.in(partition, id).get()])
      const set = chunksOf(partition, referenceOf(of))
      const [taken] = [head.value]
      if (!taken) return undefined
      // The chunk of the newest copy stands last in the head.
      const [chunk] = await read(stores.kv, [set.get(taken.subarray(-6))])
      const receipt = chunk.value && receiptsIn(chunk.value).find((one) => one.accountKey === accountKey)
      return receipt && { ...receipt, unread: unreadOf(taken) }
    }
    const takeAll = async (now = NOW + 1, until = NOW + 1_000) => {
      const all: OutboxEntry[] = []
      for (;;) {
        const some = await verbs.takeOutbox({ worker: 'w', limit: 7, now, until })
        all.push(...some)
        if (some.length === 0) return all
      }
    }
    const complete = (entries: readonly OutboxEntry[], became: 'published' | 'failed' = 'published') =>
      verbs.completeOutbox(
        entries.map(({ id, task }) => {
          if (task.kind !== 'notification') return { id }
          const { projectId = '', domain, notificationId, accountKey, subscriptionId } = task
          const of = { projectId, domain, id: notificationId }
          const reason = became === 'failed' ? { reason: 'too late' } : {}
          return { id, receipt: { of, accountKey, subscriptionId, became, ...reason } }
        }),
        NOW + 5,
      )

    it('enqueues a notification once, and only for who is subscribed', async () => {
      const one = await subscribed()
      const of = await published()
      const gone = { accountKey: one.accountKey, id: randomUUID() }
      const other = { accountKey: accountOf(999), id: one.id }
      const targets = [target(one, of), target(gone, of), target(other, of)]
      expect(await verbs.enqueue(of, targets)).toEqual(['sent', 'gone', 'gone'])
      expect(await verbs.enqueue(of, targets)).toEqual(['repeated', 'gone', 'gone'])
      expect(await stateOf(one, of)).toMatchObject({ state: STATES.queued, unread: 1 })
      const taken = await takeAll()
      expect(taken).toEqual([target(one, of).outbox])
      expect(await takeAll()).toEqual([])
      await complete(taken)
      expect(await stateOf(one, of)).toMatchObject({ state: STATES.published, at: NOW + 5 })
      expect(await takeAll(NOW + 2_000, NOW + 3_000)).toEqual([])
    })

    it('gives an entry to another worker when its lease has ended', async () => {
      const one = await subscribed()
      const of = await published()
      await verbs.enqueue(of, [target(one, of)])
      expect(await takeAll(NOW + 1, NOW + 10)).toHaveLength(1)
      expect(await takeAll(NOW + 9, NOW + 20)).toHaveLength(0)
      const again = await takeAll(NOW + 10, NOW + 20)
      expect(again).toHaveLength(1)
      await complete(again)
    })

    it('marks a copy as delivered once, and says of which notification it is', async () => {
      const one = await subscribed()
      const of = await published()
      await verbs.enqueue(of, [target(one, of)])
      const { accountKey, id: subscriptionId } = one
      const { deliveredId } = target(one, of)
      const event = entry(`delivered:${deliveredId}`, { createdAt: NOW })
      const copy = { accountKey, subscriptionId, deliveredId, at: NOW + 7, outbox: event }
      const name = { projectId: of.projectId, domain: of.domain, id: of.id }
      expect(await verbs.markDelivered([copy, { ...copy, deliveredId: 'other' }])).toEqual([name, undefined])
      expect(await verbs.markDelivered([copy])).toEqual([undefined])
      const taken = await takeAll()
      expect(taken.map(({ id }) => id).sort()).toEqual([deliveredId, event.id].sort())
      await complete(taken)
      expect(await stateOf(one, of)).toMatchObject({ state: STATES.delivered, at: NOW + 7 })
    })

    it('withdraws what could not be sent', async () => {
      const one = await subscribed()
      const of = await published()
      await verbs.enqueue(of, [target(one, of)])
      await complete(await takeAll(), 'failed')
      expect(await stateOf(one, of)).toMatchObject({ state: STATES.failed, reason: 'too late', unread: 0 })
      expect(await verbs.enqueue(of, [target(one, of)])).toEqual(['repeated'])
    })

    it('keeps a long history in pages, and knows what is in them', async () => {
      const one = await subscribed()
      const all: Notification[] = []
      for (let nth = 0; nth < 40; nth++) all.push(await published({ createdAt: NOW + nth }))
      for (const of of all) expect(await verbs.enqueue(of, [target(one, of)])).toEqual(['sent'])
      for (const of of all) expect(await verbs.enqueue(of, [target(one, of)])).toEqual(['repeated'])
      const [head] = await read(stores.kv, [HEADS.in(partitionOf(one.accountKey), one.id).get()])
      expect(head.value && unreadOf(head.value)).toBe(40)
      const [oldest] = all
      const { accountKey, id: subscriptionId } = one
      if (oldest) {
        const { deliveredId } = target(one, oldest)
        const marked = await verbs.markDelivered([{ accountKey, subscriptionId, deliveredId, at: NOW }])
        expect(marked[0]?.id).toBe(oldest.id)
      }
      const taken = await takeAll(NOW + 100)
      expect(taken).toHaveLength(40)
      await complete(taken)
    })

    it('commits an account once for a request, its token and a version', async () => {
      const { accountKey, id } = await subscribed()
      const { version, record: old } = await verbs.account(accountKey)
      const requestId = { id: randomUUID(), token: randomUUID(), expiresAt: NOW + DAY }
      const outbox = [entry(randomUUID(), { createdAt: NOW })]
      const scoped = record(old.subscriptions.map((one) => ({ ...one, scope: ['other'] })))
      const commit = { accountKey, expectedVersion: version, record: scoped, requestId, outbox }
      expect(await verbs.commit({ ...commit, expectedVersion: version + 1 })).toBe('conflict')
      expect(await verbs.commit(commit)).toBe('committed')
      expect(await verbs.commit(commit)).toBe('repeated')
      expect(await verbs.commit({ ...commit, requestId: { ...requestId, id: randomUUID() } })).toBe('used')
      expect((await verbs.account(accountKey)).record).toEqual(scoped)
      const taken = await takeAll()
      expect(taken).toEqual(outbox)
      await complete(taken)
      const { version: later } = await verbs.account(accountKey)
      expect(await verbs.commit({ accountKey, expectedVersion: later, record: record(), outbox: [] })).toBe(
        'committed',
      )
      const of = await published()
      expect(await verbs.enqueue(of, [target({ accountKey, id }, of)])).toEqual(['gone'])
    })

    it('sends each target once while many enqueue, complete and mark at the same time', async () => {
      const all = await Promise.all(Array.from({ length: 60 }, () => subscribed()))
      const of = await published()
      const others = createVerbs(stores.kv, systemClock)
      const targets = all.map((one) => target(one, of))
      const results = await Promise.all(
        Array.from({ length: 8 }, (_, nth) => (nth % 2 ? verbs : others).enqueue(of, targets)),
      )
      for (const [at] of targets.entries())
        expect(results.filter((outcomes) => outcomes[at] === 'sent')).toHaveLength(1)
      const taken = await takeAll()
      expect(taken).toHaveLength(60)
      const marks = targets.map(({ accountKey, subscriptionId, deliveredId }) => ({
        ...{ accountKey, subscriptionId, deliveredId },
        at: NOW + 7,
      }))
      const [, , ...marked] = await Promise.all([
        complete(taken.slice(0, 30)),
        complete(taken.slice(30)),
        ...Array.from({ length: 4 }, (_, nth) => (nth % 2 ? verbs : others).markDelivered(marks)),
      ])
      for (const [at] of targets.entries()) expect(marked.filter((some) => some[at])).toHaveLength(1)
      for (const one of all) expect(await stateOf(one, of)).toMatchObject({ state: STATES.delivered })
      expect(await takeAll(NOW + 2_000)).toEqual([])
    })
  })
}
