import { REPLACED } from '../../../notify/store/receipts.ts'
import { sharedEntry } from '../../../notify/store/shared-entry.ts'
import type {
  EnqueueOutcome,
  EnqueueTarget,
  Notification,
  NotifyStore,
  OutboxEntryOf,
} from '../../../notify/store/store.ts'
import { key, name, number } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { type Copies, notificationKey } from './copies.ts'
import type { Outbox } from './outbox.ts'
import type { ReceiptRows } from './receipt-rows.ts'
import { expiryKey, nextNumber, sentKeys, type Tables } from './tables.ts'

type FanOut = Pick<NotifyStore, 'putNotification' | 'notification' | 'enqueue' | 'enqueueLeased'>

/** Targets of one transaction: a fan-out to thousands must not hold up other transactions. */
const MAX_TRANSACTION_TARGETS = 500

interface FanOutDeps {
  env: Env
  tables: Tables
  copies: Copies
  receipts: ReceiptRows
  outbox: Outbox
}

/** The number under which the notification is kept; keeps it if it is not there. Within a transaction. */
const keep = (deps: FanOutDeps, notification: Notification): number => {
  const at = notificationKey(notification)
  const known = deps.tables.notificationIds.get(at)
  const existing = known === undefined ? undefined : deps.copies.notification(known)
  if (known !== undefined && existing && existing.expiresAt > notification.createdAt) return known
  const m = nextNumber(deps.tables, 'notification')
  deps.tables.notificationIds.put(at, m)
  deps.tables.notifications.put(number(m), notification)
  for (const place of sentKeys(notification, m)) deps.tables.sent.put(place, PRESENT)
  deps.tables.expiry.put(expiryKey(notification.expiresAt, 'notification', number(m)), PRESENT)
  return m
}

/** Withdraws the last copy with this key, if the wallet does not have it, and puts the new one in its place. */
const collapse = (
  deps: FanOutDeps,
  n: number,
  { accountKey, deliveredId, outbox: { createdAt } }: EnqueueTarget,
  { collapseKey = '', expiresAt }: Notification,
  remove: (id: string) => boolean,
) => {
  const at = collapsingKey(n, collapseKey)
  const last = deps.tables.collapsing.get(at)
  const copy = last && deps.copies.byId(last[0])
  if (copy?.n === n && !copy.isRead) {
    const failed = { state: 'failed', reason: REPLACED, at: createdAt } as const
    if (deps.receipts.move(copy.m, accountKey, copy.id, ['published', 'queued'], failed)) {
      deps.copies.withdraw(copy)
      remove(copy.id)
    }
  }
  deps.tables.collapsing.put(at, [deliveredId, expiresAt])
  deps.tables.expiry.put(expiryKey(expiresAt, 'collapsing', at), PRESENT)
}

const writeCopy = (
  deps: FanOutDeps,
  { m, notification, isUsed }: { m: number; notification: Notification; isUsed: boolean },
  target: EnqueueTarget,
  now: number,
  remove: (id: string) => boolean,
) => {
  const { accountKey, account, subscriptionId, deliveredId, outbox: entry } = target
  const { createdAt: sentAt, expiresAt } = notification
  const holder = deps.copies.subscription(subscriptionId)
  if (holder?.accountKey !== accountKey) return 'gone'
  const earlier = deps.copies.position(deliveredId)
  if (earlier && earlier.expiresAt > now) return 'repeated'
  if (earlier?.n === holder.number) {
    // It expired and was not swept: the id begins again.
    const copy = deps.copies.byId(deliveredId)
    if (copy) deps.copies.withdraw(copy)
    deps.tables.expiry.remove(expiryKey(earlier.expiresAt, 'copy', name(deliveredId)))
  }
  if (notification.collapseKey !== undefined) collapse(deps, holder.number, target, notification, remove)
  // Read again: what was withdrawn above counted.
  const { unread } = deps.copies.subscription(subscriptionId) ?? holder
  const copy = { id: deliveredId, sentAt, isRead: false, m, expiresAt }
  deps.copies.put(subscriptionId, { ...holder, unread }, copy)
  // The account may have been refused, or had another subscription: its receipt begins anew.
  if (isUsed) deps.receipts.forget(m, accountKey)
  deps.receipts.begin(m, accountKey, { account, state: 'queued', copyId: deliveredId, at: entry.createdAt })
  return 'sent'
}

