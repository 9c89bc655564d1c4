import {
  CANCELLED,
  DELIVERY_STATES,
  type OutboxOutcome,
  type Receipt,
  type ReceiptsStore,
} from '../../../notify/store/receipts.ts'
import type { Notification } from '../../../notify/store/store.ts'
import { fromCursor, toCursor } from '../../cursor.ts'
import { behind, endOf, name, number } from '../bytes.ts'
import type { Env } from '../env.ts'
import { type Copies, notificationKey } from './copies.ts'
import type { Outbox } from './outbox.ts'
import type { ReceiptRows } from './receipt-rows.ts'
import { sentPrefix, type Tables } from './tables.ts'

/** Notifications of one transaction: nobody else may have to wait for all of them. */
const FORGETTING = 1_000

/** What became of notifications: receipts, cancelling, and the list of what was sent. */
export const createLmdbReceipts = (
  env: Env,
  tables: Tables,
  { copies, receipts }: { copies: Copies; receipts: ReceiptRows },
  outbox: Outbox,
): ReceiptsStore => {
  /** Moves the receipt of the copy whose outbox entry has just been removed. */
  const settle = (copyId: string, { of, accountKey, became, reason }: OutboxOutcome, at: number) => {
    const m = copies.numberOf(of)
    const next = { state: became, at, ...(reason !== undefined && { reason }) }
    if (m === undefined || !receipts.move(m, accountKey, copyId, ['queued'], next)) return
    const copy = became === 'failed' ? copies.byId(copyId) : undefined
    if (copy?.m === m) copies.withdraw(copy)
  }

  return {
    async refuse(of, failures, at) {
      notificationKey(of)
      for (const { accountKey } of failures) name(accountKey)
      await env.transaction(() => {
        const m = copies.numberOf(of)
        if (m === undefined) return
        for (const { accountKey, account, reason } of failures) {
          if (receipts.has(m, accountKey)) continue
          receipts.begin(m, accountKey, { account, state: 'failed', copyId: null, reason, at })
        }
      })
    },

    async completeOutbox(done, at) {
      for (const { id, receipt } of done) {
        name(id)
        if (receipt) notificationKey(receipt.of)
        if (receipt) name(receipt.accountKey)
      }
      await outbox.write((remove) => {
        for (const { id, receipt } of done) if (remove(id) && receipt) settle(id, receipt, at)
      })
    },

    async markDelivered(wanted) {
      for (const { outbox: entry } of wanted) if (entry) name(entry.id)
      let isRung = false
      const became = await env.transaction(() =>
        wanted.map(({ accountKey, subscriptionId, deliveredId, at, outbox: entry }) => {
          const copy = copies.byId(deliveredId)
          const holder = copies.subscription(subscriptionId)
          if (!copy || copy.n !== holder?.number || holder.accountKey !== accountKey) return undefined
          const next = { state: 'delivered', at } as const
          if (!receipts.move(copy.m, accountKey, deliveredId, ['published', 'queued'], next)) return undefined
          if (entry) {
            outbox.add([entry])
            isRung = true
          }
          const notification = copies.notification(copy.m)
          return (
            notification && {
              projectId: notification.projectId,
              domain: notification.domain,
              id: notification.id,
            }
          )
        }),
      )
      if (isRung) outbox.ring()
      return became
    },

    async receipts(of, { state, ...page }) {
      const m = copies.numberOf(of)
      if (m === undefined) return []
      if (state) return receipts.page(m, state, page)
      const all = DELIVERY_STATES.flatMap((each) => receipts.page(m, each, page))
      return all.sort(byAccountKey).slice(0, page.limit)
    },

    async receiptCounts(of) {
      const m = copies.numberOf(of)
      const count = (state: Receipt['state']) => (m === undefined ? 0 : receipts.count(m, state))
      return {
        queued: count('queued'),
        published: count('published'),
        delivered: count('delivered'),
        read: count('read'),
        failed: count('failed'),
      }
    },

    async forgetReceipts(accountKey) {
      name(accountKey)
      for (let start = number(0); ; ) {
        const end = Buffer.alloc(8, 0xff)
        const all = [...tables.notifications.getKeys({ start, end, limit: FORGETTING })]
        await env.transaction(() => {
          for (const m of all) receipts.forget(m.readDoubleBE(), accountKey)
        })
        const last = all.at(-1)
        if (!last || all.length < FORGETTING) return
        start = behind(last)
      }
    },

    async cancelQueued(of, limit, at) {
      notificationKey(of)
      return outbox.write((remove) => {
        const m = copies.numberOf(of)
        if (m === undefined) return { cancelled: 0, more: false }
        const chosen: { accountKey: string; copyId: string }[] = []
        let more = false
        for (const one of receipts.queued(m)) {
          if (!outbox.isFree(one.copyId, at)) continue
          more = chosen.length === limit
          if (more) break
          chosen.push(one)
        }
        for (const { accountKey, copyId } of chosen) {
          const failed = { state: 'failed', reason: CANCELLED, at } as const
          receipts.move(m, accountKey, copyId, ['queued'], failed)
          remove(copyId)
          const copy = copies.byId(copyId)
          if (copy) copies.withdraw(copy)
        }
        return { cancelled: chosen.length, more }
      })
    },

    async notifications(projectId, { domain, after, limit }) {
      const prefix = sentPrefix(projectId, domain)
      const start = after === undefined ? endOf(prefix) : Buffer.concat([prefix, fromCursor(after, 16)])
      const notifications: Notification[] = []
      let last: Buffer | undefined
      for (const at of tables.sent.getKeys({ start, end: prefix, reverse: true })) {
        if (after !== undefined && at.equals(start)) continue
        if (notifications.length === limit) return { notifications, next: last ? toCursor(last) : null }
        const notification = copies.notification(at.readDoubleBE(at.length - 8))
        if (!notification) continue
        notifications.push(notification)
        last = at.subarray(-16)
      }
      return { notifications, next: null }
    },
  }
}

const byAccountKey = (a: Receipt, b: Receipt): number =>
  Buffer.compare(Buffer.from(a.accountKey), Buffer.from(b.accountKey))
