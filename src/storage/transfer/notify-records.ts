/**
 * Records (`transfer/transfer.ts`) of the notify server: notifications, accounts and the outbox. What became of notifications is in
 * `delivery-records.ts`; projects, apps and webhooks are records as their rows are.
 */
import * as z from 'zod'
import { WEBHOOK_EVENTS } from '../../notify/store/records.ts'
import type {
  AccountRecord,
  Notification,
  OutboxEntry,
  OutboxTask,
  Subscription,
  Watcher,
} from '../../notify/store/store.ts'
import { preferences } from '../../protocol/notify/preferences.ts'
import { storedExtras } from '../../protocol/notify/stored-extras.ts'

const text = z.string()
const time = z.number()

const writtenNotification = z.object({
  id: text,
  projectId: text,
  domain: text,
  type: text,
  title: text,
  body: text,
  icon: text.nullable(),
  url: text.nullable(),
  createdAt: time,
  deliverBy: time.exactOptional(),
  expiresAt: time,
  collapseKey: text.exactOptional(),
  extras: storedExtras.exactOptional(),
})
/** Backups from before notifications had an end of their delivery are read, too. */
export const notification: z.ZodType<Notification> = writtenNotification.transform((written) => ({
  ...written,
  deliverBy: written.deliverBy ?? written.expiresAt,
}))

const subscription: z.ZodType<Subscription> = z.object({
  id: text,
  domain: text,
  scope: z.array(text),
  key: text,
  topic: text,
  createdAt: time,
  expiresAt: time,
  account: text,
  preferences: preferences.exactOptional(),
})

export const watcher: z.ZodType<Watcher> = z.object({
  identityKey: text,
  domain: text.nullable(),
  account: text,
  key: text,
  topic: text,
  expiresAt: time,
  serverKey: text.exactOptional(),
})

export const account: z.ZodType<{ accountKey: string; record: AccountRecord }> = z.object({
  accountKey: text,
  record: z.object({ subscriptions: z.array(subscription), watchers: z.array(watcher) }),
})

const task: z.ZodType<OutboxTask> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('response'),
    topic: text,
    key: text,
    tag: z.number(),
    rpcId: text,
    signer: text.nullable(),
    signerKey: text.exactOptional(),
    claims: z.record(text, z.unknown()),
    view: z.object({ accountKey: text, account: text, domain: text.nullable() }).exactOptional(),
    error: z.object({ code: z.number(), message: text }).exactOptional(),
    join: text.exactOptional(),
    leave: text.exactOptional(),
  }),
  z.object({ kind: z.literal('changed'), accountKey: text, identityKey: text }),
  z.object({
    kind: z.literal('notification'),
    accountKey: text,
    subscriptionId: text,
    projectId: text.exactOptional(),
    domain: text,
    notificationId: text,
  }),
  z.object({
    kind: z.literal('notifications'),
    projectId: text,
    domain: text,
    notificationId: text,
    targets: z.array(z.object({ accountKey: text, subscriptionId: text })),
  }),
  z.object({
    kind: z.literal('digest'),
    accountKey: text,
    subscriptionId: text,
    domain: text,
    slot: time,
    count: z.number(),
    ids: z.array(text),
  }),
  z.object({ kind: z.literal('leave'), topic: text }),
  z.object({
    kind: z.literal('event'),
    event: z.enum(WEBHOOK_EVENTS),
    domain: text,
    subscriptionId: text,
    account: text,
    detail: z.record(text, z.unknown()),
    ids: z.array(text).exactOptional(),
  }),
  z.object({
    kind: z.literal('welcome'),
    accountKey: text,
    subscriptionId: text,
    domain: text,
    welcome: z.object({ type: text, title: text, body: text, url: text.nullable() }),
  }),
])
export const entry: z.ZodType<OutboxEntry> = z.object({
  id: text,
  task,
  createdAt: time,
  expiresAt: time,
  notBefore: time.exactOptional(),
})
