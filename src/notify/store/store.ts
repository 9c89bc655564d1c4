/**
 * The store of the notify server, as an interface.
 *
 * **An account is the unit of atomicity.** All that a wallet can change about one address (its subscriptions and its
 * watchers) is one small record, `AccountRecord`. The service reads it, works out the next one as a pure function, and
 * commits it together with the messages that must be sent because of it (the outbox) and the id of the request that
 * asked for it. A commit names the version that it was worked out from; if another commit was faster, it changes nothing
 * and the service starts over. So every rule of the protocol is in the service, once, and an engine compares, swaps and
 * indexes.
 *
 * Promises resolve when the effect is durable. Times are unix milliseconds and come from the caller. Keys arrive here
 * already sealed (`Sealed`): a store never sees one in clear.
 */
import type { ActionAnswerStore } from './action-answers.ts'
import type { ClickStore } from './clicks.ts'
import type { ProjectStore } from './projects.ts'
import type { PushedStore } from './pushes.ts'
import type { ReceiptsStore } from './receipts.ts'
import type {
  AccountCommit,
  AppDescription,
  AppRecord,
  DeliveredNotification,
  Notification,
  OutboxEntry,
  OutboxEntryOf,
  RequestId,
  Sealed,
  Subscription,
  TopicOwner,
  VersionedAccount,
} from './records.ts'
import type { RotationStore } from './rotation.ts'
import type { WebhookStore } from './webhooks.ts'

/** Parts with files of their own. */
export type { ClickStore } from './clicks.ts'
export type { Project, ProjectSettings, ProjectStore } from './projects.ts'
export type * from './records.ts'
export type { RotationStore } from './rotation.ts'
export type { Webhook, WebhookStore } from './webhooks.ts'

/** A subscriber that a notification is enqueued for. */
export interface EnqueueTarget {
  accountKey: string
  /** CAIP-10 as the subscriber wrote it. */
  account: string
  subscriptionId: string
  deliveredId: string
  /** Its id is `deliveredId`; its `createdAt` is when the receipt begins. */
  outbox: OutboxEntry
}

/** Whose entries are, and until when, unix ms. */
export interface OutboxLease {
  worker: string
  until: number
}

export type EnqueueOutcome = 'sent' | 'repeated' | 'gone'

