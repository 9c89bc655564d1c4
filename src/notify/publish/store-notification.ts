/** Stores notifications, before anybody gets them. */
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS } from '../../platform/units.ts'
import { storedExtras } from '../../protocol/notify/stored-extras.ts'
import type { Apps } from '../apps/apps.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { AppRecord, Notification, NotifyStore } from '../store/store.ts'

/** The content of a notification and how it is delivered; also what scheduled jobs hold. */
export const Message = z.object({
  type: z.string(),
  title: z.string(),
  body: z.string(),
  icon: z.string().nullable(),
  url: z.string().nullable(),
  /** Ms; a subscriber that does not have it by then does not get it. */
  ttl: z.number().optional(),
  collapseKey: z.string().optional(),
  extras: storedExtras.optional(),
})
export type Message = z.infer<typeof Message>

/** Stores the notification and returns the stored one: the first with this id. Its `ttl` counts from `from`. */
export type StoreNotification = (
  app: AppRecord,
  id: string,
  message: Message,
  from?: number,
) => Promise<Notification>

export const createStoreNotification =
  ({
    store,
    apps,
    clock,
  }: {
    store: Pick<NotifyStore, 'putNotification'>
    apps: Pick<Apps, 'projects'>
    clock: Pick<Clock, 'now'>
  }): StoreNotification =>
  async (
    app,
    id,
    { ttl = NOTIFICATION_TTL_MS, collapseKey, type, title, body, icon, url, extras },
    from = clock.now(),
  ) => {
    const now = clock.now()
    const { retentionDays } = await apps.projects.settings(app.projectId)
    const expiresAt = now + (retentionDays === undefined ? NOTIFICATION_TTL_MS : retentionDays * DAY_MS)
    return store.putNotification({
      id,
      projectId: app.projectId,
      domain: app.domain,
      ...{ type, title, body, icon, url },
      createdAt: now,
      deliverBy: Math.min(expiresAt, from + ttl),
      expiresAt,
      ...(collapseKey !== undefined && { collapseKey }),
      ...(extras && { extras }),
    })
  }
