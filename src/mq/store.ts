/**
 * What the hub asks of storage. A queue is what one domain keeps for one reader; each verb is atomic in its queue and
 * its promise resolves when the effect is durable. What has expired at `now` is not there, whether swept or not.
 */

/** `hashDID`: base58 of the SHA-256 of the reader's DID. */
export interface QueueName {
  domain: string
  hashDID: string
}

export interface MqMessage {
  /** Ours, unique; at most 64 URL-safe characters. */
  id: string
  message: string
  /** DID whose proof came with the message. */
  sender?: string
  /** Whether that proof is good for this message alone; else its holder could have put another one. */
  messageSigned?: true
  /** Unix ms. */
  expiresAt: number
}

/** A message with its place in the order of its queue. */
export interface PlacedMessage extends QueueName, MqMessage {
  place: number
}

export interface MqStore {
  /** Appends; what is put later is behind. Answers false, and keeps nothing, where `most` messages are already. */
  put(queue: QueueName, message: MqMessage, limits: { now: number; most: number }): Promise<boolean>
  /** The oldest message, which stays. */
  head(queue: QueueName, now: number): Promise<MqMessage | undefined>
  /**
   * Removes the oldest message, or the one of that id, and gives it to one caller only. `ticket` names this call: a
   * repetition of it, after a connection that broke off, is given the same message again and removes no other.
   */
  take(
    queue: QueueName,
    request: { now: number; ticket: string; id?: string },
  ): Promise<MqMessage | undefined>
  /** Removes; answers whether it was there. */
  remove(queue: QueueName, id: string): Promise<boolean>
  /** Puts messages back at their places, whatever the limits; bears repetition. For transfers. */
  restore(messages: readonly PlacedMessage[]): Promise<void>
  /** Removes at most about `limit` expired messages; answers how many. */
  sweep(now: number, limit: number): Promise<number>
  /**
   * Tells of queues in which something was put, by whatever process. Word may get lost where there are several: who
   * waits looks into the store now and then.
   */
  onPut(listener: (queue: QueueName) => void): Disposable
}
