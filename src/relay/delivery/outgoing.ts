import type { StoredMessage } from '../store.ts'

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

/** A message as a client gets it, pushed or fetched. */
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
export const pushFrame = (pushId: number, subscriptionId: string, data: string): string =>
  `{"id":${pushId},"jsonrpc":"2.0","method":"irn_subscription","params":{"id":"${subscriptionId}","data":${data}}}`

/** How a topic appears in a log: enough to compare two lines, not enough to subscribe. */
export const abbreviate = (topic: string): string => `${topic.slice(0, 8)}…`
