/** Notifications and what became of them, as records (`../../transfer/delivery-records.ts`), and back. */
import type { Notification } from '../../../notify/store/store.ts'
import { endOf, name, number } from '../../bytes.ts'
import type { Readers, Records, Writers } from '../../transfer/transfer.ts'
import { PRESENT } from '../bytes.ts'
import type { ReadView } from '../checked-rows.ts'
import type { Env } from '../env.ts'
import { copyKey, copyOf, notificationKey } from '../notify/copies.ts'
import { collapsingKey } from '../notify/fan-out.ts'
import { receiptOf } from '../notify/receipt-rows.ts'
import type { NotifyParts } from '../notify/store.ts'
import { expiryKey } from '../notify/tables.ts'
import { walk } from './walk.ts'

type Tables = NotifyParts['tables']

const subscriptionOf = (tables: Tables, view: ReadView, n: Buffer) => {
  const id = tables.numbers.get(n, view)
  const row = id === undefined ? undefined : tables.subscriptions.get(name(id), view)
  return id !== undefined && row ? { subscriptionId: id, accountKey: row[1] } : undefined
}

/** Another one may have taken the id after this one expired. */
const isCurrent = (
  tables: Tables,
  view: ReadView,
  m: number,
  notification: Pick<Notification, 'projectId' | 'domain' | 'id'>,
) => tables.notificationIds.get(notificationKey(notification), view) === m

const namesOf = ({
  projectId,
  domain,
  id,
  createdAt,
  expiresAt,
}: Pick<Notification, 'projectId' | 'domain' | 'id' | 'createdAt' | 'expiresAt'>) => ({
  projectId,
  domain,
  notificationId: id,
  sentAt: createdAt,
  expiresAt,
})

/** Names of the notification `m`, if it is kept. */
const namesOfNumber = (tables: Tables, view: ReadView, m: number, now: number) => {
  const notification = tables.notifications.get(number(m), view)
  if (!notification || notification.expiresAt <= now || !isCurrent(tables, view, m, notification))
    return undefined
  return namesOf(notification)
}

const readers = (
  tables: Tables,
  view: ReadView,
): Pick<Readers, 'notification' | 'copy' | 'withdrawn' | 'receipt'> => {
  const notifications = walk(tables.notifications, view, (at, one, now) =>
    one.expiresAt > now && isCurrent(tables, view, at.readDoubleBE(), one)
      ? { ...one, deliverBy: one.deliverBy ?? one.expiresAt }
      : undefined,
  )
  return {
    notification: notifications,
    copy: walk(tables.copies, view, (at, [m, expiresAt], now) => {
      if (expiresAt <= now) return undefined
      const holder = subscriptionOf(tables, view, at.subarray(0, 8))
      const of = tables.notifications.get(number(m), view)
      if (!holder || !of) return undefined
      const { n, id, sentAt, isRead } = copyOf(at, [m, expiresAt])
      const { collapseKey } = of
      const last =
        collapseKey === undefined ? undefined : tables.collapsing.get(collapsingKey(n, collapseKey), view)
      const mark = last?.[0] === id && { isLastOfKey: true as const }
      return { ...holder, id, ...namesOf(of), sentAt, expiresAt, isRead, ...mark }
    }),
    withdrawn: walk(tables.copyIds, view, (at, [n, sentAt, expiresAt], now) => {
      if (expiresAt === undefined || expiresAt <= now) return undefined
      const holder = subscriptionOf(tables, view, number(n))
      return holder && { ...holder, id: at.toString(), sentAt, expiresAt }
    }),
    receipt: {
      size: walk(tables.receipts, view, () => undefined).size,
      async *read(from) {
        // Those of one notification stand side by side.
        let last: { m: number; names: ReturnType<typeof namesOfNumber> } | undefined
        const pages = walk(tables.receipts, view, (at, value, now) => {
          const { m, copyId, ...receipt } = receiptOf(at, value)
          if (last?.m !== m) last = { m, names: namesOfNumber(tables, view, m, now) }
          const copy = receipt.state === 'queued' && copyId !== null && { copyId }
          return last.names && { ...receipt, ...copy, ...last.names }
        })
        yield* pages.read(from)
      },
    },
  }
}

type Named = Pick<Records['receipt'], 'projectId' | 'domain' | 'notificationId' | 'sentAt'>
/** What the writers put rows into. */
interface Rows {
  tables: Tables
  copies: NotifyParts['rows']['copies']
  receipts: NotifyParts['rows']['receipts']
}

