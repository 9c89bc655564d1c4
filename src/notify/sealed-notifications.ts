/**
 * What notifications say (title, body, icon, url), sealed before the store sees it: once a notification, whoever gets it.
 * Type, times and ids stay readable, because stores look for them. The four are one text, kept as `body`.
 */
import { z } from 'zod'
import type { ContentSeal } from '../platform/content-seal.ts'
import type { DeliveredNotification, Notification, NotifyStore } from './store.ts'

const Content = z.tuple([z.string(), z.string(), z.string().nullable(), z.string().nullable()])

const placeOf = ({ projectId, domain, id }: Notification) => [
  'notification',
  projectId,
  domain,
  id,
  'content',
]

export const createSealedNotifications = (store: NotifyStore, content: ContentSeal): NotifyStore => {
  const sealed = (given: Notification): Notification => {
    const { title, body, icon, url } = given
    const text = JSON.stringify([title, body, icon, url])
    return { ...given, title: '', body: content.seal(placeOf(given), text), icon: null, url: null }
  }
  const opened = (kept: Notification): Notification => {
    const text = content.open(placeOf(kept), kept.body)
    // From before content was sealed.
    if (text === kept.body) return kept
    const [title, body, icon, url] = Content.parse(JSON.parse(text))
    return { ...kept, title, body, icon, url }
  }
  const openedCopy = (copy: DeliveredNotification): DeliveredNotification => ({
    ...copy,
    notification: opened(copy.notification),
  })
  return {
    ...store,
    putNotification: async (notification) => opened(await store.putNotification(sealed(notification))),
    async notification(projectId, domain, id) {
      const kept = await store.notification(projectId, domain, id)
      return kept && opened(kept)
    },
    hand: (notification, targets) => store.hand(sealed(notification), targets),
    async delivered(subscriptionId, deliveredId) {
      const copy = await store.delivered(subscriptionId, deliveredId)
      return copy && openedCopy(copy)
    },
    async deliveredById(deliveredId) {
      const copy = await store.deliveredById(deliveredId)
      return copy && openedCopy(copy)
    },
    async history(subscriptionId, page) {
      const { notifications, ...more } = await store.history(subscriptionId, page)
      return { ...more, notifications: notifications.map(openedCopy) }
    },
    async notifications(projectId, page) {
      const { notifications, next } = await store.notifications(projectId, page)
      return { notifications: notifications.map(opened), next }
    },
  }
}
