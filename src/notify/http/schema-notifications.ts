/** Wire shapes of notifications: what dapps send, what became of it, broadcasts, and project settings. */
import * as z from 'zod'
import { fromUtf8, utf8 } from '../../protocol/bytes.ts'
import { cacaoSchema } from '../../protocol/cacao.ts'
import { DELIVERY_STATES } from '../store/receipts.ts'
import { extrasShape, gathered, shownExtras } from './extras.ts'
import { accounts, Domain, MAX_ACCOUNTS_PER_CALL, optionalLink, pageSize, TypeId, text } from './schema.ts'

const notificationId = text(1, 255).nullish()

/** The texts of every notification. */
export const NotificationText = {
  type: TypeId,
  title: text(1, 64),
  body: text(1, 255),
  url: optionalLink,
}

/** ISO 8601, or unix ms; a number of seconds would be taken for a time in 1970. */
const givenTime = z
  .union([z.number().int().min(100_000_000_000), z.iso.datetime({ offset: true })], {
    error: 'must be ISO 8601 with a time zone, or unix milliseconds',
  })
  .transform((value) => new Date(value).getTime())

/** When and how long it is delivered: additions of ours. */
const terms = {
  deliver_at: givenTime.optional(),
  ttl: z
    .number({ error: 'must be seconds, 1 to 2592000' })
    .int({ error: 'must be whole seconds' })
    .min(1, { error: 'must be at least 1 second' })
    .max(2_592_000, { error: 'must be at most 30 days (2592000 seconds)' })
    .optional(),
  collapse_key: text(1, 64).optional(),
}

/** The type may be named, as its app declares it; the service finds its id. */
const content = z
  .object({
    ...NotificationText,
    type: text(1, 64).describe('Id of a type that the app declares, or its name'),
    icon: optionalLink,
    ...extrasShape,
  })
  .transform(gathered)

interface Written {
  notification_id?: string | null | undefined
  notificationId?: string | null | undefined
  appDomain?: string | undefined
  deliver_at?: number | undefined
  ttl?: number | undefined
  collapse_key?: string | undefined
}

/** As stores return it: half of a surrogate pair does not survive UTF-8. */
const wellFormed = (text: string | undefined) => (text === undefined ? undefined : fromUtf8(utf8(text)))

/** Wire names become the names of the code. */
const renamed = <T extends Written>(written: T) => {
  const { notification_id, notificationId, appDomain, deliver_at, ttl, collapse_key, ...rest } = written
  return {
    ...rest,
    notificationId: wellFormed(notification_id ?? notificationId ?? undefined),
    domain: appDomain,
    deliverAt: deliver_at,
    ttl: ttl && ttl * 1000,
    collapseKey: collapse_key,
  }
}

/** One notification and who is to get it. `notificationId` and `appDomain` are other names and additions of ours. */
export const NotifyV0 = z
  .object({
    notification_id: notificationId,
    notificationId: notificationId,
    appDomain: Domain.optional(),
    notification: content,
    ...terms,
    accounts: accounts(0, MAX_ACCOUNTS_PER_CALL),
  })
  .transform(renamed)
  .meta({ id: 'Notify' })

export const NotifyV1 = z
  .array(z.unknown())
  .min(1, { error: 'must hold at least 1 notification' })
  .max(MAX_ACCOUNTS_PER_CALL, { error: `must hold at most ${MAX_ACCOUNTS_PER_CALL} notifications` })
  .pipe(
    z.array(NotifyV0).superRefine((messages, context) => {
      let total = 0
      for (const [at, message] of messages.entries()) {
        total += message.accounts.length
        if (total <= MAX_ACCOUNTS_PER_CALL) continue
        context.addIssue({
          code: 'custom',
          path: [at, 'accounts'],
          message: `a call may name at most ${MAX_ACCOUNTS_PER_CALL} accounts`,
        })
        return
      }
    }),
  )
  .meta({ type: 'array', items: { $ref: '#/components/schemas/Notify' } })

/** A notification for everyone who wants its type. */
export const Broadcast = z
  .object({
    notification_id: notificationId,
    notificationId: notificationId,
    appDomain: Domain.optional(),
    notification: content,
    ...terms,
  })
  .transform(renamed)
  .meta({ id: 'Broadcast' })

export const NotifyAnswer = z
  .object({
    sent: z.array(z.string()),
    failed: z.array(z.object({ account: z.string(), reason: z.string() })),
    not_found: z.array(z.string()),
    scheduled: z.array(z.string()).optional(),
    /** Where the call says when, how long or instead of what; the header `Notification-Ids` has the ids always. */
    notifications: z
      .array(z.object({ notification_id: z.string(), status: z.enum(['queued', 'scheduled']) }))
      .optional(),
  })
  .meta({ id: 'NotifyAnswer' })

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

const time = z.string().meta({ format: 'date-time' })

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
      ...shownExtras,
    }),
    collapse_key: z.string().nullable(),
    created_at: time.nullable(),
    deliver_at: time.nullable(),
    deliver_by: time.nullable(),
    expires_at: time.nullable(),
    counts: Counts,
    push: z.object({ pushed: z.number(), refused: z.number() }),
    answers: z
      .record(z.string(), z.number())
      .optional()
      .describe('Accounts by the action that they answered'),
  })
  .meta({ id: 'SentNotification' })

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
      push: z
        .object({
          state: z.enum(['pushed', 'refused']),
          provider: z.string(),
          at: time,
          reason: z.string().optional(),
        })
        .optional(),
      answer: z
        .object({
          action: z.string(),
          at: time,
          jwt: z.string().describe('Signed by the identity key of the account'),
          cacao: cacaoSchema.describe('By which the account lets that key speak for it'),
          subscription_id: z.string(),
        })
        .optional(),
    }),
  ),
  next: z.string().nullable(),
})

export const CancelledAnswer = z.object({ cancelled: z.number() })

const BroadcastStatus = z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired'])

export const BroadcastStarted = z
  .object({ id: z.string(), status: BroadcastStatus })
  .meta({ id: 'BroadcastStarted' })

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
  .meta({ id: 'BroadcastProgress' })
export type BroadcastAnswer = z.infer<typeof BroadcastAnswer>

export const Settings = z
  .object({
    retention_days: z
      .number()
      .int({ error: 'must be whole days, 1 to 3650' })
      .min(1, { error: 'must be whole days, 1 to 3650' })
      .max(3650, { error: 'must be whole days, 1 to 3650' }),
  })
  .meta({ id: 'ProjectSettings' })

export const SettingsAnswer = z.object({ retention_days: z.number() })
