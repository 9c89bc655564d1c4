import { endOf, key, number } from '../../bytes.ts'
import { ifWhole } from '../../damaged-row.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { notificationKey } from './copies.ts'
import { EXPIRING, expiryKey, sentKeys, type Tables } from './tables.ts'

/** Rows of one transaction: a sweep must not hold up what wallets ask for. */
const SWEEP_BATCH_SIZE = 1000

interface SweepDeps {
  env: Env
  tables: Tables
}

const sweepGone = (deps: SweepDeps, limit: number): number => {
  let swept = 0
  for (const at of [...deps.tables.gone.getKeys({ limit })]) {
    const rest = [...deps.tables.copies.getKeys({ start: at, end: endOf(at), limit: limit - swept })]
    for (const copy of rest) {
      const id = copy.subarray(17)
      const value = ifWhole(() => deps.tables.copies.get(copy))
      deps.tables.copies.remove(copy)
      deps.tables.copyIds.remove(id)
      if (value) deps.tables.expiry.remove(expiryKey(value[1], 'copy', id))
    }
    swept += rest.length
    if (swept >= limit) break
    deps.tables.gone.remove(at)
  }
  return swept
}

const sweepReceipts = (deps: SweepDeps, limit: number): number => {
  let swept = 0
  for (const m of [...deps.tables.receiptsGone.getKeys({ limit })]) {
    const rest = [...deps.tables.receipts.getKeys({ start: m, end: endOf(m), limit: limit - swept })]
    for (const at of rest) deps.tables.receipts.remove(at)
    swept += rest.length
    if (swept >= limit) break
    deps.tables.receiptsGone.remove(m)
  }
  return swept
}

const removeNotification = (deps: SweepDeps, m: Buffer) => {
  const notification = ifWhole(() => deps.tables.notifications.get(m))
  if (!notification) return
  const at = notificationKey(notification)
  deps.tables.notifications.remove(m)
  // Another one may have taken the id after this one expired.
  if (ifWhole(() => deps.tables.notificationIds.get(at)) === m.readDoubleBE())
    deps.tables.notificationIds.remove(at)
  for (const place of sentKeys(notification, m.readDoubleBE())) deps.tables.sent.remove(place)
  deps.tables.receiptsGone.put(m, PRESENT)
}

/** The key may have been used again since. */
const removeCollapsing = (deps: SweepDeps, at: Buffer, expiresAt: number) => {
  if (ifWhole(() => deps.tables.collapsing.get(at))?.[1] === expiresAt) deps.tables.collapsing.remove(at)
}

const removeCopy = (deps: SweepDeps, id: Buffer) => {
  const row = ifWhole(() => deps.tables.copyIds.get(id))
  if (!row) return
  const [n, sentAt, withdrawnUntil] = row
  deps.tables.copyIds.remove(id)
  if (withdrawnUntil !== undefined) return
  const unread = key(number(n), Buffer.from([1]), number(sentAt), id)
  const isUnread = ifWhole(() => deps.tables.copies.get(unread)) !== undefined
  deps.tables.copies.remove(unread)
  if (!isUnread) {
    deps.tables.copies.remove(key(number(n), Buffer.from([0]), number(sentAt), id))
    return
  }
  const subscriptionId = ifWhole(() => deps.tables.numbers.get(number(n)))
  const subscription =
    subscriptionId === undefined
      ? undefined
      : ifWhole(() => deps.tables.subscriptions.get(Buffer.from(subscriptionId)))
  if (subscriptionId === undefined || !subscription) return
  deps.tables.subscriptions.put(Buffer.from(subscriptionId), [
    n,
    subscription[1],
    Math.max(0, subscription[2] - 1),
  ])
}

const sweepExpired = (deps: SweepDeps, now: number, limit: number): number => {
  const due = [...deps.tables.expiry.getKeys({ end: endOf(number(now)), limit })]
  for (const at of due) {
    const what = at.subarray(9)
    if (at[8] === EXPIRING.notification) removeNotification(deps, what)
    else if (at[8] === EXPIRING.copy) removeCopy(deps, what)
    else if (at[8] === EXPIRING.collapsing) removeCollapsing(deps, what, at.readDoubleBE())
    else deps.tables.requests.remove(what)
    deps.tables.expiry.remove(at)
  }
  return due.length
}

/**
 * Removes what expired, and the copies of subscriptions that ended, and the receipts of notifications that ended. Nothing of it is visible any more when it is swept:
 * every read looks at `expiresAt`, and no read finds copies of an ended subscription. A row that is damaged is passed over.
 */
export const createLmdbSweep = (env: Env, tables: Tables) => {
  const deps: SweepDeps = { env, tables }

  return async (now: number, limit: number): Promise<number> => {
    let swept = 0
    while (swept < limit) {
      const wanted = Math.min(SWEEP_BATCH_SIZE, limit - swept)
      const done = await deps.env.transaction(() => {
        let rows = sweepGone(deps, wanted)
        if (rows < wanted) rows += sweepReceipts(deps, wanted - rows)
        if (rows < wanted) rows += sweepExpired(deps, now, wanted - rows)
        return rows
      })
      swept += done
      if (done < wanted) break
    }
    return swept
  }
}
