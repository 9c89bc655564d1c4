/** Wire shapes of notifications, receipts, broadcasts and project settings. */
import { z } from '@hono/zod-openapi'
import { DELIVERY_STATES } from '../store/receipts.ts'
import { Domain } from './schema.ts'

const pageSize = (most: number, otherwise: number) =>
  z
    .string()
    .regex(/^[0-9]{1,4}$/, { error: `must be a number from 1 to ${most}` })
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= most, { error: `must be a number from 1 to ${most}` })
    .default(otherwise)

const after = z
  .string()
  .regex(/^[\x21-\x7e]{1,1024}$/, { error: 'must be what `next` said' })
  .optional()

export const NotificationsPage = z.object({
  appDomain: Domain.optional(),
  status: z.enum(['scheduled']).optional(),
  after,
  limit: pageSize(100, 20),
})

export const ReceiptsPage = z.object({
  appDomain: Domain.optional(),
  state: z.enum(DELIVERY_STATES).optional(),
  after,
  limit: pageSize(1000, 100),
})

const Counts = z.object({
  queued: z.number(),
  published: z.number(),
  delivered: z.number(),
  read: z.number(),
  failed: z.number(),
})

const time = z.string().openapi({ format: 'date-time' })

export const NotificationAnswer = z
  .object({
    notification_id: z.string(),
    app_domain: z.string(),
    status: z.enum(['scheduled', 'queued', 'done', 'cancelled']),
    notification: z.object({
      type: z.string(),
      title: z.string(),
      body: z.string(),
      icon: z.string().nullable(),
      url: z.string().nullable(),
    }),
    collapse_key: z.string().nullable(),
    created_at: time.nullable(),
    deliver_at: time.nullable(),
    deliver_by: time.nullable(),
    expires_at: time.nullable(),
    counts: Counts,
  })
  .openapi('SentNotification')

export const NotificationsAnswer = z.object({
  notifications: z.array(NotificationAnswer),
  next: z.string().nullable(),
})

export const ReceiptsAnswer = z.object({
  receipts: z.array(
    z.object({
      account: z.string(),
      state: z.enum(DELIVERY_STATES),
      reason: z.string().optional(),
      at: time,
    }),
  ),
  next: z.string().nullable(),
})

export const CancelledAnswer = z.object({ cancelled: z.number() })

const BroadcastStatus = z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired'])

export const BroadcastStarted = z
  .object({ id: z.string(), status: BroadcastStatus })
  .openapi('BroadcastStarted')

export const BroadcastAnswer = z
  .object({
    id: z.string(),
    app_domain: z.string(),
    status: BroadcastStatus,
    start_at: time,
    ended_at: time.nullable(),
    total: z.number().nullable(),
    handed: z.number(),
    skipped: z.number(),
    counts: Counts,
  })
  .openapi('BroadcastProgress')
export type BroadcastAnswer = z.infer<typeof BroadcastAnswer>

export const Settings = z
  .object({
    retention_days: z
      .number()
      .int({ error: 'must be whole days, 1 to 3650' })
      .min(1, { error: 'must be whole days, 1 to 3650' })
      .max(3650, { error: 'must be whole days, 1 to 3650' }),
  })
  .openapi('ProjectSettings')

export const SettingsAnswer = z.object({ retention_days: z.number() })
