import { RELAY_METHODS, type RelayParams } from '../../protocol/relay-methods.ts'
import type { StoredMessage } from '../store.ts'

/** A message as a client gets it, pushed or fetched. */
export type DeliveredMessage = RelayParams<'irn_subscription'>['data']

export const deliveredForm = (message: Omit<StoredMessage, 'seq'>): DeliveredMessage => ({
  topic: message.topic,
  message: message.message,
  publishedAt: message.publishedAt,
  tag: message.tag,
  attestation: message.attestation,
})

const deliveredSchema = RELAY_METHODS.irn_subscription.params.shape.data

/**
 * A stored message, ready to be pushed to any number of subscribers: as text to connections of frames, as a value within
 * this process. A class, because there are thousands of them and they share their methods.
 */
export class Outgoing {
  readonly topic: string
  readonly id: string
  readonly seq: number
  readonly tag: number
  readonly publisher: string
  readonly expiresAt: number
  /** Undefined once it is serialised: a message that waits for its acknowledgement is in memory once. */
  #value: DeliveredMessage | undefined
  #text = ''

  constructor(message: Omit<StoredMessage, 'seq'>, seq: number) {
    this.topic = message.topic
    this.id = message.id
    this.seq = seq
    this.tag = message.tag
    this.publisher = message.publisher
    this.expiresAt = message.expiresAt
    this.#value = deliveredForm(message)
  }

  /** The `data` of `irn_subscription`, serialised once for all subscribers. */
  get text(): string {
    if (this.#value) {
      this.#text = JSON.stringify(this.#value)
      this.#value = undefined
    }
    return this.#text
  }

  /** Read again where it was serialised for another subscriber before. */
  get value(): DeliveredMessage {
    return this.#value ?? deliveredSchema.parse(JSON.parse(this.#text))
  }
}

/** The frame of a push. `text` is JSON already; neither a subscription id nor a push id needs escaping. */
export const pushFrame = (pushId: number, subscriptionId: string, text: string): string =>
  `{"id":${pushId},"jsonrpc":"2.0","method":"irn_subscription","params":{"id":"${subscriptionId}","data":${text}}}`

/** How a topic appears in a log: enough to compare two lines, not enough to subscribe. */
export const abbreviate = (topic: string): string => `${topic.slice(0, 8)}…`
