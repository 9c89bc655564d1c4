import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { REPLACED } from '../../src/notify/store/receipts.ts'
import type { OutboxEntry } from '../../src/notify/store/store.ts'
import { Line, linesOf, parsed } from '../../src/storage/transfer/backup.ts'
import { restore } from '../../src/storage/transfer/restore.ts'
import { differencesOf, tallyOf } from '../../src/storage/transfer/sum.ts'
import { type Readers, TABLE_NAMES, TABLES, type TableName } from '../../src/storage/transfer/transfer.ts'
import { enginePairs, engines } from '../support/engines.ts'
import { lmdb, type TestStores } from '../support/stores.ts'
import { drain, notification, target } from './notify-samples.ts'
import { client, hex, message, textsOf, topic, waitingTopics } from './relay-samples.ts'
import { contentOf, copyAll, furnish, HOUR } from './transfer-samples.ts'
import { address, seenIn } from './transfer-seen.ts'
import {
  wholeApp,
  wholeJob,
  wholeNotification,
  wholeProject,
  wholeTasks,
  wholeWebhook,
} from './transfer-whole.ts'

const COPIES = 454
const UNREAD = 450

/** How clicks at these instants are counted by day; there may be a midnight between them. */
const daysOf = (...instants: number[]) => {
  const all = instants.map((at) => new Date(at).toISOString().slice(0, 10))
  return [...new Set(all)].map((day) => ({ day, count: all.filter((one) => one === day).length }))
}

/** A backup writes down all of each record, and reads it again. */
const keepsInBackup = async ({ transfer }: TestStores) => {
  for (const table of TABLE_NAMES) {
    for await (const { records } of transfer.read[table].read({ now: Date.now() })) {
      for (const record of records) {
        expect(TABLES[table].parse(JSON.parse(JSON.stringify(record))), table).toEqual(record)
      }
    }
  }
}

