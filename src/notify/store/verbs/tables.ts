/**
 * Accounts, copies, receipts and the outbox over the port.
 *
 * All that has accounts is in one of 16 partitions (`n0` …), by the account: a commit changes the record and all that follows from
 * it. Notifications are in others (`m0` …), by their reference; lists of them by project (`s <project>`).
 *
 * | table | partition | subject | key | value |
 * |---|---|---|---|---|
 * | notify.account | n | account | | the record, its requests (`../packed/account-rows.ts`) |
 * | notify.accountRequests | n | digest of the account | until when they last, one of them | requests that are too many for the row |
 * | notify.accountDue | n | | when the first thing of an account expires, account | – |
 * | notify.subscriber | n | domain | account | – |
 * | notify.head | n | subscription | | its newest copies (`../packed/heads.ts`) |
 * | notify.page | n | subscription | until which `sentAt`, a copy in it | older copies |
 * | notify.historyDue | n | | when a copy of a subscription expires, subscription | – |
 * | notify.lastOfKey | n | subscription | digest of a collapse key | its last copy |
 * | notify.chunk | n | notification | when it was made, random | receipts (`../packed/chunks.ts`) |
 * | notify.line | n | | place, how many entries | what must be sent (`../packed/line-rows.ts`) |
 * | notify.entry | n | | id of an entry of the outbox that is no copy | the entry |
 * | notify.notification | m | notification | | the notification |
 * | notify.notificationDue | m | | when it expires, when it was sent, notification | – |
 * | notify.sent | s | domain, or none for all | when it was sent, notification | – |
 * | notify.topicOwner | o | | notify topic | account, subscription |
 * | notify.watcherOwner | o | identity key | | accounts, the last one first, and until when |
 * | notify.request | o | id or token of a request | | account, until when |
 * | notify.copyOwner | o | copy | | account, subscription |
 *
 * The last four are in partitions of their own (`o0` …), so they are hints: written before what they lead to, and compared
 * with it by whoever reads one. The last one has
 * copies that are linked, whose links have the id alone.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { name, number } from '../../../storage/bytes.ts'
import { type Codec, NOTHING, textBehind } from '../../../storage/codec.ts'
import { defineTable } from '../../../storage/table.ts'
import { ACCOUNT } from '../packed/account-rows.ts'
import { REFERENCE_BYTES } from '../packed/heads.ts'
import { idLength, packId, unpackId } from '../packed/ids.ts'
import { KEPT_ENTRY, LINE_VALUE } from '../packed/line-rows.ts'
import type { NotificationName } from '../receipts.ts'
import type { Notification } from '../records.ts'

const bytes: Codec<Buffer> = {
  encodeBehind(free, value) {
    const kept = Buffer.allocUnsafe(free + value.length)
    kept.set(value, free)
    return kept
  },
  decode: (kept) => kept,
}

/** What this room wrote itself, and whose checksum is right. */
const ownJson = <V>(): Codec<V> => ({
  encodeBehind: (free, value) => textBehind(free, JSON.stringify(value)),
  decode: (kept) => JSON.parse(kept.toString()),
})

/** Where a topic or a copy leads. */
export type OwnerNames = [accountKey: string, subscriptionId: string]

/** `id of the subscription · account key` */
const OWNER_NAMES: Codec<OwnerNames> = {
  encodeBehind(free, [accountKey, subscriptionId]) {
    const id = packId(subscriptionId)
    const kept = textBehind(free + id.length, accountKey)
    kept.set(id, free)
    return kept
  },
  decode: (kept) => [kept.toString('utf8', idLength(kept, 0)), unpackId(kept, 0)],
}

/** The last copy with a collapse key: packed, and where its receipt is. */
export interface LastOfKey {
  copyId: string
  receipt: string
}

