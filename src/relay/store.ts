/**
 * What the relay asks of storage. One topic is one unit of atomicity: its messages, who is subscribed to it, and what
 * each of them has acknowledged. Nothing here spans two topics, so an engine may spread topics over machines.
 *
 * Every promise resolves only when the effect is durable. Times are unix milliseconds and always come from the caller.
 */

import { DAY_MS } from '../platform/units.ts'
import type { WatchStatus, WatchType } from '../protocol/relay-watch.ts'

/** A message as a publisher handed it over, checked and complete. */
export interface NewMessage {
  /** 64 lower-case hex characters. */
  topic: string
  /** Opaque to the relay; at most 256 KiB. */
  message: string
  /** Lower-case hex SHA-256 of `message`; with the topic it identifies the message. */
  id: string
  tag: number
  attestation: string
  /** Client id (did:key) of the publisher, which never receives its own message. */
  publisher: string
  publishedAt: number
  /** From this instant on the message does not exist, whether or not a sweep has come by. */
  expiresAt: number
  /**
   * Who pays: the keyed hash of an address block, at most 12 characters; '' for the house itself. A topic that is full
   * loses messages of the payer who has most in it.
   */
  payer: string
  /** Takes the place of `expiresAt` where nobody but the publisher is subscribed. Not kept. */
  unattendedUntil?: number
  /** Whether its publisher wants the user to notice it. Not kept. */
  prompt?: boolean
}

/** A message in its topic. `seq` rises by publish order within the topic and is never used twice. */
export interface StoredMessage extends Omit<NewMessage, 'unattendedUntil' | 'prompt'> {
  seq: number
}

/** A message without its texts. `publisher` is the same for the same publisher, and no client id. */
export interface Head {
  seq: number
  payer: string
  publisher: string
  /** Bytes of the message. */
  size: number
}

/** One subscriber as the topic saw it at the moment of a publish. */
export interface Subscriber {
  clientId: string
  /** True when nothing that is older than this message waits unacknowledged for that subscriber. */
  caughtUp: boolean
}

/**
 * `stored`: new, durable. `duplicate`: this topic already has the message (a retry of the publisher); `waiting` are
 * subscribers for whom something waits there, perhaps the message: absent when there are none.
 * `full`: the message alone is larger than its topic may be. `displaced` messages that somebody still waited for were
 * dropped to make room; absent when none.
 */
export type Publication =
  | { outcome: 'stored'; seq: number; previousSeq: number; subscribers: Subscriber[]; displaced?: number }
  | { outcome: 'duplicate'; waiting?: string[] }
  | { outcome: 'full' }

/**
 * `total`: how many topics the client has now. What it asked for and did not get: topics that another client owns, and
 * those that have as many members as they may have.
 */
export interface Subscribed {
  total: number
  owned: string[]
  crowded: string[]
}

/** Another process (or this one) stored a message that these clients have not acknowledged. */
export interface Wake {
  topic: string
  clientIds: string[]
}

/** A webhook that is told of a client's messages. Service and URL are its name among those of the client. */
export interface Watch {
  /** did:key of the watched client. */
  clientId: string
  /** URL of the service that asked for it; what events are addressed to. */
  service: string
  /** Where events are posted. */
  url: string
  type: WatchType
  tags: number[]
  statuses: WatchStatus[]
  /** From this instant on the watch does not exist. */
  expiresAt: number
  /** When its client signed for it, unix s: the newest word counts. */
  issuedAt: number
  /** `asked`: its service has not agreed. `ended`: kept only so that no older word brings it back. */
  state: 'asked' | 'active' | 'ended'
  /** What the service's refusals in a row weigh. */
  refusals: number
  /** Since when no POST was answered well, unix ms; 0 when the last one was. */
  failingSince: number
}

export type WatchName = Pick<Watch, 'clientId' | 'service' | 'url'>

/** Registrations of webhooks, over the port (`store-watches`). All of one client are one unit of atomicity. */
export interface WatchStore {
  /**
   * Keeps the watch in place of the one with the same client, service and URL; one that stands keeps how it is doing
   * (`active`, refusals, `failingSince`). Keeps nothing, and throws ProtocolError, `jwt_expired` when a newer word is known
   * (an end counts against a registration of the same second), `rate_limited` when the client would have more than `limit`
   * that are live at `now`. Of ended ones that many are remembered, those that last longest.
   */
  watch(watch: Watch, bounds: { now: number; limit: number }): Promise<void>
  /** Changes how a live watch is doing, or removes it; one that is unknown or ended is left as it is. */
  changeWatch(
    name: WatchName,
    change: Partial<Pick<Watch, 'state' | 'refusals' | 'failingSince'>> | 'gone',
  ): Promise<void>
  /** The live watches of these clients, in no order; `withEnded`: those, too, that are only remembered. */
  watches(clientIds: readonly string[], now: number, withEnded?: boolean): Promise<Watch[]>
  /** False only when no client at all has a live watch. */
  hasWatches(now: number): Promise<boolean>
  /**
   * Calls the listener when a watch of the client was changed: by this store before its promise resolves, by another one soon
   * after. As `onWake`, it is never the truth.
   */
  onWatch(listener: (clientId: string) => void): Disposable
}

/** Messages and subscriptions, native to each engine. */
export interface MailboxStore extends AsyncDisposable {
  /**
   * Stores messages, in order; the answers have the same length and order. Atomic per message. A live message with
   * the same topic and id makes it a duplicate. `caughtUp` and `previousSeq` let the caller push the message without
   * reading it back.
   */
  publish(messages: readonly NewMessage[]): Promise<Publication[]>

