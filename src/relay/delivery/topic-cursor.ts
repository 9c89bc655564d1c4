import type { StoredMessage } from '../store.ts'
import type { Turns } from './turns.ts'

/** A stored message, ready to be pushed to any number of subscribers. */
export interface Outgoing {
  readonly topic: string
  readonly id: string
  readonly seq: number
  readonly tag: number
  readonly publisher: string
  readonly expiresAt: number
  /** The `data` of `irn_subscription`, serialised once for all of them. */
  readonly data: string
}

/** The connection that a message was put in flight on. */
export interface Pusher {
  readonly id: string
  readonly blocked: boolean
  push(entry: Entry): void
  pushAgain(entry: Entry, now: number): void
  /** The entry takes no room any more; with `keep` a late answer to it is still understood. */
  forget(entry: Entry, keep?: boolean): void
}

/** One push of one message on one connection, until it is acknowledged. */
export interface Entry {
  readonly pushId: number
  readonly message: Outgoing
  readonly cursor: TopicCursor
  readonly connection: Pusher
  sentAt: number
  /** Pushed before this client subscribed on this connection; published clients ignore such a push. */
  early: boolean
  /** Takes room in the window and is pushed again when due. A closed one is kept only to understand a late answer. */
  open: boolean
  /** Bytes that were taken of the share of its address. */
  held: number
}

/** What a delivery knows about one topic. It exists only while there is something to know. */
export interface TopicCursor {
  readonly topic: string
  readonly subscriptionId: string
  /**
   * All that waits with a seq up to here was pushed, waits for its turn, or belongs to another holder. The mailbox is read
   * from here on.
   */
  position: number
  /** In flight, by message id. */
  readonly inFlight: Map<string, Entry>
  /** Reasons to push nothing at the moment (a subscribe or a fetch that is being answered). */
  holds: number
  early: boolean
  flushing: boolean
  /** Something came while held or flushing: look into the mailbox (again). */
  stirred: boolean
  /** Ids acknowledged while the mailbox was being read: what was read may still show them. */
  readonly acknowledged: Set<string>
  usedAt: number
  /** When to look again for messages from `refusedSeq` on that another holder has or that could not be read. */
  retryAt: number | undefined
  refusedSeq: number
  /** Where payers take turns: what is read and not pushed yet. It is empty unless the cursor is behind. */
  readonly turns: Turns | undefined
}

export const newTopicCursor = (
  topic: string,
  subscriptionId: string,
  { early, now, turns }: Pick<TopicCursor, 'early' | 'turns'> & { now: number },
): TopicCursor => ({
  topic,
  subscriptionId,
  position: 0,
  inFlight: new Map(),
  holds: 0,
  early,
  flushing: false,
  stirred: false,
  acknowledged: new Set(),
  usedAt: now,
  retryAt: undefined,
  refusedSeq: 0,
  turns,
})

/** What a client is told of a message, pushed or fetched. */
export const deliveredForm = (message: Omit<StoredMessage, 'seq'>) => ({
  topic: message.topic,
  message: message.message,
  publishedAt: message.publishedAt,
  tag: message.tag,
  attestation: message.attestation,
})

export const outgoing = (message: Omit<StoredMessage, 'seq'>, seq: number): Outgoing => ({
  topic: message.topic,
  id: message.id,
  seq,
  tag: message.tag,
  publisher: message.publisher,
  expiresAt: message.expiresAt,
  data: JSON.stringify(deliveredForm(message)),
})

/** The frame of a push. `data` is JSON already; neither a subscription id nor a push id needs escaping. */
export const pushFrame = (entry: Entry): string =>
  `{"id":${entry.pushId},"jsonrpc":"2.0","method":"irn_subscription","params":{"id":"${entry.cursor.subscriptionId}","data":${entry.message.data}}}`

/** How a topic appears in a log: enough to compare two lines, not enough to subscribe. */
export const abbreviate = (topic: string): string => `${topic.slice(0, 8)}…`