/** The number of a record's notification. */
const numberOf = (
  { copies }: Rows,
  { projectId, domain, notificationId, sentAt }: Named,
): number | undefined => {
  const m = copies.numberOf({ projectId, domain, id: notificationId })
  return m !== undefined && copies.notification(m)?.createdAt === sentAt ? m : undefined
}
const holderOf = (
  { copies }: Rows,
  { subscriptionId, accountKey }: { subscriptionId: string; accountKey: string },
) => {
  const holder = copies.subscription(subscriptionId)
  return holder?.accountKey === accountKey ? holder : undefined
}

/** Another engine does not say which copy a receipt that is not queued is about: it is the one that is there. */
const copyOfAccount = (
  { tables, copies }: Rows,
  accountKey: string,
  m: number,
  { domain, sentAt }: Named,
): string | undefined => {
  const subscriptions = tables.accounts.get(name(accountKey))?.record.subscriptions ?? []
  for (const { id } of subscriptions.filter((one) => one.domain === domain)) {
    const holder = copies.subscription(id)
    for (const unread of holder ? [true, false] : []) {
      const start = copyKey(holder?.number ?? 0, unread, sentAt, Buffer.alloc(0))
      for (const { key: at, value } of tables.copies.getRange({ start, end: endOf(start) })) {
        if (value[0] === m) return copyOf(at, value).id
      }
    }
  }
  return undefined
}

// Each within a transaction; false for a record without its subscription or its notification.
const putCopy = (rows: Rows, record: Records['copy']): boolean => {
  const { tables, copies } = rows
  const holder = holderOf(rows, record)
  const m = numberOf(rows, record)
  if (!holder || m === undefined) return false
  const { id, subscriptionId, expiresAt } = record
  if (copies.byId(id)?.n !== holder.number) copies.put(subscriptionId, holder, { ...record, m })
  const collapseKey = copies.notification(m)?.collapseKey
  if (record.isLastOfKey && collapseKey !== undefined) {
    const at = collapsingKey(holder.number, collapseKey)
    tables.collapsing.put(at, [id, expiresAt])
    tables.expiry.put(expiryKey(expiresAt, 'collapsing', at), PRESENT)
  }
  return true
}

const putWithdrawn = (rows: Rows, record: Records['withdrawn']): boolean => {
  const { tables } = rows
  const holder = holderOf(rows, record)
  if (!holder) return false
  const id = name(record.id)
  tables.copyIds.put(id, [holder.number, record.sentAt, record.expiresAt])
  tables.expiry.put(expiryKey(record.expiresAt, 'copy', id), PRESENT)
  return true
}

const putReceipt = (rows: Rows, record: Records['receipt']): boolean => {
  const { receipts } = rows
  const { accountKey, account, state, reason, at } = record
  const m = numberOf(rows, record)
  if (m === undefined) return false
  if (receipts.has(m, accountKey)) return true
  const copyId = record.copyId ?? copyOfAccount(rows, accountKey, m, record) ?? null
  receipts.begin(m, accountKey, { account, state, copyId, at, ...(reason !== undefined && { reason }) })
  return true
}

const writer = <R>(
  env: Env,
  rows: Rows,
  putOne: (rows: Rows, record: R) => boolean,
  namesOf: (record: R) => string[],
) => ({
  async write(records: readonly R[]): Promise<R[]> {
    // A name that no key can have is refused before the transaction begins.
    for (const record of records) for (const text of namesOf(record)) name(text)
    return env.transaction(() => records.filter((record) => !putOne(rows, record)))
  },
})

export const createSentTransfer = (
  env: Env,
  { tables, rows: notifyRows }: Pick<NotifyParts, 'tables' | 'rows'>,
) => {
  const rows: Rows = { tables, ...notifyRows }
  const write: Pick<Writers, 'copy' | 'withdrawn' | 'receipt'> = {
    copy: writer(env, rows, putCopy, ({ id, subscriptionId }) => [id, subscriptionId]),
    withdrawn: writer(env, rows, putWithdrawn, ({ id, subscriptionId }) => [id, subscriptionId]),
    receipt: writer(env, rows, putReceipt, ({ accountKey }) => [accountKey]),
  }
  return { read: (view: ReadView) => readers(tables, view), write }
}
