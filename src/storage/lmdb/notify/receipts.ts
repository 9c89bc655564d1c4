import {
  CANCELLED,
  DELIVERY_STATES,
  type OutboxOutcome,
  type Receipt,
  type ReceiptsStore,
} from '../../../notify/store/receipts.ts'
import type { Notification, NotifyStore } from '../../../notify/store/store.ts'
import { behind, endOf, name, number } from '../../bytes.ts'
import { fromCursor, toCursor } from '../../cursor.ts'
import type { Env } from '../env.ts'
import { type Copies, notificationKey } from './copies.ts'
import type { Outbox } from './outbox.ts'
import type { ReceiptRows } from './receipt-rows.ts'
import { sentPrefix, type Tables } from './tables.ts'

/** Notifications of one transaction: other transactions do not wait for all of them. */
const MAX_TRANSACTION_NOTIFICATIONS = 1_000

interface ReceiptsDeps {
  env: Env
  tables: Tables
  copies: Copies
  receipts: ReceiptRows
  outbox: Outbox
}

/** Moves the receipt of the copy whose outbox entry has just been removed. */
const settle = (
  deps: ReceiptsDeps,
  copyId: string,
  { of, accountKey, became, reason }: OutboxOutcome,
  at: number,
) => {
  const m = deps.copies.numberOf(of)
  const next = { state: became, at, ...(reason !== undefined && { reason }) }
  if (m === undefined || !deps.receipts.move(m, accountKey, copyId, ['queued'], next)) return
  const copy = became === 'failed' ? deps.copies.byId(copyId) : undefined
  if (copy?.m === m) deps.copies.withdraw(copy)
}

const outcomeVerbs = (
  deps: ReceiptsDeps,
): Pick<ReceiptsStore, 'refuse' | 'completeOutbox' | 'markDelivered'> => ({
  async refuse(of, failures, at) {
    notificationKey(of)
    for (const { accountKey } of failures) name(accountKey)
    await deps.env.transaction(() => {
      const m = deps.copies.numberOf(of)
      if (m === undefined) return
      for (const { accountKey, account, reason } of failures) {
        if (deps.receipts.has(m, accountKey)) continue
        deps.receipts.begin(m, accountKey, { account, state: 'failed', copyId: null, reason, at })
      }
    })
  },

  async completeOutbox(done, at) {
    for (const { id, receipt } of done) {
      name(id)
      if (receipt) notificationKey(receipt.of)
      if (receipt) name(receipt.accountKey)
    }
    await deps.outbox.write((remove) => {
      for (const { id, receipt } of done) if (remove(id) && receipt) settle(deps, id, receipt, at)
    })
  },

  async markDelivered(wanted) {
    for (const { outbox: entry } of wanted) if (entry) name(entry.id)
    let isRung = false
    const became = await deps.env.transaction(() =>
      wanted.map(({ accountKey, subscriptionId, deliveredId, at, outbox: entry }) => {
        const copy = deps.copies.byId(deliveredId)
        const holder = deps.copies.subscription(subscriptionId)
        if (!copy || copy.n !== holder?.number || holder.accountKey !== accountKey) return undefined
        const next = { state: 'delivered', at } as const
        if (!deps.receipts.move(copy.m, accountKey, deliveredId, ['published', 'queued'], next))
          return undefined
        if (entry) {
          deps.outbox.add([entry])
          isRung = true
        }
        const notification = deps.copies.notification(copy.m)
        return (
          notification && {
            projectId: notification.projectId,
            domain: notification.domain,
            id: notification.id,
          }
        )
      }),
    )
    if (isRung) deps.outbox.ring()
    return became
  },
})

const settleVerb = (deps: ReceiptsDeps): Pick<NotifyStore, 'settleNotifications'> => ({
  async settleNotifications(entries, { published, others }, at) {
    const [first] = entries
    if (!first) return
    for (const { accountKey, deliveredId } of published)
      for (const text of [accountKey, deliveredId]) name(text)
    for (const { accountKey, outbox: entry } of others) for (const text of [accountKey, entry.id]) name(text)
    const { createdAt, task } = first
    const { projectId, domain, notificationId } = task
    let isRung = false
    await deps.outbox.write((remove) => {
      if (entries.filter(({ id }) => remove(id)).length === 0) return
      const m = deps.copies.numberOf({ projectId, domain, id: notificationId })
      if (m === undefined) return
      const next = { state: 'published', at } as const
      for (const { accountKey, deliveredId } of published) {
        deps.receipts.move(m, accountKey, deliveredId, ['queued'], next)
      }
      const unsent = others.filter(({ accountKey, outbox: entry }) =>
        deps.receipts.isQueued(m, accountKey, entry.id, createdAt),
      )
      deps.outbox.add(unsent.map(({ outbox: entry }) => entry))
      isRung = unsent.length > 0
    })
    if (isRung) deps.outbox.ring()
  },
})

