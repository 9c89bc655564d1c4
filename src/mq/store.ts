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
  /** Who pays for its place: at most 16 characters. A message without one counts in no share. */
  payer?: string
  /** Unix ms. */
  expiresAt: number
}

/** A queue whose reader was there: until then it is one that is read, unix ms. */
export interface AttendedQueue extends QueueName {
  until: number
}

/** What a put may do to its queue. */
export interface PutLimits {
  now: number
  /** Messages of the queue. */
  most: number
  /** A payer with fewer messages than this (0) gets in where the queue is full. */
  foothold?: number
}

/** A message with its place in the order of its queue. */
export interface PlacedMessage extends QueueName, MqMessage {
  place: number
}

export interface MqStore {
  /**
   * Appends; what is put later is behind. Where `most` messages are already, the oldest one of the payer that has most of
   * them gives way, if the payer of this one has fewer than `foothold`, and would have fewer than that one then. Else it
   * answers false, and keeps nothing.
   */
  put(queue: QueueName, message: MqMessage, limits: PutLimits): Promise<boolean>
  /** Its reader was here: until then the queue is one that is read. Never shortens it. */
  attend(queue: QueueName, until: number, now: number): Promise<void>
  /** Until when the queue is one that is read; 0 where nobody has read it for long. */
  attendedUntil(queue: QueueName, now: number): Promise<number>
  /** The oldest message, which stays. */
  head(queue: QueueName, now: number): Promise<MqMessage | undefined>
  /**
   * Removes the oldest message, or the one of that id, and gives it to one caller only.
   */
  take(queue: QueueName, request: { now: number; id?: string }): Promise<MqMessage | undefined>
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