export interface NotifyStore
  extends ProjectStore,
    WebhookStore,
    ClickStore,
    PushedStore,
    ActionAnswerStore,
    ReceiptsStore,
    RotationStore {
  // servers, apps

  /** Keys of the notify server itself (names: `apps/server-keys`). The first proposal is stored; every caller gets the stored keys. */
  serverKeys(proposal: Record<string, Sealed>): Promise<Record<string, Sealed>>
  /**
   * Creates the app unless its domain is taken; returns the app that holds the domain then. Exactly one of several
   * concurrent callers gets its own proposal.
   */
  createApp(app: AppRecord): Promise<AppRecord>
  /** Replaces the description of an existing app; absent members stay as they are. */
  describeApp(domain: string, description: AppDescription): Promise<void>
  /** Removes the app; its subscriptions stay. Answers the topics that led to it, none where there is no such app. */
  removeApp(domain: string): Promise<string[]>
  app(domain: string): Promise<AppRecord | undefined>
  appByTopic(subscribeTopic: string): Promise<AppRecord | undefined>
  /** A page in domain order; with `projectId` only that project's. */
  apps(page: { projectId?: string; after?: string; limit: number }): Promise<AppRecord[]>

  // accounts

  account(accountKey: string): Promise<VersionedAccount>
  /**
   * Compare and swap, with everything that belongs to it in one step: the record, the look-up of its topics and
   * watchers, the subscriber list of its apps, the request id, the outbox. Histories and unread counts of
   * subscriptions that are no longer in the record go too.
   * `conflict`: another commit came first. `repeated`: the request id was committed before; nothing was changed.
   * `used`: the token was committed before with another request id; the same.
   */
  commit(commit: AccountCommit): Promise<'committed' | 'conflict' | 'repeated' | 'used'>
  /** True when a request with this id, or a token with this name, was committed and has not expired. */
  wasCommitted(requestId: string, now: number): Promise<boolean>
  /** The subscription with this notify topic. */
  topicOwner(topic: string): Promise<TopicOwner | undefined>
  /** The account that has the subscription with this notify topic. */
  accountAt(topic: string): Promise<({ accountKey: string } & VersionedAccount) | undefined>
  /** Which account the watcher with this identity key watches. */
  watcherOwner(identityKey: string): Promise<string | undefined>
  /** A page of an app's subscribers, in account-key order; expired ones included (the caller looks at expiresAt). */
  subscribers(
    domain: string,
    page: { after?: string; limit: number },
  ): Promise<{ accountKey: string; subscription: Subscription }[]>
  /** How many subscribers `subscribers` would list now. */
  subscriberCount(domain: string): Promise<number>
  /** A page of all notify topics, in topic order: what has to be renewed on a relay that forgets. */
  topics(page: { after?: string; limit: number }): Promise<string[]>
  /** Accounts that hold something which expires at or before `now`, at most `limit`. */
  accountsDue(now: number, limit: number): Promise<string[]>

  // notifications

  /** Stores the notification; idempotent. Returns the one that is stored under (projectId, domain, id). */
  putNotification(notification: Notification): Promise<Notification>
  notification(projectId: string, domain: string, id: string): Promise<Notification | undefined>
  /**
   * Enqueues a notification for subscribers: the copy, the unread count, the outbox entry and the receipt (`queued`) of
   * each in one step; atomic per target. A target that has this copy already, or had it withdrawn, or whose subscription
   * has ended, stays as it is. Returns, in order, `sent`, `repeated` or `gone`.
   * With `collapseKey` the last copy with that key in the same subscription is withdrawn in the same step if it is neither
   * delivered nor read, and its receipt fails with `REPLACED`. A worker may have leased its entry, or the relay may have
   * it: then the wallet may still receive it, but will not find it in its history.
   */
  enqueue(notification: Notification, targets: readonly EnqueueTarget[]): Promise<EnqueueOutcome[]>
  /**
   * `enqueue` by a worker that sends at once. What is sent has no entry each: a few entries name all of it, leased to the
   * worker. They are in the answer. All targets have the same times.
   */
  enqueueLeased(
    notification: Notification,
    targets: readonly EnqueueTarget[],
    lease: OutboxLease,
  ): Promise<{ outcomes: EnqueueOutcome[]; entries: OutboxEntryOf<'notifications'>[] }>
  /** One copy, by subscription. */
  delivered(subscriptionId: string, deliveredId: string): Promise<DeliveredNotification | undefined>
  /** One copy, by its id alone (notification links). */
  deliveredById(deliveredId: string): Promise<DeliveredNotification | undefined>
  /**
   * History, newest first, ties by id (descending); with `unreadFirst` all unread ones come before the read ones.
   * `after` is the id of a copy of this subscription (ProtocolError `unknown_notification` otherwise); the page starts
   * behind it. Expired copies are left out. `hasMoreUnread`: a later page has an unread one.
   * Without `unreadFirst` pages are stable: whatever arrives, is read or withdrawn between them, nothing comes twice and
   * nothing that stays is left out. With it that holds as long as nothing is marked as read between the pages: a copy
   * that is read moves behind all unread ones, so it may come again, and a page that begins behind it goes on from
   * there, past what is unread.
   */
  history(
    subscriptionId: string,
    page: { after: string | null; limit: number; unreadFirst: boolean; now: number },
  ): Promise<{ notifications: DeliveredNotification[]; hasMore: boolean; hasMoreUnread: boolean }>
  /** Unread copies of each subscription. */
  unreadCounts(subscriptionIds: readonly string[]): Promise<number[]>
  /**
   * Marks copies and their receipts as read: those of `ids`, or all. Unknown ids are ignored. Returns how many changed;
   * with 0 nothing changed.
   * Commits `requestId` and outbox in the same step, also when nothing changed; `repeated` and `used` as in `commit`.
   */
  markRead(request: {
    accountKey: string
    subscriptionId: string
    ids: readonly string[] | 'all'
    at: number
    requestId?: RequestId
    /** Written whatever changed. */
    outbox: readonly OutboxEntry[]
    /** Written only when an unread count changed. */
    outboxIfChanged: readonly OutboxEntry[]
  }): Promise<{ outcome: 'committed'; changed: number } | { outcome: 'repeated' | 'used' }>

  // outbox

  /**
   * Leases up to `limit` entries that are not leased at `now`, oldest first, to this worker until `until`. Concurrent
   * workers get different entries.
   */
  takeOutbox(lease: OutboxLease & { limit: number; now: number }): Promise<OutboxEntry[]>
  /**
   * Ends entries of `enqueueLeased`, of one call: receipts of copies that were published move on, each other copy that is queued since
   * then gets an entry of its own. Idempotent. The entries stay until all of it is done.
   */
  settleNotifications(
    entries: readonly OutboxEntryOf<'notifications'>[],
    became: {
      published: readonly { accountKey: string; deliveredId: string }[]
      /** The id of each entry is that of its copy. */
      others: readonly { accountKey: string; outbox: OutboxEntry }[]
    },
    at: number,
  ): Promise<void>
  /** Ends the lease of entries early (a failed attempt); they may be taken again from `at` on. */
  returnOutbox(ids: readonly string[], at: number): Promise<void>
  /** All entries, leased ones included. There is no index by account: an operator asks, and rarely. */
  outboxEntries(): AsyncIterable<OutboxEntry>
  /** How many entries are stored, leased ones included. */
  outboxSize(): Promise<number>
  /** Calls the listener, soon, when entries were added through this or another instance. Calls may be lost. */
  onOutbox(listener: () => void): Disposable

  /** Removes at most `limit` expired notifications, receipts, copies and request ids; returns how many. */
  sweep(now: number, limit: number): Promise<number>
}
