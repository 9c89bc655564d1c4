import type { ClickStore, Notification } from '../../../notify/store/store.ts'
import { clickScript } from '../lua/notify/receipts/click.ts'
import type { NotifyDeps } from './deps.ts'
import { referenceOf, TTL_MARGIN_MS } from './rows/layout.ts'

/** One hash for each notification, beside it; a click whose answer was lost may count twice. */
export const createRedisClicks = ({ redis, ask, layout, clock }: NotifyDeps): ClickStore => {
  const keyOf = ({ projectId, domain, id, createdAt }: Notification) =>
    layout.clicks(referenceOf(projectId, domain, id), createdAt)
  const read = async (notification: Notification, field: string) => {
    const row = await ask(() => redis.client.hget(keyOf(notification), field))
    if (row === null) return undefined
    const [count = 0, firstAt = 0, copies = 0] = row.split(' ').map(Number)
    return { count, firstAt, copies }
  }

  return {
    async click(notification, deliveredId, at) {
      const ttl = Math.max(notification.expiresAt - clock.now(), 0) + TTL_MARGIN_MS.copy
      await ask(() => redis.script(clickScript, [keyOf(notification)], [deliveredId, at, ttl]))
    },

    clicks: (notification) => read(notification, 'all'),

    async copyClicks(notification, deliveredId) {
      const found = await read(notification, deliveredId)
      return found && { count: found.count, firstAt: found.firstAt }
    },
  }
}