export const DELIVERY_TABLES = {
  ACCOUNTS: defineTable({ name: 'notify.account', shape: 'cell', codec: ACCOUNT }),
  REQUESTS: defineTable({ name: 'notify.accountRequests', shape: 'ordered', codec: bytes, ends: true }),
  DUE: defineTable({ name: 'notify.accountDue', shape: 'index', codec: NOTHING }),
  SUBSCRIBERS: defineTable({ name: 'notify.subscriber', shape: 'index', codec: NOTHING }),
  HEADS: defineTable({ name: 'notify.head', shape: 'cell', codec: bytes }),
  PAGES: defineTable({ name: 'notify.page', shape: 'ordered', codec: bytes }),
  HISTORIES_DUE: defineTable({ name: 'notify.historyDue', shape: 'index', codec: NOTHING }),
  LAST_OF_KEY: defineTable({
    name: 'notify.lastOfKey',
    shape: 'map',
    codec: ownJson<LastOfKey>(),
    ends: true,
  }),
  CHUNKS: defineTable({ name: 'notify.chunk', shape: 'ordered', codec: bytes, ends: true }),
  LINE: defineTable({ name: 'notify.line', shape: 'line', codec: LINE_VALUE }),
  ENTRIES: defineTable({ name: 'notify.entry', shape: 'map', codec: KEPT_ENTRY }),
  NOTIFICATIONS: defineTable({ name: 'notify.notification', shape: 'cell', codec: ownJson<Notification>() }),
  NOTIFICATIONS_DUE: defineTable({ name: 'notify.notificationDue', shape: 'index', codec: NOTHING }),
  SENT: defineTable({ name: 'notify.sent', shape: 'index', codec: NOTHING }),
  TOPIC_OWNERS: defineTable({ name: 'notify.topicOwner', shape: 'ordered', codec: OWNER_NAMES }),
  WATCHER_OWNERS: defineTable({
    name: 'notify.watcherOwner',
    shape: 'cell',
    codec: ownJson<{ accounts: string[]; expiresAt: number }>(),
    ends: true,
  }),
  REQUEST_OWNERS: defineTable({
    name: 'notify.request',
    shape: 'cell',
    codec: ownJson<[accountKey: string, expiresAt: number]>(),
    ends: true,
  }),
  COPY_OWNERS: defineTable({
    name: 'notify.copyOwner',
    shape: 'cell',
    codec: OWNER_NAMES,
    ends: true,
  }),
}
export const {
  ACCOUNTS,
  REQUESTS,
  DUE,
  SUBSCRIBERS,
  HEADS,
  PAGES,
  HISTORIES_DUE,
  LAST_OF_KEY,
  CHUNKS,
  LINE,
  ENTRIES,
  NOTIFICATIONS,
  NOTIFICATIONS_DUE,
  SENT,
  TOPIC_OWNERS,
  WATCHER_OWNERS,
  REQUEST_OWNERS,
  COPY_OWNERS,
} = DELIVERY_TABLES

const PARTITION_COUNT = 16
const partitionsOf = (letter: string): readonly string[] =>
  Array.from({ length: PARTITION_COUNT }, (_, p) => `${letter}${p}`)
/** All that has accounts. Never to be changed: it says where everything is. */
export const PARTITIONS = partitionsOf('n')
const NOTIFICATION_PARTITIONS = partitionsOf('m')

/** Throws for what is no name: nothing is kept of it. */
export const partitionOf = (accountKey: string): string => {
  name(accountKey)
  return PARTITIONS[crc32(accountKey) % PARTITION_COUNT] ?? ''
}

/** Stands for a notification in rows: callers choose ids, of any length. */
export const referenceOf = ({ projectId, domain, id }: NotificationName): Buffer => {
  name(projectId)
  name(domain)
  return createHash('sha256').update(`${projectId}\0${domain}\0${id}`).digest().subarray(0, REFERENCE_BYTES)
}

const hexIn = (reference: Buffer): string => reference.toString('hex')

export const notificationCell = (reference: Buffer) =>
  NOTIFICATIONS.in(NOTIFICATION_PARTITIONS[(reference[0] ?? 0) % PARTITION_COUNT] ?? '', hexIn(reference))
export const notificationsDue = NOTIFICATION_PARTITIONS.map((partition) => NOTIFICATIONS_DUE.in(partition))
export const chunksOf = (partition: string, reference: Buffer) =>
  CHUNKS.in(partition, reference.toString('base64url'))
/** The list of a project, or of one of its apps. */
export const sentOf = (projectId: string, domain = '') => SENT.in(`s ${name(projectId)}`, domain)

/** By a digest: lists of what ends keep the names of sets for longer than the sets. */
export const requestPages = (partition: string, accountKey: string) =>
  REQUESTS.in(partition, createHash('sha256').update(accountKey).digest('base64url'))

/** Where an account is in the list of what expires. */
export const dueKey = (at: number, accountKey: string): Buffer =>
  Buffer.concat([number(at), name(accountKey)])

const HINT_PARTITIONS = partitionsOf('o')
const hintPartition = (text: string): string => HINT_PARTITIONS[crc32(text) % PARTITION_COUNT] ?? ''
/** Of all topics. */
export const topicOwners = HINT_PARTITIONS.map((partition) => TOPIC_OWNERS.in(partition))
export const topicOwner = (topic: string) => ({
  set: TOPIC_OWNERS.in(hintPartition(topic)),
  key: name(topic),
})
export const watcherOwner = (identityKey: string) =>
  WATCHER_OWNERS.in(hintPartition(identityKey), identityKey)
export const requestOwner = (id: string) => REQUEST_OWNERS.in(hintPartition(id), id)
export const copyOwner = (copyId: string) => COPY_OWNERS.in(hintPartition(copyId), copyId)
