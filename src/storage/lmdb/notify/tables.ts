import type { AccountRecord, Notification, OutboxEntry } from '../../../notify/store/store.ts'
import { key, name, named, number } from '../../bytes.ts'
import type { Bytes, Rows } from '../checked-rows.ts'
import type { Env } from '../env.ts'

/** A subscription as histories know it: `number` stands for it in their keys, because a copy should be small. */
export interface SubscriptionRow {
  number: number
  accountKey: string
  unread: number
}

/**
 * The notify server's tables. `n` is a subscription's number, `m` a notification's.
 *
 * | table | key | value |
 * |---|---|---|
 * | accounts | account key | the record |
 * | topics | notify topic | account key, subscription id |
 * | watchers | identity key | account key |
 * | subscribers | domain, account key | – |
 * | due | when something of the account expires, account key | – |
 * | subscriptions | subscription id | n, account key, how many copies are unread |
 * | numbers | n | subscription id |
 * | gone | n | – (a subscription that ended; its copies are being swept) |
 * | notifications | m | the notification |
 * | notificationIds | project id, domain, id | m |
 * | copies | n, 1 unread or 0 read, sentAt, copy id | m, expiresAt |
 * | copyIds | copy id | n, sentAt; of a withdrawn copy also when it would have expired |
 * | receipts | m, state, account key | at, account, copy id (none if it was refused), reason |
 * | receiptsGone | m | – (a notification that expired; its receipts are being swept) |
 * | collapsing | n, collapse key | id of the last copy with that key, expiresAt |
 * | sent | project id, domain (and again with none), createdAt, m | – |
 * | requests | request id | expiresAt |
 * | expiry | expiresAt, kind, what | – |
 * | outbox | insertion number | the entry |
 * | outboxIds | entry id | insertion number |
 * | counters | name | the last number that was given out |
 */
export interface Tables {
  accounts: Rows<{ version: number; record: AccountRecord }>
  topics: Rows<[accountKey: string, subscriptionId: string]>
  watchers: Rows<string>
  subscribers: Bytes
  due: Bytes
  subscriptions: Rows<[number: number, accountKey: string, unread: number]>
  numbers: Rows<string>
  gone: Bytes
  /** Without `deliverBy`: from before there was one. */
  notifications: Rows<Omit<Notification, 'deliverBy'> & Partial<Pick<Notification, 'deliverBy'>>>
  notificationIds: Rows<number>
  copies: Rows<[notification: number, expiresAt: number]>
  copyIds: Rows<[number: number, sentAt: number, withdrawnUntil?: number]>
  receipts: Rows<[at: number, account: string, copyId: string | null, reason: string | null]>
  receiptsGone: Bytes
  collapsing: Rows<[copyId: string, expiresAt: number]>
  sent: Bytes
  requests: Rows<number>
  expiry: Bytes
  outbox: Rows<OutboxEntry>
  outboxIds: Rows<number>
  counters: Rows<number>
}

export const openTables = (env: Env): Tables => {
  const rows = <V>(table: string): Rows<V> => env.rows(`notify.${table}`)
  const bytes = (table: string): Bytes => env.bytes(`notify.${table}`)
  return {
    accounts: rows('accounts'),
    topics: rows('topics'),
    watchers: rows('watchers'),
    subscribers: bytes('subscribers'),
    due: bytes('due'),
    subscriptions: rows('subscriptions'),
    numbers: rows('numbers'),
    gone: bytes('gone'),
    notifications: rows('notifications'),
    notificationIds: rows('notificationIds'),
    copies: rows('copies'),
    copyIds: rows('copyIds'),
    receipts: rows('receipts'),
    receiptsGone: bytes('receiptsGone'),
    collapsing: rows('collapsing'),
    sent: bytes('sent'),
    requests: rows('requests'),
    expiry: bytes('expiry'),
    outbox: rows('outbox'),
    outboxIds: rows('outboxIds'),
    counters: rows('counters'),
  }
}

/** The next number of a series that never gives one twice. Within a transaction. */
export const nextNumber = (tables: Tables, series: string): number => {
  const at = name(series)
  const next = (tables.counters.get(at) ?? 0) + 1
  tables.counters.put(at, next)
  return next
}

export const EXPIRING = { notification: 1, copy: 2, request: 3, collapsing: 5 } as const

export const expiryKey = (expiresAt: number, kind: keyof typeof EXPIRING, what: Buffer): Buffer =>
  key(number(expiresAt), Buffer.from([EXPIRING[kind]]), what)

/** `start` and `end` of a page of names. */
export const pageOf = ({ after, limit }: { after?: string; limit: number }) =>
  after === undefined ? { limit } : { start: Buffer.concat([name(after), Buffer.from([0])]), limit }

/** Where the list of a project has a notification, and that of its app. */
export const sentKeys = (
  { projectId, domain, createdAt }: Pick<Notification, 'projectId' | 'domain' | 'createdAt'>,
  m: number,
): Buffer[] =>
  [sentPrefix(projectId), sentPrefix(projectId, domain)].map((prefix) =>
    key(prefix, number(createdAt), number(m)),
  )

/** The list of a project stands under the empty domain. */
export const sentPrefix = (projectId: string, domain?: string): Buffer =>
  named(projectId, domain === undefined ? Buffer.from([0]) : named(domain))
