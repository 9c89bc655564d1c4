import { endOf, key, named, number } from './bytes.ts'
import type { Env } from './env.ts'
import { EXPIRING, expiryKey, type Tables } from './notify-tables.ts'

/** Rows of one transaction: a sweep must not hold up what wallets ask for. */
const BATCH = 1000

/**
 * Removes what expired, and the copies of subscriptions that ended. Nothing of it is visible any more when it is swept:
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

  const removeNotification = (m: Buffer) => {
    const notification = tables.notifications.get(m)
    if (!notification) return
    const at = named(notification.projectId, named(notification.domain, Buffer.from(notification.id)))
    tables.notifications.remove(m)
    // Another one may have taken the id after this one expired.
    if (tables.notificationIds.get(at) === m.readDoubleBE()) tables.notificationIds.remove(at)
  }

  const removeCopy = (id: Buffer) => {
    const row = copyIds.get(id)
    if (!row) return
    const [n, sentAt] = row
    copyIds.remove(id)
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
        const gone = sweepGone(wanted)
        return gone + (gone < wanted ? sweepExpired(now, wanted - gone) : 0)
      })
      swept += done
      if (done < wanted) break
    }
    return swept
  }
}