describe.each(enginePairs)('a transfer from %s', (_, from, to) => {
  it('keeps every record, what clients see, and the order of what must be sent', async () => {
    const now = Date.now()
    await using source = await from.open()
    await using copy = await to.open()
    await furnish(source, now)
    // What has expired is no content, swept or not; counts of unread copies know it only after a sweep.
    await source.notify.sweep(now, 10_000)
    const before = await contentOf(source.transfer.read, now)
    for (const [table, records] of Object.entries(before)) expect(records.length, table).toBeGreaterThan(0)
    expect(before.copy).toHaveLength(COPIES)
    for (const [table, whole] of [
      ['project', wholeProject(now)],
      ['app', wholeApp(now)],
      ['job', wholeJob(now)],
      ['notification', { ...wholeNotification(now, 'c2'), title: 'Title of any' }],
      ['webhook', expect.objectContaining({ webhooks: expect.arrayContaining([wholeWebhook(now)]) })],
    ] as const) {
      expect(before[table]).toContainEqual(whole)
    }
    expect(before.outbox?.map((one) => (one as OutboxEntry).task)).toEqual(
      expect.arrayContaining(Object.values(wholeTasks(address))),
    )
    expect(before.message).toHaveLength(15)
    expect((await seenIn(source, now)).owned).toEqual([['to the owner'], []])

    expect(await copyAll(source, copy, now)).toBe(0)

    expect(await contentOf(copy.transfer.read, now)).toEqual(before)
    await keepsInBackup(copy)
    const [a, b] = [await tallyOf(source.transfer.read, now), await tallyOf(copy.transfer.read, now)]
    expect(differencesOf(a, b)).toEqual([])
    expect(await seenIn(copy, now)).toEqual(await seenIn(source, now))
    await copy.reopen()
    expect((await drain(copy.notify, now)).filter((id) => id !== 'late')).toEqual(
      (await drain(source.notify, now)).filter((id) => id !== 'late'),
    )
  })

  it('leaves a store that works on', async () => {
    const now = Date.now()
    await using source = await from.open()
    await using copy = await to.open()
    await furnish(source, now)
    await copyAll(source, copy, now)
    const { notify, relay, keys } = copy

    const [again] = await relay.publish([
      message(topic('box'), 'text 3 é', { publishedAt: now, expiresAt: now + HOUR }),
    ])
    expect(again?.outcome).toBe('duplicate')
    for (const at of [topic('box'), topic('quiet'), topic('many 9')]) {
      const [fresh] = await relay.publish([
        message(at, `new ${at}`, { publishedAt: now, expiresAt: now + HOUR }),
      ])
      expect(fresh?.outcome).toBe('stored')
    }
    expect(await textsOf(relay, client('a'), topic('box'), { now })).toContain(`new ${topic('box')}`)
    expect(await textsOf(relay, client('a'), topic('quiet'), { now })).toHaveLength(1)
    expect((await waitingTopics(relay, client('many'), now)).sort()).toEqual(
      [topic('many 7'), topic('many 9')].sort(),
    )

    const lease = { limit: 10, now: now + 2 * HOUR, until: now + 3 * HOUR }
    const due = await copy.jobQueue.take({ queue: 'calls', ...lease })
    expect(due.map(({ id }) => id)).toEqual(['now', 'later'])
    expect(await copy.jobQueue.revive('calls', 'dead', now)).toBe(true)
    expect(await copy.jobQueue.take({ queue: 'calls', ...lease })).toMatchObject([
      { id: 'dead', attempts: 0 },
    ])

    const one = notification('more', { createdAt: now, expiresAt: now + HOUR })
    const copyOfN0 = notification('n0', { createdAt: now, expiresAt: now + HOUR })
    expect(await notify.enqueue(one, [target(address, 'one', 'copy of more')])).toEqual(['sent'])
    expect(await notify.enqueue(copyOfN0, [target(address, 'one', 'copy of n0 for one')])).toEqual([
      'repeated',
    ])
    expect(await notify.unreadCounts(['one'])).toEqual([UNREAD + 1])
    expect(
      await notify.enqueue({ ...one, id: 'cancelled' }, [
        target(address, 'one', 'copy of cancelled for one'),
      ]),
    ).toEqual(['repeated'])
    const countsOf = (id: string) => notify.receiptCounts({ ...one, id })
    const newer = { ...wholeNotification(now + 1, 'c3') }
    expect(await notify.enqueue(newer, [target(address, 'one', 'copy of c3 for one')])).toEqual(['sent'])
    expect(await notify.receipts({ ...one, id: 'c2' }, { limit: 2 })).toMatchObject([
      { state: 'failed', reason: REPLACED },
    ])
    expect(await notify.deliveredById('copy of c2 for one')).toBeUndefined()
    expect(await notify.cancelQueued({ ...one, id: 'waits' }, 10, now)).toEqual({ cancelled: 1, more: false })
    expect(await countsOf('waits')).toMatchObject({ queued: 0, failed: 1 })
    // What the relay had is delivered and read here.
    const at = { accountKey: address, subscriptionId: 'one' }
    const arrived = [{ ...at, at: now, deliveredId: 'copy of n6 for one' }]
    expect(await notify.markDelivered(arrived)).toMatchObject([{ id: 'n6' }])
    expect(await notify.markDelivered(arrived)).toEqual([undefined])
    const read = ['n5', 'n6'].map((id) => `copy of ${id} for one`)
    await notify.markRead({ ...at, ids: read, at: now, outbox: [], outboxIfChanged: [] })
    for (const id of ['n5', 'n6']) expect(await countsOf(id)).toMatchObject({ delivered: 0, read: 1 })
    const clicked = await notify.notification('project', 'app.example', 'n0')
    if (!clicked) throw new Error('n0 is not there')
    await notify.click(clicked, 'copy of n0 for one', now + 9)
    expect(await notify.clicks(clicked)).toEqual({
      count: 4,
      firstAt: now,
      copies: 2,
      days: daysOf(now, now + 1, now + 3, now + 9),
    })
    expect(await notify.copyClicks(clicked, 'copy of n0 for one')).toEqual({ count: 3, firstAt: now })
    await keys.unregisterIdentity('did:key:a', 'eip155:0xc')
    expect(await keys.invite('eip155:0xc')).toBeUndefined()

    const { version } = await notify.account(address)
    const end = { accountKey: address, expectedVersion: version, record: { subscriptions: [], watchers: [] } }
    expect(await notify.commit({ ...end, outbox: [] })).toBe('committed')
    expect(await notify.topicOwner(hex('notify one'))).toBeUndefined()
    for (let swept = 1; swept > 0; ) swept = await notify.sweep(now, 10_000)
    expect(await notify.deliveredById('copy of n0 for one')).toBeUndefined()
    await relay.sweep(now + 2 * HOUR, 10_000)
    expect(await textsOf(relay, client('b'), topic('box'), { now })).toEqual([])
  })
})

