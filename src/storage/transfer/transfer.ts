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
import * as z from 'zod'
import { NONCE_LIFE_MS } from '../../contacts/store.ts'
import { accountAnswer } from '../../notify/store/action-answers.ts'
import { appSchema } from '../../notify/store/app-rows.ts'
import { projectSchema } from '../../notify/store/project-rows.ts'
import { accountPush } from '../../notify/store/pushes.ts'
import { webhookSchema } from '../../notify/store/webhook-rows.ts'
import { deviceSchema, pushProjectSchema, waitingSchema } from '../../push/store/rows.ts'
import { auditSchema, blockSchema, passkeySchema } from '../../server/console/store.ts'
import { click, clickDay, copy, receipt, withdrawn } from './delivery-records.ts'
import { account, entry, notification, watcher } from './notify-records.ts'
import {
  approval,
  archived,
  identity,
  installation,
  invite,
  job,
  message,
  microblock,
  mqAttended,
  mqMessage,
  registration,
  watch,
} from './room-records.ts'

const text = z.string()
const time = z.number()
const place = z.number().int().nonnegative()

export const TABLES = {
  identity,
  /** Only those whose identity key is still behind them. */
  invite,
  /** The notify server's own; one record. */
  serverKeys: z.object({ keys: z.record(text, text) }),
  project: projectSchema,
  /** All of a project's, in their order. */
  webhook: z.object({ projectId: text, webhooks: z.array(webhookSchema) }),
  app: appSchema,
  notification,
  account,
  /**
   * A watcher that the record of another account still has, too: the look-up leads to the one that came last.
   * There is hardly ever one.
   */
  contested: z.object({ accountKey: text, watcher }),
  copy,
  withdrawn,
  receipt,
  click,
  clickDay,
  /** What push providers were handed of notifications. */
  pushed: accountPush,
  /** What accounts answered to the actions of notifications. */
  actionAnswer: accountAnswer,
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
  /** Of all queues, dead letters included. The target is where a leased one is due. */
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
  /** Archived messages, and the registrations that ask for them. */
  archived,
  registration,
  pushProject: pushProjectSchema,
  /** The server's key for Web Push; one record. */
  pushVapid: z.object({ sealed: text }),
  pushDevices: z.object({ clientId: text, devices: z.array(deviceSchema) }),
  pushWaiting: waitingSchema,
  /** Of operators. Their sessions end with the store. */
  passkey: passkeySchema,
  block: blockSchema,
  audit: auditSchema,
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
  /** About how many there are; undefined where the engine would have to count. */
  size(): Promise<number | undefined>
}

export interface TableWriter<R> {
  /**
   * Puts records into a store that holds nothing but such records; bears repetition. Returns those that have no place
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
