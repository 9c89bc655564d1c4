/** The rows of accounts, copies, receipts and the outbox, over the port. */
import { createHash } from 'node:crypto'
import { textChecksum } from '../../../storage/checksum.ts'
import { type Codec, NOTHING, textBehind } from '../../../storage/codec.ts'
import { defineTable } from '../../../storage/table.ts'
import type { NotificationName } from '../receipts.ts'
import type { Notification } from '../records.ts'
import { ACCOUNT } from './account-rows.ts'
import { OUTBOX_ROW } from './entries.ts'
import { REFERENCE_BYTES } from './heads.ts'

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

const TABLES = {
  ACCOUNTS: defineTable({ name: 'notify.v.accounts', shape: 'cell', codec: ACCOUNT }),
  /** Subject: account. Key: until when its requests last, and one of them. */
  REQUESTS: defineTable({ name: 'notify.v.requests', shape: 'ordered', codec: bytes, ends: true }),
  /** Key: when the first thing of an account expires, its key. */
  DUE: defineTable({ name: 'notify.v.due', shape: 'index', codec: NOTHING }),
  /** Subject: domain. Key: account. */
  SUBSCRIBERS: defineTable({ name: 'notify.v.subscribers', shape: 'index', codec: NOTHING }),
  TOPICS: defineTable({ name: 'notify.v.topics', shape: 'index', codec: NOTHING }),
  HEADS: defineTable({ name: 'notify.v.heads', shape: 'cell', codec: bytes }),
  /** Subject: subscription. Key: until which `sentAt`, and a copy in it. */
  PAGES: defineTable({ name: 'notify.v.pages', shape: 'ordered', codec: bytes, ends: true }),
  /** Subject: notification. */
  CHUNKS: defineTable({ name: 'notify.v.chunks', shape: 'map', codec: bytes, ends: true }),
  NOTIFICATIONS: defineTable({
    name: 'notify.v.notifications',
    shape: 'cell',
    codec: ownJson<Notification>(),
    ends: true,
  }),
  OUTBOX: defineTable({ name: 'notify.v.outbox', shape: 'line', codec: OUTBOX_ROW }),
}
export const { ACCOUNTS, REQUESTS, DUE, SUBSCRIBERS, TOPICS, HEADS, PAGES, CHUNKS, NOTIFICATIONS, OUTBOX } =
  TABLES
export const VERB_TABLES = TABLES

const PARTITION_COUNT = 16
/** All that has accounts. Never to be changed: it says where everything is. */
export const PARTITIONS: readonly string[] = Array.from({ length: PARTITION_COUNT }, (_, p) => `n${p}`)
export const partitionOf = (accountKey: string): string =>
  PARTITIONS[textChecksum(accountKey) % PARTITION_COUNT] ?? ''

/** Stands for a notification in rows: callers choose ids, of any length. */
export const referenceOf = ({ projectId, domain, id }: NotificationName): Buffer =>
  createHash('sha256').update(`${projectId}\0${domain}\0${id}`).digest().subarray(0, REFERENCE_BYTES)

export const notificationCell = (reference: Buffer) => {
  const name = reference.toString('hex')
  return NOTIFICATIONS.in(`m${(reference[0] ?? 0) % PARTITION_COUNT}`, name)
}
export const chunksOf = (partition: string, reference: Buffer) =>
  CHUNKS.in(partition, reference.toString('base64url'))
