/** The records of the notify server's store. Times are unix milliseconds. */

import type { Extras } from '../../protocol/notify/extras.ts'
import type { Preferences } from '../../protocol/notify/preferences.ts'

/** Bytes encrypted at rest with a key derived from BELFRY_SECRET; base64url. */
export type Sealed = string

/** The events that a project's webhooks can listen to. */
export const WEBHOOK_EVENTS = [
  ...(['subscribed', 'unsubscribed', 'updated', 'delivered', 'read'] as const),
  ...(['answered'] as const),
  ...(['pushed', 'refused'] as const),
] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]

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

/** Former keys of an app: the same members as in `AppRecord`, and until when they count. */
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
  /** What the account wants beside the types; absent when it wants nothing else. */
  preferences?: Preferences
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

/** A record, and the version that a commit of the next one names. */
export interface VersionedAccount {
  version: number
  record: AccountRecord
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
  /** A notification to several subscribers. A worker that takes it replaces it by an entry for each of them. */
  | {
      kind: 'notifications'
      projectId: string
      domain: string
      notificationId: string
      targets: { accountKey: string; subscriptionId: string }[]
    }
  /** Tell a subscriber what came since the last digest (4002). */
  | {
      kind: 'digest'
      accountKey: string
      subscriptionId: string
      domain: string
      /** When it was due, unix ms: one message for each. */
      slot: number
      count: number
      /** The first copies, newest first. */
      ids: readonly string[]
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
  /** Not due before; a worker that takes it sooner returns it. */
  notBefore?: number
}

/** An entry whose task is of this kind. */
export type OutboxEntryOf<K extends OutboxTask['kind']> = OutboxEntry & {
  task: Extract<OutboxTask, { kind: K }>
}

// ── notifications ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A notification of a dapp, stored once however many receive it. */
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
  /** What dapps write is sealed: then these are within `body`. */
  extras?: Extras
}

/** One subscriber's copy: a few bytes that point at the notification. */
export interface DeliveredNotification {
  /** `msg.id` and `nfs[].id`: a UUID derived from subscription and notification, so a retry gives the same. */
  id: string
  sentAt: number
  isRead: boolean
  notification: Notification
}

/** The request behind a commit, which takes effect once. */
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
