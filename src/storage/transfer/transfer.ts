/**
 * What moves between engines, and into a backup: every room's content as records that know no engine.
 *
 * `TABLES` is the one list of it, in the order in which it is loaded, because a later record may need an earlier one
 * to be there (a copy its subscription). A new table is one entry here; the compiler then asks each engine for it.
 *
 * Not in it:
 * - what follows from the records: look-ups and lists (of topics, watchers, subscribers, of an app's and a project's
 *   notifications, of what expires and when), unread counts, sums of clicks, versions, sequence numbers of an engine;
 * - what belongs to running processes: claims and leases of messages, jobs and outbox entries, wake-ups, token buckets;
 * - what waits to be swept: it has expired, or its account, subscription or notification is gone. Accounts are the
 *   exception: the notify server takes leave of expired ones itself.
 */
import { z } from 'zod'
import type { Archived, Registration } from '../../archive/store.ts'
import { type Installation, NONCE_LIFE_MS } from '../../contacts/store.ts'
import { ERASED, type IdentityEntry, type InviteEntry } from '../../keys/store.ts'
import type { AttendedQueue, PlacedMessage } from '../../mq/store.ts'
import type {
  AccountRecord,
  AppRecord,
  Notification,
  OutboxEntry,
  OutboxTask,
  Project,
  Subscription,
  Watcher,
  Webhook,
} from '../../notify/store/store.ts'
import { WEBHOOK_EVENTS } from '../../notify/store/webhooks.ts'
import type { Job } from '../../platform/jobs/job-queue.ts'
import { accountKey as accountKeyOf } from '../../protocol/caip.ts'
import type { StoredMessage, Watch } from '../../relay/store.ts'
import type { Approval, LoggedMicroblock } from '../../sessions/operator/store.ts'
import { click, copy, receipt, withdrawn } from './delivery-records.ts'

const text = z.string()
const time = z.number()
const place = z.number().int().nonnegative()

/** How an entry is named in files from before entries were named by account, too. */
const namedAfter = (account: string): string => {
  if (account === '') return ERASED
  try {
    return accountKeyOf(account)
  } catch {
    return account
  }
}
const identity: z.ZodType<IdentityEntry> = z
  .object({
    identityKey: text,
    accountKey: text.exactOptional(),
    account: text,
    cacao: text,
    revokedAt: time.exactOptional(),
    isProven: z.boolean().exactOptional(),
    isDefault: z.boolean().exactOptional(),
  })
  .transform((entry) => ({ ...entry, accountKey: entry.accountKey ?? namedAfter(entry.account) }))

const invite: z.ZodType<InviteEntry & { accountKey: string }> = z.object({
  accountKey: text,
  inviteKey: text,
  account: text,
  identityKey: text,
})

const project: z.ZodType<Project> = z.object({
  id: text,
  name: text,
  secretHash: text,
  createdAt: time,
  secrets: z
    .array(
      z.object({
        id: text,
        name: text,
        hash: text,
        createdAt: time,
        lastUsedAt: time.exactOptional(),
        expiresAt: time.exactOptional(),
      }),
    )
    .exactOptional(),
  settings: z
    .object({
      limits: z.record(text, text).exactOptional(),
      quotas: z
        .object({
          apps: z.number().exactOptional(),
          subscribersPerApp: z.number().exactOptional(),
          notificationsPerDay: z.number().exactOptional(),
        })
        .exactOptional(),
      retentionDays: z.number().exactOptional(),
    })
    .exactOptional(),
})

