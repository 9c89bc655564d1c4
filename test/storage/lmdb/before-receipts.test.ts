import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { key, named, number } from '../../../src/storage/bytes.ts'
import { PRESENT } from '../../../src/storage/lmdb/bytes.ts'
import { openEnv } from '../../../src/storage/lmdb/env.ts'
import { expiryKey, openTables } from '../../../src/storage/lmdb/notify/tables.ts'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import {
  become,
  entry,
  notification,
  record,
  subscription,
  T,
  target,
} from '../../contract/notify-samples.ts'

const alice = 'eip155:0xalice'
const of = { projectId: 'project', domain: 'app.example', id: 'old' }

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'belfry-before-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

/** What the version before receipts left behind: a notification that two subscribers have, one of them unsent. */
const leaveOldData = async () => {
  {
    await using stores = await openLmdb({ path })
    await become(stores.notify, alice, record([subscription('s')]))
  }
  const env = openEnv(path)
  const tables = openTables(env)
  await env.transaction(() => {
    const { deliverBy: _, ...row } = notification('old')
    tables.notifications.put(number(7), row)
    tables.notificationIds.put(named('project', named('app.example', Buffer.from('old'))), 7)
    tables.counters.put(Buffer.from('notification'), 7)
    tables.expiry.put(expiryKey(row.expiresAt, 'notification', number(7)), PRESENT)
    const n = tables.subscriptions.get(Buffer.from('s'))?.[0] ?? 0
    tables.copies.put(key(number(n), Buffer.from([1]), number(T), Buffer.from('copy')), [7, row.expiresAt])
    tables.copyIds.put(Buffer.from('copy'), [n, T])
    tables.expiry.put(expiryKey(row.expiresAt, 'copy', Buffer.from('copy')), PRESENT)
    tables.subscriptions.put(Buffer.from('s'), [n, alice, 1])
    const task = { accountKey: alice, subscriptionId: 's', domain: 'app.example', notificationId: 'old' }
    tables.outbox.put(number(3), entry('copy', { task: { kind: 'notification', ...task } }))
    tables.outboxIds.put(Buffer.from('copy'), 3)
  })
  await env.close()
}

it('a directory from before there were receipts goes on as it was', async () => {
  await leaveOldData()
  await using stores = await openLmdb({ path })
  const store = stores.notify
  const kept = await store.notification('project', 'app.example', 'old')
  expect(kept).toEqual(notification('old'))
  expect((await store.delivered('s', 'copy'))?.notification.deliverBy).toBe(kept?.expiresAt)
  const page = { after: null, limit: 10, unreadFirst: false, now: T }
  expect((await store.history('s', page)).notifications).toHaveLength(1)
  expect(await store.receipts(of, { limit: 10 })).toEqual([])
  expect(await store.cancelQueued(of, 10, T)).toEqual({ cancelled: 0, more: false })

  const [taken] = await store.takeOutbox({ worker: 'w', limit: 10, now: T, until: T + 1 })
  expect(taken?.task).not.toHaveProperty('projectId')
  await store.completeOutbox([{ id: 'copy' }], T)
  expect(await store.outboxSize()).toBe(0)
  const copy = { accountKey: alice, subscriptionId: 's', deliveredId: 'copy', at: T }
  expect(await store.markDelivered([copy])).toEqual([undefined])
  const mark = { accountKey: alice, subscriptionId: 's', ids: 'all', at: T } as const
  expect(await store.markRead({ ...mark, outbox: [], outboxIfChanged: [] })).toMatchObject({ changed: 1 })
  expect(await store.unreadCounts(['s'])).toEqual([0])

  // The same id is repeated for who has it, and new, with a receipt, for who has not.
  if (!kept) throw new Error('it is gone')
  await become(store, 'eip155:0xbob', record([subscription('u')]))
  const both = [target(alice, 's', 'copy'), target('eip155:0xbob', 'u', 'new')]
  expect(await store.enqueue(kept, both)).toEqual(['repeated', 'sent'])
  expect(await store.receiptCounts(of)).toMatchObject({ queued: 1 })

  while ((await store.sweep(kept.expiresAt, 100)) > 0);
  expect(await store.notification('project', 'app.example', 'old')).toBeUndefined()
  expect((await store.history('s', page)).notifications).toEqual([])
})
