/** Wire shapes of the notify server's HTTP API, as the dapp's side reads them. */
import * as z from '#schema'
import { extrasOf } from '../../protocol/notify/extras.ts'

export const failure = z.object({ error: z.string(), field: z.string().optional() })
export const enrolled = z.object({ authenticationKey: z.string(), subscribeKey: z.string() })
export const described = z.object({ types: z.array(z.object({ id: z.string(), name: z.string() })) })
export const notified = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  not_found: z.array(z.string()),
  scheduled: z.array(z.string()).optional(),
})
const state = z.enum(['queued', 'published', 'delivered', 'read', 'failed'])
const counts = z.object({
  queued: z.number(),
  published: z.number(),
  delivered: z.number(),
  read: z.number(),
  failed: z.number(),
})
const time = z.iso.datetime().nullable()
export const known = z
  .object({
    notification_id: z.string(),
    app_domain: z.string(),
    status: z.enum(['scheduled', 'queued', 'done', 'cancelled']),
    notification: z
      .looseObject({
        type: z.string(),
        title: z.string(),
        body: z.string(),
        icon: z.string().nullable(),
        url: z.string().nullable(),
      })
      .transform(({ type, title, body, icon, url, ...more }) => ({
        ...{ type, title, body, icon, url },
        ...extrasOf(more),
      })),
    created_at: time,
    deliver_at: time,
    deliver_by: time,
    expires_at: time,
    counts,
    answers: z.record(z.string(), z.number()).optional(),
  })
  .transform((one) => ({
    id: one.notification_id,
    domain: one.app_domain,
    status: one.status,
    notification: one.notification,
    /** ISO 8601, like the others. */
    createdAt: one.created_at,
    deliverAt: one.deliver_at,
    deliverBy: one.deliver_by,
    expiresAt: one.expires_at,
    counts: one.counts,
    /** Accounts by the action that they answered, where the notification asks for an answer. */
    ...(one.answers && { answers: one.answers }),
  }))
export const knownPage = z.object({ notifications: z.array(known), next: z.string().nullable() })
export const receiptsPage = z.object({
  receipts: z.array(
    z.object({
      account: z.string(),
      state,
      reason: z.string().optional(),
      at: z.string(),
      /** What the account answered, for `verifyAnswer`. */
      answer: z
        .object({
          action: z.string(),
          at: z.string(),
          jwt: z.string(),
          cacao: z.unknown(),
          subscription_id: z.string(),
        })
        .optional(),
    }),
  ),
  next: z.string().nullable(),
})
const broadcastStatus = z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired'])
export const begun = z.object({ id: z.string(), status: broadcastStatus })
export const progress = z
  .object({
    id: z.string(),
    ended_at: time,
    status: broadcastStatus,
    /** Subscribers when it began; null before. */
    total: z.number().nullable(),
    handed: z.number(),
    /** Subscribers that do not want the type. */
    skipped: z.number(),
    counts,
  })
  .transform(({ ended_at, ...rest }) => ({
    ...rest,
    /** ISO 8601; null until the fan-out has stopped, also when the broadcast is cancelled already. */
    endedAt: ended_at,
  }))
const webhook = z
  .object({
    url: z.string(),
    events: z.array(z.string()),
    state: z.enum(['pending', 'enabled', 'disabled']),
    reason: z.string().nullable(),
    created_at: z.string(),
  })
  .transform(({ created_at, ...rest }) => ({ ...rest, /** ISO 8601. */ createdAt: created_at }))
export const webhooksById = z.record(z.string(), webhook)
export const registered = z.object({ id: z.string(), secret: z.string() })
export const changed = z.object({ id: z.string(), secret: z.string() }).optional()
const deadLetter = z.object({
  /** Of the event, as `webhook-id` has it. */
  id: z.string(),
  attempts: z.number(),
  /** What the last attempt failed with. */
  failure: z.string(),
  event: z.object({ type: z.string(), timestamp: z.string(), data: z.record(z.string(), z.unknown()) }),
})
export const deadLetters = z.object({ dead_letters: z.array(deadLetter), next: z.string().nullable() })
export const replayed = z.object({ replayed: z.number() })
export const welcomed = z
  .object({
    enabled: z.boolean(),
    type: z.string(),
    title: z.string(),
    body: z.string(),
    url: z.string().nullable(),
  })
  .nullable()
export const settings = z.object({ retention_days: z.number() }).transform((one) => ({
  /** How long notifications stay in histories. */ retentionDays: one.retention_days,
}))
export const cancelled = z.object({ cancelled: z.number() })

export type DeliveryState = z.infer<typeof state>
export type SentNotification = z.infer<typeof known>
export type Receipt = z.infer<typeof receiptsPage>['receipts'][number]
export type BroadcastStatus = z.infer<typeof broadcastStatus>
export type BroadcastProgress = z.infer<typeof progress>

/** A webhook of the project; it is told nothing while it is not `enabled`. */
export type Webhook = z.infer<typeof webhook> & { id: string }
export type DeadLetter = z.infer<typeof deadLetter>
export type WelcomeNotification = NonNullable<z.infer<typeof welcomed>>
export type ProjectSettings = z.infer<typeof settings>

export const subscribed = z.array(z.string())
const subscriber = z
  .object({
    account: z.string(),
    app_domain: z.string(),
    notification_types: z.array(z.string()),
    subscribed_at: z.string(),
    expires_at: z.string(),
  })
  .transform((one) => ({
    account: one.account,
    domain: one.app_domain,
    /** Ids of the types that it wants. */
    types: one.notification_types,
    /** ISO 8601, like the other. */
    subscribedAt: one.subscribed_at,
    expiresAt: one.expires_at,
  }))
export const subscribersPage = z.object({ subscribers: z.array(subscriber), next: z.string().nullable() })
export type Subscriber = z.infer<typeof subscriber>
export const wanted = z.record(z.string(), z.object({ notification_types: z.array(z.string()) }))
