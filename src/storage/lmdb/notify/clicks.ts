import { createHash } from 'node:crypto'
import type { ClickStore, Notification } from '../../../notify/store/store.ts'
import { key, name, nameOrNone } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { expiryKey, type Tables } from './tables.ts'

/** An id may be used again when its notification has expired: its time tells the two apart. */
export const clicksOf = ({
  projectId,
  domain,
  id,
  createdAt,
}: Pick<Notification, 'projectId' | 'domain' | 'id' | 'createdAt'>): Buffer =>
  createHash('sha256').update([projectId, domain, createdAt, id].join('\0')).digest()

/** Clicks of a notification stand under its reference, those of a copy under that and the copy's id. */
export const createLmdbClicks = (env: Env, tables: Tables): ClickStore => {
  const { clicks, expiry } = tables
  return {
    async click(notification, deliveredId, at) {
      const whole = clicksOf(notification)
      const one = key(whole, name(deliveredId))
      await env.transaction(() => {
        const [count, firstAt] = clicks.get(one) ?? [0, at]
        const [total, first, copies] = clicks.get(whole) ?? [0, at, 0]
        clicks.put(one, [count + 1, firstAt, 0])
        clicks.put(whole, [total + 1, first, copies + (count === 0 ? 1 : 0)])
        if (count > 0) return
        for (const row of [whole, one]) expiry.put(expiryKey(notification.expiresAt, 'click', row), PRESENT)
      })
    },

    async clicks(notification) {
      const row = clicks.get(clicksOf(notification))
      return row && { count: row[0], firstAt: row[1], copies: row[2] }
    },

    async copyClicks(notification, deliveredId) {
      const id = nameOrNone(deliveredId)
      const row = id && clicks.get(key(clicksOf(notification), id))
      return row && { count: row[0], firstAt: row[1] }
    },
  }
}
