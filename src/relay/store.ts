/**
 * What the relay asks of storage. One topic is one unit of atomicity: its messages, who is subscribed to it, and what
 * each of them has acknowledged. Nothing here spans two topics, so an engine may spread topics over machines.
 *
 * Every promise resolves only when the effect is durable. Times are unix milliseconds and always come from the caller.
 */

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
}

/** A message in its topic. `seq` rises by publish order within the topic and is never used twice. */
export interface StoredMessage extends NewMessage {
  seq: number
}

/** One subscriber as the topic saw it at the moment of a publish. */
export interface Subscriber {
  clientId: string
  /** True when nothing that is older than this message waits unacknowledged for that subscriber. */
  caughtUp: boolean
}

/**
 * `stored`: new, durable. `duplicate`: this topic already has the message (a retry of the publisher).
 * `full`: the topic has reached its limit of stored messages or bytes and nothing fully acknowledged could make room.
 */
export type Publication =
  | { outcome: 'stored'; seq: number; previousSeq: number; subscribers: Subscriber[] }
  | { outcome: 'duplicate' }
  | { outcome: 'full' }

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

export interface RelayStore extends AsyncDisposable {
  /**
   * Stores messages, in order; the answers have the same length and order. Atomic per message. A live message with
   * the same topic and id makes it a duplicate. `caughtUp` and `previousSeq` let the caller push the message without
   * reading it back.
   */
  publish(messages: readonly NewMessage[]): Promise<Publication[]>

  /**
   * Makes the client a subscriber of the topics; idempotent. A client that was one before keeps what it acknowledged,
   * also across an unsubscribe, for as long as the messages live. Answers how many topics the client has now.
   * With `limit`, subscribes to nothing and throws ProtocolError `rate_limited` when the client would have more.
   */
  subscribe(clientId: string, topics: readonly string[], limit?: number): Promise<number>
  /** Ends the subscriptions; unknown ones are ignored. */
  unsubscribe(clientId: string, topics: readonly string[]): Promise<void>
  /** A page of the client's topics in topic order, starting after `after`. */
  topicsOf(clientId: string, page: { after?: string; limit: number }): Promise<string[]>
  /** Whether the client is subscribed to the topic now. */
  isSubscribed(clientId: string, topic: string): Promise<boolean>

  /**
   * The subscribed topics in which something waits for the client at `now`, in batches. The iterator yields between
   * batches, so that a client of a million topics does not hold up the others. May name a topic in which nothing is
   * left; must not miss one whose message was stored before the call.
   */
  waiting(clientId: string, now: number): AsyncIterable<string[]>
  /**
   * Live messages of the topic that the client has neither published nor acknowledged, in publish order, with
   * `seq > after`. Works for topics that the client is not subscribed to.
   */
  pending(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; maxBytes: number; now: number },
  ): Promise<{ messages: StoredMessage[]; hasMore: boolean }>
  /**
   * Acknowledges: never delivered to this client again; takes nothing from any other client. Unknown ids are ignored.
   * Works for topics that the client is not subscribed to.
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
  /** Calls the listener when **another** store instance changed a watch of the client; like `onWake`, never the truth. */
  onWatch(listener: (clientId: string) => void): Disposable

  /** Removes at most `limit` messages (and what belongs to them) that expired before `now`; answers how many. */
  sweep(now: number, limit: number): Promise<number>
  /**
   * Calls the listener when a publish through **another** store instance concerns one of this instance's clients.
   * An engine that serves one process never calls it. Wakes may be lost or repeated; `pending` is the truth.
   */
  onWake(listener: (wake: Wake) => void): Disposable
  /** Resolves when the engine answers; rejects otherwise. */
  ping(): Promise<void>
}

/** Limits of one topic; above them a publish is answered `full`. */
export interface MailboxLimits {
  messages: number
  bytes: number
}