describe.each(engines)('transfers with $name', (engine) => {
  it('bear repetition, from anywhere', async () => {
    const now = Date.now()
    await using source = await engine.open()
    await using copy = await engine.open()
    await furnish(source, now)
    await copyAll(source, copy, now)
    await copyAll(source, copy, now)
    expect(await contentOf(copy.transfer.read, now)).toEqual(await contentOf(source.transfer.read, now))
    expect(await copy.notify.unreadCounts(['one'])).toEqual([UNREAD])
    expect((await copy.relay.subscribe(client('many'), [], { now: Date.now() })).total).toBe(300)
  })

  it('go on behind a cursor without passing over anything', async () => {
    const now = Date.now()
    await using source = await engine.open()
    await furnish(source, now)
    const { copy } = source.transfer.read
    const ids = new Set<string>()
    const cursors: (string | undefined)[] = []
    for await (const { records, cursor } of copy.read({ now })) {
      cursors.push(cursor)
      for (const { id } of records) ids.add(id)
      if (ids.size > 100) break
    }
    for await (const { records } of copy.read({ now, after: cursors.at(-1) })) {
      for (const { id } of records) ids.add(id)
    }
    expect(ids.size).toBe(COPIES)
  })

  it('answer copies whose subscription or notification is not there', async () => {
    const now = Date.now()
    await using source = await engine.open()
    await using copy = await engine.open()
    await furnish(source, now)
    const left: string[] = []
    for await (const { records } of source.transfer.read.copy.read({ now })) {
      left.push(...(await copy.transfer.write.copy.write(records)).map(({ id }) => id))
    }
    expect(left).toHaveLength(COPIES)
    expect(await contentOf(copy.transfer.read, now)).toMatchObject({ copy: [] })
  })

  it('remember a note until it is taken back', async () => {
    await using store = await engine.open()
    expect(await store.transfer.note()).toBeUndefined()
    await store.transfer.setNote('one')
    await store.transfer.setNote('two')
    await store.reopen()
    expect(await store.transfer.note()).toBe('two')
    await store.transfer.setNote(undefined)
    expect(await store.transfer.note()).toBeUndefined()
  })
})

it('a snapshot of a new embedded store is read whole, while the first rows of its tables are written', async () => {
  const now = Date.now()
  await using store = await lmdb.open()
  using snapshot = store.transfer.snapshot()
  await furnish(store, now)
  for (const [table, found] of Object.entries(await contentOf(snapshot, now)))
    expect({ table, found }).toEqual({ table, found: [] })
})

it('a snapshot of the embedded store is of one moment, and others write meanwhile', async () => {
  const now = Date.now()
  await using store = await lmdb.open()
  await furnish(store, now)
  const before = await contentOf(store.transfer.read, now)
  using snapshot = store.transfer.snapshot()
  await store.keys.unregisterIdentity('did:key:a', 'eip155:0xc')
  await store.notify.markRead({
    accountKey: address,
    subscriptionId: 'one',
    ids: 'all',
    at: now,
    outbox: [],
    outboxIfChanged: [],
  })
  await store.relay.unsubscribe(client('a'), [topic('box')])
  expect(await contentOf(snapshot, now)).toEqual(before)
  expect(await contentOf(store.transfer.read, now)).not.toEqual(before)
})

/** Made of what `furnish` says, at this time, by the last version whose stores were not written over the port. */
const OLD_BACKUPS = { now: Date.UTC(2100, 0, 1), files: ['embedded', 'redis'] }

/** The records that a backup has, as a store would read them. */
const readersOf = async (file: string): Promise<Readers> => {
  const records = new Map<TableName, unknown[]>(TABLE_NAMES.map((table) => [table, []]))
  for await (const line of linesOf(file)) {
    const value = parsed(line)
    if (!Array.isArray(value)) continue
    const [table, record] = Line.parse(value)
    records.get(table)?.push(TABLES[table].parse(record))
  }
  const reader = (table: TableName) => ({
    async *read() {
      yield { records: records.get(table), cursor: undefined }
    },
    size: async () => undefined,
  })
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, reader(table)])) as unknown as Readers
}

/** All of it without members that are younger than these backups. */
const withoutNews = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNews)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value
  const members = Object.entries(value).filter(([name]) => name !== 'extras' && name !== 'preferences')
  return Object.fromEntries(members.map(([name, one]) => [name, withoutNews(one)]))
}

describe.each(engines)('a backup of an older version, restored into $name', (engine) => {
  it.each(OLD_BACKUPS.files)('made of %s is what a store of today would hold', async (name) => {
    const { now } = OLD_BACKUPS
    await using furnished = await engine.open()
    await furnish(furnished, now)
    await furnished.notify.sweep(now, 10_000)
    await using restored = await engine.open()
    const file = fileURLToPath(new URL(`./backups/${name}.gz`, import.meta.url))
    const deps = { target: restored.transfer, now: () => now }
    expect(await restore(deps, { file, progress: { step: () => {} } })).toMatchObject({ left: 0 })
    expect(await contentOf(restored.transfer.read, now)).toEqual(await contentOf(await readersOf(file), now))
    // Clicks were not counted by day then, notifications had no extras, subscriptions no preferences.
    const expected = await seenIn(furnished, now)
    const sent = expected.sent.map((one) => ({
      ...one,
      ...(one.clicks && { clicks: { ...one.clicks, days: [] } }),
    }))
    expect(await seenIn(restored, now)).toEqual(withoutNews({ ...expected, sent }))
    await restored.reopen()
    // Nor was there an entry for several subscribers, or for a digest.
    const isNew = (id: string) => ['late', 'a digest', 'a notifications'].includes(id)
    expect((await drain(restored.notify, now)).filter((id) => id !== 'late')).toEqual(
      (await drain(furnished.notify, now)).filter((id) => !isNew(id)),
    )
  })
})
