/**
 * Where the notify server's data lies. Everything that one commit changes about an address shares a hash tag, the
 * partition of its account key: `p0` to `p63`. So one script moves it together, on one node of a cluster.
 *
 * `<p>` is the partition of the account, `<q>` that of the notification. Times are scores or values in unix ms. Every
 * key without a † goes by itself: it lives as long as the longest-living thing in it, and a margin.
 *
 * Accounts and topics are packed (`notify-packing`).
 *
 * | key | type | what |
 * |---|---|---|
 * | `{<p>}a:<account>` | string | version, space, the record as JSON |
 * | `{<p>}version` † | number | the last version that was given out |
 * | `{<p>}due` | sorted set | account by when its first thing expires |
 * | `{<p>}topics` | sorted set | notify topics, in topic order |
 * | `{<p>}l:<domain>` | sorted set | subscribers of an app, in account-key order |
 * | `{<p>}q:<request>` | string | when the request id expires |
 * | `{<p>}c:<subscription>` | sorted set | copies by sentAt |
 * | `{<p>}u:<subscription>` | sorted set | the unread ones of them, likewise: its size is the unread count |
 * | `{<p>}h:<subscription>` | hash | copy → when it expires, space, its notification; space, minus, if withdrawn |
 * | `{<p>}ids` | hash | copy → its subscription |
 * | `{<p>}expiring` | sorted set | subscription by when its first copy expires |
 * | `{<p>}g:<subscription>` | sorted set | copies of a subscription that ended |
 * | `{<p>}gone` | sorted set | what has ended and leaves something to sweep |
 * | `{<p>}k:<notification>:<sentAt>` | sorted set | receipts that are queued (`notify-receipt-rows`) |
 * | `{<p>}r:<notification>:<sentAt>` | sorted set | the other receipts |
 * | `{<p>}x:<subscription>:<collapse key>` | string | its last copy with that key: sentAt, notification, id |
 * | `{<p>}entries` | hash | outbox: entry id → its place in the order, space, the entry as JSON |
 * | `{<p>}free` | sorted set | entries that are free, by order |
 * | `{<p>}held` | sorted set | entries that a worker holds, by when they are free again |
 * | `{<p>}order` † | number | the last place in the order that was given out |
 * | `{<q>}n:<notification>` | string | when it expires, space, the notification as JSON |
 * | `{<q>}notifications` | sorted set | notifications by when they expire |
 * | `{s:<project>}all`, `{s:<project>}d:<domain>` | sorted set | notification and sentAt, by sentAt: what was sent |
 * | `nt:<topic>`, `nw:<identity key>` | string | look-up: accounts whose topic or watcher it may be |
 * | `nq:<request>` | string | look-up: partition of a request id |
 *
 * **Look-ups** are in other slots than what they lead to, so no commit can include them. They are written before it,
 * hold candidates rather than truths, and whoever reads one believes only what the account's record confirms.
 */
import { createHash } from 'node:crypto'
import { HOUR_MS } from '../../../../platform/units.ts'
import { packAccount, packTopic } from './packing.ts'

export const PARTITIONS = 64
/** Numbers of all partitions. */
export const ALL: readonly number[] = Array.from({ length: PARTITIONS }, (_, p) => p)

/** How long a key stays after what it holds has expired, ms: for clocks that differ, for a server that was off. */
export const TTL_MARGIN_MS = {
  request: HOUR_MS,
  copy: 24 * HOUR_MS,
  receipt: HOUR_MS,
  account: 30 * 24 * HOUR_MS,
} as const

/** Names become parts of keys and of separated lists. Anything else is a defect of the caller. */
export const name = (text: string): string => {
  if (text.length === 0 || text.length > 1024 || text.includes('\0')) {
    throw new Error(`Not a usable name: ${text.slice(0, 80)}`)
  }
  return text
}

/** Never to be changed: it says where everything is. */
export const partitionOf = (accountKey: string): number =>
  (createHash('sha256').update(name(accountKey)).digest()[0] ?? 0) % PARTITIONS

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** 162 bits of a SHA-256. */
const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 27)

/** Stands for a notification in its key and in copies: callers choose ids, of any length. */
export const referenceOf = (projectId: string, domain: string, id: string): string =>
  digestOf(`${name(projectId)}\0${name(domain)}\0${id}`)

/** Keys of what a subscription has received, in the order in which scripts expect them. */
export type CopyKeys = readonly [copies: string, unread: string, rows: string]

/** Keys of the receipts of a notification in one partition. */
export type ReceiptKeys = readonly [queued: string, others: string]

/**
 * Names one notification in keys. Another one may take its id when it has expired: so the time at which it was sent
 * belongs to it.
 */
export const receiptKeyOf = (reference: string, sentAt: number): string =>
  `${reference}:${sentAt.toString(36)}`

export interface Partition {
  version: string
  due: string
  topics: string
  expiring: string
  gone: string
  ids: string
  notifications: string
  entries: string
  free: string
  held: string
  order: string
  account(accountKey: string): string
  list(domain: string): string
  request(id: string): string
  copies(subscriptionId: string): CopyKeys
  ended(subscriptionId: string): string
  receipts(receiptKey: string): ReceiptKeys
  collapsing(subscriptionId: string, collapseKey: string): string
}

export const createLayout = (prefix: string) => {
  const partitions = ALL.map((p): Partition => {
    const at = (rest: string) => `${prefix}{p${p}}${rest}`
    return {
      version: at('version'),
      due: at('due'),
      topics: at('topics'),
      expiring: at('expiring'),
      gone: at('gone'),
      ids: at('ids'),
      notifications: at('notifications'),
      entries: at('entries'),
      free: at('free'),
      held: at('held'),
      order: at('order'),
      account: (accountKey) => at(`a:${packAccount(name(accountKey))}`),
      list: (domain) => at(`l:${name(domain)}`),
      request: (id) => at(`q:${name(id)}`),
      copies: (id) => [at(`c:${name(id)}`), at(`u:${id}`), at(`h:${id}`)],
      ended: (id) => at(`g:${name(id)}`),
      receipts: (receiptKey) => [at(`k:${receiptKey}`), at(`r:${receiptKey}`)],
      collapsing: (id, collapseKey) => at(`x:${name(id)}:${digestOf(collapseKey)}`),
    }
  })
  const partition = (p: number): Partition => {
    const found = partitions[p]
    if (!found) throw new Error(`There is no partition ${p}`)
    return found
  }
  return {
    partition,
    of: (accountKey: string): Partition => partition(partitionOf(accountKey)),
    /** Partition and key of a notification. */
    notification(reference: string): { at: Partition; key: string } {
      const p = BASE64URL.indexOf(reference[0] ?? '')
      return { at: partition(p), key: `${prefix}{p${p}}n:${reference}` }
    },
    /** A partition's subscriber list of an app, by the partition's number. */
    listsOf: (domain: string) => (p: number) => partition(p).list(domain),
    sent: (projectId: string, domain?: string) =>
      `${prefix}{s:${name(projectId)}}${domain === undefined ? 'all' : `d:${name(domain)}`}`,
    topicLookup: (topic: string) => `${prefix}nt:${packTopic(name(topic))}`,
    watcherLookup: (identityKey: string) => `${prefix}nw:${name(identityKey)}`,
    requestLookup: (id: string) => `${prefix}nq:${name(id)}`,
  }
}

export type Layout = ReturnType<typeof createLayout>
