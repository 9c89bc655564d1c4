/**
 * What the notify server asks of storage.
 *
 * **An account is the unit of atomicity.** All that a wallet can change about one address (its subscriptions and its
 * watchers) is one small record, `AccountRecord`. The service reads it, works out the next one as a pure function, and
 * commits it together with the messages that must be sent because of it (the outbox) and the id of the request that
 * asked for it. A commit states the version it was worked out from; if somebody else was faster, nothing happens and
 * the service starts again. So every rule of the protocol lives in the service, once, and an engine only has to
 * compare, swap and index.
 *
 * Promises resolve when the effect is durable. Times are unix milliseconds and come from the caller. Keys arrive here
 * already sealed (`Sealed`): a store never sees one in clear.
 */
import type { AccountStore } from './accounts.ts'
import type { ClickStore } from './clicks.ts'
import type { ProjectStore } from './projects.ts'
import type { ReceiptsStore } from './receipts.ts'
import type { RotationStore } from './rotation.ts'
import type { WebhookEvent, WebhookStore } from './webhooks.ts'

/** Parts with files of their own. */
export type { ClickStore } from './clicks.ts'
export type { Project, ProjectSettings, ProjectStore } from './projects.ts'
export type { RotationStore } from './rotation.ts'
export type { Webhook, WebhookStore } from './webhooks.ts'

/** Bytes encrypted at rest with a key derived from BELFRY_SECRET; base64url. */
export type Sealed = string

// ── projects and apps ───────────────────────────────────────────────────────────────────────────────────────────────

export interface NotificationType {
  /** A UUID, or `^[a-z0-9_-]{2,32}$`. */
  id: string
  name: string
  description: string
}

/** As the published API has it. */
export interface Welcome {
  enabled: boolean
  type: string
  title: string
  body: string
  url: string | null
}

/** What an app says about itself. */
export type AppDescription = Pick<
  AppRecord,
  'name' | 'description' | 'url' | 'icons' | 'types' | 'listed' | 'links' | 'welcome'
>

export interface AppRecord {
  /** The app's domain, compared as an exact string; unique over all projects. */
  domain: string
  projectId: string
  name: string
  description: string
  /** The app's page; empty when unknown. */
  url: string
  /** Picture URLs by size; empty strings when unknown. */
  icons: { sm: string; md: string; lg: string }
  types: NotificationType[]
  /** Whether `GET /w3i/v1/projects` names it. */
  listed: boolean
  /** Whether messages carry a link that counts clicks instead of the notification's own url. Absent: no. */
  links?: boolean
  /** What every new subscriber gets; null and absent: nothing. */
  welcome?: Welcome | null
  /** Ed25519 seed, with which the app's JWTs are signed. */
  authenticationSeed: Sealed
  /** Hex Ed25519 public key of it. */
  authenticationKey: string
  /** X25519 private key, to which wallets seal their subscribe requests. */
  subscribePrivateKey: Sealed
  /** Hex X25519 public key of it. */
  subscribeKey: string
  /** sha256 of the raw `subscribeKey`. */
  subscribeTopic: string
  /** Former keys that wallets may still use, newest first; absent when there are none. */
  previousKeys?: PreviousAppKeys[]
  createdAt: number
}

/** Keys that an app had before: the same members as in `AppRecord`, and until when they count. */
export interface PreviousAppKeys
  extends Pick<
    AppRecord,
    'authenticationSeed' | 'authenticationKey' | 'subscribePrivateKey' | 'subscribeKey' | 'subscribeTopic'
  > {
  until: number
}

// ── accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Subscription {
  /** Stable id, made at the first subscribe; a new one after delete. */
  id: string
  domain: string
  /** Type ids that the account wants. */
  scope: string[]
  /** The symmetric key P. */
  key: Sealed
  /** Notify topic: sha256(P). */
  topic: string
  createdAt: number
  expiresAt: number
  /** CAIP-10 exactly as the client last wrote it; how the account is named towards dapps. */
  account: string
}

export interface Watcher {
  /** did:key of the client's identity key; one watcher each, over all accounts. */
  identityKey: string
  /** The one app it watches; null for all. */
  domain: string | null
  /** CAIP-10 exactly as this client wrote it: its messages name the account like that. */
  account: string
  /** The symmetric key S of its watch request. */
  key: Sealed
  /** sha256(S). */
  topic: string
  expiresAt: number
  /**
   * did:key of ours that its watch was addressed to: its news are signed with that one. Absent in records from before
   * our keys could change, so it is the oldest.
   */
  serverKey?: string
}