  /**
   * Makes the client a subscriber of the topics; idempotent. A client that was one before keeps what it acknowledged,
   * also across an unsubscribe, for as long as the messages live. It counts as seen at `now`.
   * With `limit`, throws ProtocolError `rate_limited` and subscribes to nothing when the client would have more topics,
   * and leaves out topics that have as many members as they may have. Topics that another client owns are left out.
   * `exclusive` makes the client the owner of the topics, whoever was it before: the subscriptions of all others end.
   */
  subscribe(
    clientId: string,
    topics: readonly string[],
    how: { now: number; limit?: number; exclusive?: boolean },
  ): Promise<Subscribed>
  /** Of these topics, those that the client is not subscribed to. */
  unsubscribedOf(clientId: string, topics: readonly string[]): Promise<string[]>
  /** Renews the leases of clients that are here at `now`; once a day is enough. Others than subscribers are ignored. */
  seen(clientIds: readonly string[], now: number): Promise<void>
  /** Ends the subscriptions, and what the client owns of the topics; unknown ones are ignored. */
  unsubscribe(clientId: string, topics: readonly string[]): Promise<void>
  /** A page of the client's topics in topic order, starting after `after`. */
  topicsOf(clientId: string, page: { after?: string; limit: number }): Promise<string[]>
  /** Whether the client is subscribed to the topic now. */
  isSubscribed(clientId: string, topic: string): Promise<boolean>

  /**
   * The subscribed topics in which something waits for the client at `now`, in batches, one for about every
   * `WAITING_BATCH_SIZE` topics that are looked at; some are empty. The iterator yields between batches, so that a client of
   * many topics does not hold up the others. May name a topic in which nothing is
   * left; must not miss one whose message was stored before the call.
   */
  waiting(clientId: string, now: number): AsyncIterable<string[]>
  /**
   * Live messages of the topic that the client has neither published nor acknowledged, in publish order, with
   * `seq > after`. Works for topics that the client is not subscribed to; of one that another client owns, nothing.
   */
  pending(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; maxBytes: number; now: number },
  ): Promise<{ messages: StoredMessage[]; hasMore: boolean }>
  /**
   * What `pending` would give, without the texts: for who decides by payers what comes next. Unlike there, `limit` is all
   * that ends a page.
   */
  heads(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; now: number },
  ): Promise<{ heads: Head[]; hasMore: boolean }>
  /** Those of these messages that `pending` would give, in the order of `seqs`. */
  pick(clientId: string, topic: string, seqs: readonly number[], now: number): Promise<StoredMessage[]>
  /**
   * Acknowledges: never delivered to this client again; takes nothing from any other client. Unknown ids are ignored.
   * Works for topics that the client is not subscribed to, while they have room for members; not for those that another
   * client owns.
   */
  acknowledge(clientId: string, receipts: readonly { topic: string; id: string }[]): Promise<void>

  /**
   * For shared subscriptions: gives `holder` the right to deliver the message to the client until `until`, unless
   * another holder has it at `now`. Exactly one of several concurrent callers gets true.
   */
  claim(
    clientId: string,
    topic: string,
    seq: number,
    lease: { holder: string; now: number; until: number },
  ): Promise<boolean>
  /** Gives back every claim of the holder (its connection closed). */
  release(holder: string): Promise<void>

  /** The live message, whoever has acknowledged it. */
  message(topic: string, id: string, now: number): Promise<StoredMessage | undefined>

  /**
   * Removes at most `limit` messages (and what belongs to them) that expired before `now`, then subscriptions of clients
   * that were last seen `SUBSCRIPTION_LEASE_MS` ago; answers how many of both.
   */
  sweep(now: number, limit: number): Promise<number>
  /**
   * Calls the listener when a publish through **another** store instance concerns one of this instance's clients.
   * An engine that serves one process never calls it. Wakes may be lost or repeated; `pending` is the truth.
   */
  onWake(listener: (wake: Wake) => void): Disposable
  /** Resolves when the engine answers; rejects otherwise. */
  ping(): Promise<void>
}

export interface RelayStore extends MailboxStore, WatchStore {}

/**
 * A client that is seen less often than this loses its subscriptions. Messages live for at most as long, so nothing waits
 * for it any more; published clients subscribe again whenever they start.
 */
export const SUBSCRIPTION_LEASE_MS = 30 * 86_400_000

/** A lease begins with the day on which its client was last seen. */
export const dayOf = (now: number): number => Math.floor(now / DAY_MS)
/** Topics that `waiting` looks at before it lets others run. */
export const WAITING_BATCH_SIZE = 250

/**
 * Bounds of one topic. At the limit of messages or bytes it is brought down to nine tenths: first what has expired goes,
 * then what every subscriber has, then the oldest of those payers who have most. A topic that is owned may have
 * `OWNED_FACTOR` times as much.
 */
export interface MailboxLimits {
  messages: number
  bytes: number
  /** Clients that may be subscribed, or have acknowledged something; no limit for trusted ones. Default 1,000. */
  members?: number
}

/**
 * A wallet that is away for 30 days finds 1,490 notifications at most on a topic (50 at once, 2 an hour); a device of a
 * wallet shares its topics with the other devices of the account and a server.
 */
export const DEFAULT_MAILBOX_LIMITS = { messages: 2_500, bytes: 16 * 1024 * 1024, members: 1_000 }
/** Requests of everybody come together on the topics of the notify server. */
export const OWNED_FACTOR = 4
/** What a full topic keeps. */
export const TRIM_TO_RATIO = 0.9