const keyPairs = {
  authenticationSeed: text,
  authenticationKey: text,
  subscribePrivateKey: text,
  subscribeKey: text,
  subscribeTopic: text,
}
const app: z.ZodType<AppRecord> = z.object({
  domain: text,
  projectId: text,
  name: text,
  description: text,
  url: text,
  icons: z.object({ sm: text, md: text, lg: text }),
  types: z.array(z.object({ id: text, name: text, description: text })),
  listed: z.boolean(),
  links: z.boolean().exactOptional(),
  welcome: z
    .object({ enabled: z.boolean(), type: text, title: text, body: text, url: text.nullable() })
    .nullable()
    .exactOptional(),
  ...keyPairs,
  previousKeys: z.array(z.object({ ...keyPairs, until: time })).exactOptional(),
  createdAt: time,
})

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
})
/** Backups from before notifications had an end of their delivery are read, too. */
const notification: z.ZodType<Notification> = writtenNotification.transform((written) => ({
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
})

const watcher: z.ZodType<Watcher> = z.object({
  identityKey: text,
  domain: text.nullable(),
  account: text,
  key: text,
  topic: text,
  expiresAt: time,
  serverKey: text.exactOptional(),
})

const account: z.ZodType<{ accountKey: string; record: AccountRecord }> = z.object({
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
  z.object({ kind: z.literal('leave'), topic: text }),
  z.object({
    kind: z.literal('event'),
    event: z.enum(['subscribed', 'unsubscribed', 'updated', 'delivered', 'read']),
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
const entry: z.ZodType<OutboxEntry> = z.object({
  id: text,
  task,
  createdAt: time,
  expiresAt: time,
  notBefore: time.exactOptional(),
})

const writtenMessage = z.object({
  topic: text,
  seq: place,
  message: text,
  id: text,
  tag: z.number(),
  attestation: text,
  publisher: text,
  publishedAt: time,
  expiresAt: time,
  payer: text.exactOptional(),
})
/** Backups from before messages had somebody who pays are read, too. */
const message: z.ZodType<StoredMessage> = writtenMessage.transform((written) => ({
  ...written,
  payer: written.payer ?? '',
}))

const job: z.ZodType<Job> = z.object({
  queue: text,
  id: text,
  group: text,
  at: time,
  expiresAt: time,
  attempts: z.number(),
  failure: text.exactOptional(),
  body: z.unknown(),
})

const webhook: z.ZodType<Webhook> = z.object({
  id: text,
  url: text,
  events: z.array(z.enum(WEBHOOK_EVENTS)),
  secret: text,
  previous: z.object({ secret: text, until: time }).exactOptional(),
  state: z.enum(['pending', 'enabled', 'disabled']),
  reason: text,
  createdAt: time,
})

const watch: z.ZodType<Watch> = z.object({
  clientId: text,
  service: text,
  url: text,
  type: z.enum(['subscriber', 'publisher']),
  tags: z.array(z.number()),
  statuses: z.array(z.enum(['accepted', 'queued', 'delivered'])),
  expiresAt: time,
  // Backups that were made before know none of these.
  issuedAt: z.number().default(0),
  state: z.enum(['asked', 'active', 'ended']).default('active'),
  refusals: z.number().default(0),
  failingSince: z.number().default(0),
})

const installation: z.ZodType<Installation> = z.object({ name: text, value: text, expiresAt: time })
const mqMessage: z.ZodType<PlacedMessage> = z.object({
  domain: text,
  hashDID: text,
  place,
  id: text,
  message: text,
  sender: text.exactOptional(),
  messageSigned: z.literal(true).exactOptional(),
  payer: text.exactOptional(),
  expiresAt: time,
})

const mqAttended: z.ZodType<AttendedQueue> = z.object({ domain: text, hashDID: text, until: time })

const approval: z.ZodType<Approval> = z.object({
  id: text,
  projectId: text,
  microblock: text,
  vbHash: text.exactOptional(),
  signer: text.exactOptional(),
  actorId: z.number().exactOptional(),
  expiresAt: time,
  keptUntil: time,
  outcome: z.object({ vbHash: text, mbHash: text, height: place }).exactOptional(),
})

const microblock: z.ZodType<LoggedMicroblock> = z.object({
  projectId: text,
  vbHash: text,
  height: place,
  mbHash: text,
  genesisSeed: text,
  microblock: text,
})

const archived: z.ZodType<Archived> = z.object({
  topic: text,
  seq: place,
  id: text,
  message: text,
  tag: z.number(),
  at: time,
  expiresAt: time,
  owner: text.exactOptional(),
})

const registration: z.ZodType<Registration> = z.object({
  clientId: text,
  tags: z.array(z.number()),
  owners: z.record(text, text).default({}),
  expiresAt: time,
})

export const TABLES = {
  identity,
  /** Only those whose identity key is still behind them. */
  invite,
  /** The notify server's own; one record. */
  serverKeys: z.object({ keys: z.record(text, text) }),
  project,
  /** All of a project's, in their order. */
  webhook: z.object({ projectId: text, webhooks: z.array(webhook) }),
  app,
  notification,
  account,
  /**
   * A watcher that the record of another account still has, too: whom a look-up finds depends on who came last.
   * There is hardly ever one.
   */
  contested: z.object({ accountKey: text, watcher }),
  copy,
  withdrawn,
  receipt,
  click,
  request: z.object({ id: text, expiresAt: time }),
  /** `place` is only for the order: it rises as entries were added, and is the engine's own. */
  outbox: z.object({ place, entry }),
  message,
  /** A client in a topic: done with everything up to `cursor`, and with the ranges [from, to, from, to, …] beyond it. */
  member: z.object({
    topic: text,
    clientId: text,
    isSubscribed: z.boolean(),
    cursor: place,
    acked: z.array(place),
    /** Of a subscriber: the day on which the client was last seen, ms. */
    seenAt: time.exactOptional(),
    /** The topic belongs to the client. */
    owns: z.literal(true).exactOptional(),
  }),
  watch,
  /** Of all queues, dead letters included. Whoever works on one keeps it here: there it is due. */
  job,
  /** The next nonce of an account, and until when it is kept. Backups that were made before know no end. */
  contactNonce: z.object({
    accountKey: text,
    nonce: place,
    until: time.default(() => Date.now() + NONCE_LIFE_MS),
  }),
  /** Tokens of an account that were used and must not be again. */
  contactToken: z.object({ accountKey: text, id: text, until: time }),
  /** All of an account's, in their order. */
  installations: z.object({ accountKey: text, installations: z.array(installation) }),
  /** Of the queues of the message hub, each with its place in its queue. */
  mqMessage,
  /** Queues that are read. */
  mqAttended,
  approval,
  /** The operator's logs, each chain in its order. */
  microblock,
  /** What the archive keeps, and who wants what kept. */
  archived,
  registration,
}

export type TableName = keyof typeof TABLES
export type Records = { [T in TableName]: z.output<(typeof TABLES)[T]> }
export const TABLE_NAMES = Object.keys(TABLES).filter((name): name is TableName => name in TABLES)

export interface Page<R> {
  records: R[]
  /** Where to go on behind this page, for `after`; undefined when that is where one began. */
  cursor: string | undefined
}

export interface TableReader<R> {
  /** Every record once that has not expired at `now`, in the engine's order, in pages of bounded size. */
  read(from: { now: number; after?: string | undefined }): AsyncIterable<Page<R>>
  /** About how many there are; undefined where nobody knows without counting. */
  size(): Promise<number | undefined>
}

export interface TableWriter<R> {
  /**
   * Puts records into a store that holds nothing but such records; bears repetition. Answers those that have no place
   * because what they belong to is not there.
   */
  write(records: readonly R[]): Promise<R[]>
}

export type Readers = { readonly [T in TableName]: TableReader<Records[T]> }
export type Writers = { readonly [T in TableName]: TableWriter<Records[T]> }

export interface Transfer {
  readonly read: Readers
  readonly write: Writers
  /**
   * Reads as of one moment, whatever is written meanwhile, where the engine can; otherwise each record is as it was
   * when it was read.
   */
  snapshot(): Readers & Disposable
  /** What an unfinished transfer into this store remembers of itself; undefined when there is none. */
  note(): Promise<string | undefined>
  setNote(note: string | undefined): Promise<void>
}