export interface AccountRecord {
  subscriptions: Subscription[]
  watchers: Watcher[]
}

/** Where a notify topic leads. */
export interface TopicOwner {
  accountKey: string
  subscriptionId: string
}

// ── what must be sent ───────────────────────────────────────────────────────────────────────────────────────────────

/**
 * One thing that must happen, mostly on the relay. Entries hold ids and facts; signing and sealing happen when the entry is
 * delivered, in bulk. Delivery is at least once: an entry stays until `complete`d.
 */
export type OutboxTask =
  /** Answer a request of a wallet. */
  | {
      kind: 'response'
      topic: string
      key: Sealed
      tag: number
      /** The JSON-RPC id, as raw JSON text. */
      rpcId: string
      /** Domain of the app whose key signs; null when the server's own does. */
      signer: string | null
      /** did:key of the signer that the request was addressed to; its present one when that one is gone, or absent. */
      signerKey?: string
      /** Claims beside `iss iat exp sbs`. */
      claims: Record<string, unknown>
      /** Adds `sbs`: what the account has, restricted to one app or not, named as `account` says. */
      view?: { accountKey: string; account: string; domain: string | null }
      /** Replaces the JWT by a JSON-RPC error, which waits on the relay for a short while only. */
      error?: { code: number; message: string }
      /** Join or leave a topic: join before the answer goes out, leave after it. */
      join?: string
      leave?: string
    }
  /** Tell a watcher what its account has now (4012). */
  | { kind: 'changed'; accountKey: string; identityKey: string }
  /** A notification to one subscriber (4002). */
  | {
      kind: 'notification'
      accountKey: string
      subscriptionId: string
      /** Absent in entries from before there were receipts. */
      projectId?: string
      domain: string
      notificationId: string
    }
  /** Leave the topic of a subscription that ended by itself. */
  | { kind: 'leave'; topic: string }
  /** Tell the project's webhooks what happened to a subscription. Nothing for the relay. */
  | {
      kind: 'event'
      event: WebhookEvent
      domain: string
      subscriptionId: string
      /** CAIP-10 as the wallet wrote it. */
      account: string
      /** What the event says beside whom it concerns; copies that were read are named by `ids`. */
      detail: Record<string, unknown>
      ids?: readonly string[]
    }
  /** Make the first notification of a new subscription. Nothing for the relay; what it makes has an entry of its own. */
  | {
      kind: 'welcome'
      accountKey: string
      subscriptionId: string
      domain: string
      welcome: Omit<Welcome, 'enabled'>
    }

export interface OutboxEntry {
  /** Stable: the same over retries and restarts. Unique. */
  id: string
  task: OutboxTask
  /** When it came into being: `iat` of what is signed for it, so that a retry gives the same bytes. */
  createdAt: number
  /** Not sent any more from here on. */
  expiresAt: number
  /** Held back until then; whoever takes it sooner gives it back. */
  notBefore?: number
}

// ── notifications ───────────────────────────────────────────────────────────────────────────────────────────────────

/** What a dapp sent, kept once however many receive it. */
export interface Notification {
  /** Ours or the caller's; unique per project. What clients see as `msg.id` is `DeliveredNotification.id`. */
  id: string
  projectId: string
  domain: string
  type: string
  title: string
  body: string
  icon: string | null
  url: string | null
  createdAt: number
  /** Nothing of it is sent from here on; at most `expiresAt`. */
  deliverBy: number
  /** End of its retention. */
  expiresAt: number
  /** Of notifications with the same key a subscriber needs the newest only. */
  collapseKey?: string
}

/** One subscriber's copy: a few bytes that point at the notification. */
export interface DeliveredNotification {
  /** `msg.id` and `nfs[].id`: a UUID derived from subscription and notification, so a retry gives the same. */
  id: string
  sentAt: number
  isRead: boolean
  notification: Notification
}

/** What asked for a commit: it takes effect once. */
export interface RequestId {
  /** Of the relay message that carried it; a second commit with the same id does nothing. */
  id: string
  /** Names the JWT in it: in another message it is refused. */
  token?: string
  /** Until when both are remembered. */
  expiresAt: number
}

/** One commit of an account. */
export interface AccountCommit {
  accountKey: string
  /** The version that `account()` gave; 0 for an account that was not there. */
  expectedVersion: number
  record: AccountRecord
  requestId?: RequestId
  outbox: OutboxEntry[]
}

