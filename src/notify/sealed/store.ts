/**
 * The store with the texts of dapps sealed: notifications (once each, however many get it), welcome texts of apps, and
 * those that wait in the outbox. Types, times and ids stay readable, because stores use them.
 */

import type { DeliveredNotification, Notification, NotifyStore } from '../store/store.ts'
import type { TextSeal } from './texts.ts'
import { createSealedWelcomes } from './welcomes.ts'

const sealPlaceOf = ({ projectId, domain, id }: Notification) => [
  'notification',
  projectId,
  domain,
  id,
  'content',
]

export const createSealedStore = (store: NotifyStore, texts: TextSeal): NotifyStore => {
  const sealed = (given: Notification): Notification => {
    const kept = { ...given, ...texts.seal(sealPlaceOf(given), given) }
    // They are within the sealed text.
    if (kept.extras) delete kept.extras
    return kept
  }
  const opened = (stored: Notification): Notification => {
    const { title, body, icon, url, extras } = texts.open(sealPlaceOf(stored), stored)
    return { ...stored, title, body, icon, url, ...(extras && { extras }) }
  }
  const openedCopy = (copy: DeliveredNotification): DeliveredNotification => ({
    ...copy,
    notification: opened(copy.notification),
  })
  return {
    ...store,
    ...createSealedWelcomes(store, texts),
    putNotification: async (notification) => opened(await store.putNotification(sealed(notification))),
    async notification(projectId, domain, id) {
      const stored = await store.notification(projectId, domain, id)
      return stored && opened(stored)
    },
    enqueue: (notification, targets) => store.enqueue(sealed(notification), targets),
    enqueueLeased: (notification, targets, lease) =>
      store.enqueueLeased(sealed(notification), targets, lease),
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
