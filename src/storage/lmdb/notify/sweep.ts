import { endOf, key, number, PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { notificationKey } from './copies.ts'
import { EXPIRING, expiryKey, sentKeys, type Tables } from './tables.ts'

/** Rows of one transaction: a sweep must not hold up what wallets ask for. */
const BATCH = 1000

/**
 * Removes what expired, and the copies of subscriptions that ended, and the receipts of notifications that ended. Nothing of it is visible any more when it is swept:
 * every read looks at `expiresAt`, and copies of an ended subscription are found by nobody.
 */
export const createLmdbSweep = (env: Env, tables: Tables) => {
  const { copies, copyIds, expiry } = tables

  const sweepGone = (limit: number): number => {
    let swept = 0
    for (const at of [...tables.gone.getKeys({ limit })]) {
      const rest = [...copies.getRange({ start: at, end: endOf(at), limit: limit - swept })]
      for (const { key: copy, value } of rest) {
        const id = copy.subarray(17)
        copies.remove(copy)
        copyIds.remove(id)
        expiry.remove(expiryKey(value[1], 'copy', id))
      }
      swept += rest.length
      if (swept >= limit) break
      tables.gone.remove(at)
    }
    return swept
  }

  const sweepReceipts = (limit: number): number => {
    let swept = 0
    for (const m of [...tables.receiptsGone.getKeys({ limit })]) {
      const rest = [...tables.receipts.getKeys({ start: m, end: endOf(m), limit: limit - swept })]
      for (const at of rest) tables.receipts.remove(at)
      swept += rest.length
      if (swept >= limit) break
      tables.receiptsGone.remove(m)
    }
    return swept
  }

  const removeNotification = (m: Buffer) => {
    const notification = tables.notifications.get(m)
    if (!notification) return
    const at = notificationKey(notification)
    tables.notifications.remove(m)
    // Another one may have taken the id after this one expired.
    if (tables.notificationIds.get(at) === m.readDoubleBE()) tables.notificationIds.remove(at)
    for (const place of sentKeys(notification, m.readDoubleBE())) tables.sent.remove(place)
    tables.receiptsGone.put(m, PRESENT)
  }

  /** The key may have been used again since. */
  const removeCollapsing = (at: Buffer, expiresAt: number) => {
    if (tables.collapsing.get(at)?.[1] === expiresAt) tables.collapsing.remove(at)
  }

  const removeCopy = (id: Buffer) => {
    const row = copyIds.get(id)
    if (!row) return
    const [n, sentAt, withdrawnUntil] = row
    copyIds.remove(id)
    if (withdrawnUntil !== undefined) return
    const unread = key(number(n), Buffer.from([1]), number(sentAt), id)
    if (!copies.get(unread)) {
      copies.remove(key(number(n), Buffer.from([0]), number(sentAt), id))
      return
    }
    copies.remove(unread)
    const subscriptionId = tables.numbers.get(number(n))
    const subscription =
      subscriptionId === undefined ? undefined : tables.subscriptions.get(Buffer.from(subscriptionId))
    if (subscriptionId === undefined || !subscription) return
    tables.subscriptions.put(Buffer.from(subscriptionId), [
      n,
      subscription[1],
      Math.max(0, subscription[2] - 1),
    ])
  }

  const sweepExpired = (now: number, limit: number): number => {
    const due = [...expiry.getKeys({ end: endOf(number(now)), limit })]
    for (const at of due) {
      const what = at.subarray(9)
      if (at[8] === EXPIRING.notification) removeNotification(what)
      else if (at[8] === EXPIRING.copy) removeCopy(what)
      else if (at[8] === EXPIRING.click) tables.clicks.remove(what)
      else if (at[8] === EXPIRING.collapsing) removeCollapsing(what, at.readDoubleBE())
      else tables.requests.remove(what)
      expiry.remove(at)
    }
    return due.length
  }

  return async (now: number, limit: number): Promise<number> => {
    let swept = 0
    while (swept < limit) {
      const wanted = Math.min(BATCH, limit - swept)
      const done = await env.transaction(() => {
        let rows = sweepGone(wanted)
        if (rows < wanted) rows += sweepReceipts(wanted - rows)
        if (rows < wanted) rows += sweepExpired(now, wanted - rows)
        return rows
      })
      swept += done
      if (done < wanted) break
    }
    return swept
  }
}