export interface NotifyStore
  extends ProjectStore,
    AccountStore,
    WebhookStore,
    ClickStore,
    ReceiptsStore,
    RotationStore {
  // servers, apps

  /** Keys of the notify server itself (by what names, `apps/server-keys` says): the first caller's proposal is kept, everyone gets what is kept. */
  serverKeys(proposal: Record<string, Sealed>): Promise<Record<string, Sealed>>
  /**
   * Creates the app unless its domain is taken; answers the app that holds the domain then. Exactly one of several
   * concurrent callers sees its own proposal.
   */
  createApp(app: AppRecord): Promise<AppRecord>
  /** Replaces what an app that is there says about itself; what is absent stays as it is. */
  describeApp(domain: string, description: AppDescription): Promise<void>
  app(domain: string): Promise<AppRecord | undefined>
  appByTopic(subscribeTopic: string): Promise<AppRecord | undefined>
  /** A page in domain order; with `projectId` only that project's. */
  apps(page: { projectId?: string; after?: string; limit: number }): Promise<AppRecord[]>

  // accounts

  account(accountKey: string): Promise<{ version: number; record: AccountRecord }>
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
  /** Whose subscription listens on this notify topic. */
  topicOwner(topic: string): Promise<TopicOwner | undefined>
  /** Which account the watcher with this identity key watches. */
  watcherOwner(identityKey: string): Promise<string | undefined>
  /** A page of an app's subscribers, in account-key order; expired ones included (the caller looks at expiresAt). */
  subscribers(
    domain: string,
    page: { after?: string; limit: number },
  ): Promise<{ accountKey: string; subscription: Subscription }[]>
  /** How many subscribers `subscribers` would name now. */
  subscriberCount(domain: string): Promise<number>
  /** A page of all notify topics, in topic order: what has to be renewed on a relay that forgets. */
  topics(page: { after?: string; limit: number }): Promise<string[]>
  /** Accounts that hold something which expires at or before `now`, at most `limit`. */
  accountsDue(now: number, limit: number): Promise<string[]>

  // notifications

  /** Keeps the notification; idempotent. Answers what is kept under (projectId, domain, id). */
  putNotification(notification: Notification): Promise<Notification>
  notification(projectId: string, domain: string, id: string): Promise<Notification | undefined>
  /**
   * Hands a notification to subscribers: the copy, the unread count, the outbox entry and the receipt (`queued`) of
   * each in one step; atomic per target. A target that has this copy already, or had it withdrawn, or whose
   * subscription is gone, is left as it is. Answers, in order, `sent`, `repeated` or `gone`.
   * With `collapseKey` the last copy with that key in the same subscription is withdrawn in the same step if it is
   * neither delivered nor read, and its receipt fails with `REPLACED`; also if a worker holds its entry or the relay has
   * it: then the wallet may yet receive it, but will not find it in its history.
   */
  hand(
    notification: Notification,
    targets: readonly {
      accountKey: string
      /** CAIP-10 as the subscriber wrote it. */
      account: string
      subscriptionId: string
      deliveredId: string
      /** Its id is `deliveredId`; its `createdAt` is when the receipt begins. */
      outbox: OutboxEntry
    }[],
  ): Promise<('sent' | 'repeated' | 'gone')[]>
  /** One copy, by subscription. */
  delivered(subscriptionId: string, deliveredId: string): Promise<DeliveredNotification | undefined>
  /** One copy, by its id alone (notification links). */
  deliveredById(deliveredId: string): Promise<DeliveredNotification | undefined>
  /**
   * History, newest first, ties by id (descending); with `unreadFirst` all unread ones come before the read ones.
   * `after` is the id of a copy of this subscription (ProtocolError `unknown_notification` otherwise); the page starts
   * behind it. Expired copies are not there. `hasMoreUnread`: an unread one stands on a later page.
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
   * Marks copies as read, and their receipts: those of `ids`, or all. Unknown ids are ignored. Answers how many
   * changed; 0 changes nothing.
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
   * Takes up to `limit` entries, oldest first, that nobody holds at `now`; they are this worker's until `until`.
   * Of several concurrent workers each gets different entries.
   */
  takeOutbox(lease: { worker: string; limit: number; now: number; until: number }): Promise<OutboxEntry[]>
  /** Gives entries back before their lease ends (a failed attempt); they may be taken again from `at` on. */
  returnOutbox(ids: readonly string[], at: number): Promise<void>
  /** How many entries are there, held ones included. */
  outboxSize(): Promise<number>
  /** Calls the listener, soon, when entries were added through this or another instance. Calls may be lost. */
  onOutbox(listener: () => void): Disposable

  /** Removes at most `limit` expired notifications, receipts, copies and request ids; answers how many. */
  sweep(now: number, limit: number): Promise<number>
}