const cancelVerbs = (deps: ReceiptsDeps): Pick<ReceiptsStore, 'forgetReceipts' | 'cancelQueued'> => ({
  async forgetReceipts(accountKey) {
    name(accountKey)
    for (let start = number(0); ; ) {
      const end = Buffer.alloc(8, 0xff)
      const all = [...deps.tables.notifications.getKeys({ start, end, limit: MAX_TRANSACTION_NOTIFICATIONS })]
      await deps.env.transaction(() => {
        for (const m of all) deps.receipts.forget(m.readDoubleBE(), accountKey)
      })
      const last = all.at(-1)
      if (!last || all.length < MAX_TRANSACTION_NOTIFICATIONS) return
      start = behind(last)
    }
  },

  async cancelQueued(of, limit, at) {
    notificationKey(of)
    return deps.outbox.write((remove) => {
      const m = deps.copies.numberOf(of)
      if (m === undefined) return { cancelled: 0, more: false }
      const chosen: { accountKey: string; copyId: string }[] = []
      let more = false
      for (const one of deps.receipts.queued(m)) {
        if (!deps.outbox.isFree(one.copyId, at)) continue
        more = chosen.length === limit
        if (more) break
        chosen.push(one)
      }
      for (const { accountKey, copyId } of chosen) {
        const failed = { state: 'failed', reason: CANCELLED, at } as const
        deps.receipts.move(m, accountKey, copyId, ['queued'], failed)
        remove(copyId)
        const copy = deps.copies.byId(copyId)
        if (copy) deps.copies.withdraw(copy)
      }
      return { cancelled: chosen.length, more }
    })
  },
})

const readVerbs = (
  deps: ReceiptsDeps,
): Pick<ReceiptsStore, 'receipts' | 'receiptCounts' | 'notifications'> => ({
  async receipts(of, { state, ...page }) {
    const m = deps.copies.numberOf(of)
    if (m === undefined) return []
    if (state) return deps.receipts.page(m, state, page)
    const all = DELIVERY_STATES.flatMap((each) => deps.receipts.page(m, each, page))
    return all.sort(byAccountKey).slice(0, page.limit)
  },

  async receiptCounts(of) {
    const m = deps.copies.numberOf(of)
    const count = (state: Receipt['state']) => (m === undefined ? 0 : deps.receipts.count(m, state))
    return {
      queued: count('queued'),
      published: count('published'),
      delivered: count('delivered'),
      read: count('read'),
      failed: count('failed'),
    }
  },

  async notifications(projectId, { domain, after, limit }) {
    const prefix = sentPrefix(projectId, domain)
    const start = after === undefined ? endOf(prefix) : Buffer.concat([prefix, fromCursor(after, 16)])
    const notifications: Notification[] = []
    let last: Buffer | undefined
    for (const at of deps.tables.sent.getKeys({ start, end: prefix, reverse: true })) {
      if (after !== undefined && at.equals(start)) continue
      if (notifications.length === limit) return { notifications, next: last ? toCursor(last) : null }
      const notification = deps.copies.notification(at.readDoubleBE(at.length - 8))
      if (!notification) continue
      notifications.push(notification)
      last = at.subarray(-16)
    }
    return { notifications, next: null }
  },
})

/** What became of notifications: receipts, cancelling, and the list of what was sent. */
export const createLmdbReceipts = (
  env: Env,
  tables: Tables,
  rows: { copies: Copies; receipts: ReceiptRows },
  outbox: Outbox,
): ReceiptsStore & Pick<NotifyStore, 'settleNotifications'> => {
  const deps: ReceiptsDeps = { env, tables, ...rows, outbox }

  return {
    ...outcomeVerbs(deps),
    ...settleVerb(deps),
    ...cancelVerbs(deps),
    ...readVerbs(deps),
  }
}

const byAccountKey = (a: Receipt, b: Receipt): number =>
  Buffer.compare(Buffer.from(a.accountKey), Buffer.from(b.accountKey))
