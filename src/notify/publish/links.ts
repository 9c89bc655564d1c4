/** Links of delivered notifications: where one leads, and how often it was followed. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { deliveredIdOf } from '../ids.ts'
import type { ClickDay, Clicks } from '../store/clicks.ts'
import type { NotifyStore } from '../store/store.ts'
import type { FanOut } from './fan-out.ts'
import { appsOf } from './resolve-app.ts'

export interface NotificationLinks {
  /** Where the link of a delivered notification leads; undefined when nowhere, or no longer. A click is counted. */
  linkOf(deliveredId: string, options?: { isClick?: boolean }): Promise<string | undefined>
  /** Clicks on the links of a notification; with `account` also that account's. Throws `unknown_notification`. */
  clicksOf(
    projectId: string,
    notificationId: string,
    options?: { domain?: string | undefined; account?: string | undefined },
  ): Promise<Clicks & { copies: number; days: ClickDay[]; own?: Clicks | undefined }>
}

export const createNotificationLinks = ({
  store,
  apps,
  fanOut,
  clock,
}: {
  store: Pick<NotifyStore, 'click' | 'clicks' | 'copyClicks' | 'deliveredById' | 'notification'>
  apps: Pick<Apps, 'list'>
  fanOut: Pick<FanOut, 'subscriptionOf'>
  clock: Clock
}): NotificationLinks => ({
  async linkOf(deliveredId, { isClick = false } = {}) {
    const copy = await store.deliveredById(deliveredId)
    if (!copy || copy.notification.expiresAt <= clock.now()) return undefined
    const { url, domain } = copy.notification
    if (!url) return undefined
    if (isClick) await store.click(copy.notification, copy.id, clock.now())
    const scheme = /^localhost(?::|$)/.test(domain) ? 'http' : 'https'
    return new URL(url, `${scheme}://${domain}`).href
  },

  async clicksOf(projectId, notificationId, { domain, account } = {}) {
    const now = clock.now()
    for (const app of await appsOf(apps, projectId, domain)) {
      const notification = await store.notification(projectId, app.domain, notificationId)
      if (!notification || notification.expiresAt <= now) continue
      const all = await store.clicks(notification)
      const subscription =
        account === undefined ? undefined : await fanOut.subscriptionOf(accountKey(account), app.domain)
      const own =
        subscription && (await store.copyClicks(notification, deliveredIdOf(subscription.id, notificationId)))
      return { ...(all ?? { count: 0, copies: 0, firstAt: 0, days: [] }), own }
    }
    throw new ProtocolError('unknown_notification')
  },
})