/** Adds an entry for each of those that are sent. Within a transaction, as every `AddEntries`. */
type AddEntries = (sent: readonly EnqueueTarget[]) => void

const sentOf = (targets: readonly EnqueueTarget[], outcomes: readonly EnqueueOutcome[]): EnqueueTarget[] =>
  targets.filter((_, at) => outcomes[at] === 'sent')

const checkTargets = (notification: Notification, targets: readonly EnqueueTarget[]): void => {
  notificationKey(notification)
  if (notification.collapseKey !== undefined) collapsingKey(0, notification.collapseKey)
  for (const { accountKey, deliveredId, subscriptionId, outbox: entry } of targets) {
    for (const text of [accountKey, deliveredId, subscriptionId]) name(text)
    if (entry.id !== deliveredId) throw new Error(`An outbox entry of a copy has its id: ${entry.id}`)
  }
}

/** Transaction by transaction. */
const writeAll = async (
  deps: FanOutDeps,
  notification: Notification,
  targets: readonly EnqueueTarget[],
  addEntries: AddEntries,
): Promise<EnqueueOutcome[]> => {
  checkTargets(notification, targets)
  const all: EnqueueOutcome[] = []
  for (let from = 0; from < targets.length; from += MAX_TRANSACTION_TARGETS) {
    const some = targets.slice(from, from + MAX_TRANSACTION_TARGETS)
    const outcomes = await deps.outbox.write((remove) => {
      const m = keep(deps, notification)
      const existing = deps.copies.notification(m) ?? notification
      const about = { m, notification: existing, isUsed: deps.receipts.isUsed(m) }
      const outcomes = some.map((target) => writeCopy(deps, about, target, notification.createdAt, remove))
      addEntries(sentOf(some, outcomes))
      return outcomes
    })
    all.push(...outcomes)
  }
  return all
}

/** Keeps notifications, and hands them over to subscribers. */
export const createLmdbFanOut = (
  env: Env,
  tables: Tables,
  rows: { copies: Copies; receipts: ReceiptRows },
  outbox: Outbox,
): FanOut => {
  const deps: FanOutDeps = { env, tables, ...rows, outbox }

  return {
    async putNotification(notification) {
      notificationKey(notification)
      return deps.env.transaction(() => deps.copies.notification(keep(deps, notification)) ?? notification)
    },
    async notification(projectId, domain, id) {
      const m = deps.copies.numberOf({ projectId, domain, id })
      return m === undefined ? undefined : deps.copies.notification(m)
    },
    async enqueue(notification, targets) {
      const outcomes = await writeAll(deps, notification, targets, (sent) =>
        outbox.add(sent.map((target) => target.outbox)),
      )
      if (outcomes.includes('sent')) outbox.ring()
      return outcomes
    },
    async enqueueLeased(notification, targets, lease) {
      const entries: OutboxEntryOf<'notifications'>[] = []
      const outcomes = await writeAll(deps, notification, targets, (sent) => {
        const [first, ...others] = sent
        if (first) entries.push(outbox.addLeased(sharedEntry(notification, [first, ...others]), lease))
      })
      return { outcomes, entries }
    },
  }
}

/** Stands last in its key, so it may be any text that is short enough. */
export const collapsingKey = (n: number, collapseKey: string): Buffer => {
  const text = Buffer.from(collapseKey)
  if (text.length > 1024) throw new Error('The collapse key is too long')
  return key(number(n), text)
}
