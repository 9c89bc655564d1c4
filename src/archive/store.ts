/**
 * What the archive asks of storage. One topic is one unit of atomicity. It is as blind as the relay: topics, sizes,
 * tags, times and opaque messages.
 *
 * Every promise resolves only when the effect is durable. Times are unix milliseconds and come from the caller.
 */

/** A message that the relay took. */
export interface NewArchived {
  /** 64 lower-case hex characters. */
  topic: string
  /** Lower-case hex SHA-256 of `message`; with the topic it identifies the message. */
  id: string
  message: string
  tag: number
  /** When the relay took it. */
  at: number
  /** From this instant on it does not exist, whether or not a sweep has come by. */
  expiresAt: number
  /** Ed25519 public key, 64 lower-case hex characters, whose holders may have the message dropped. None: nobody may. */
  owner?: string | undefined
}

/** In its topic; `seq` rises in the order in which messages were archived. */
export interface Archived extends NewArchived {
  seq: number
}

/** Of one topic; above it the oldest messages go. */
export interface ArchiveLimits {
  messages: number
  bytes: number
}

/** A client that wants messages with these tags kept, of the topics in which it has a part. */
export interface Registration {
  /** did:key of the relay client. */
  clientId: string
  tags: number[]
  /** By topic: the owner of what the client publishes there. */
  owners: Record<string, string>
  expiresAt: number
}

export interface ArchivePage {
  messages: Archived[]
  /** Id of the message that begins the next page. */
  next: string | undefined
}

export interface ArchiveStore {
  /** Keeps the messages in their order; what is there already stays as it is. */
  keep(messages: readonly NewArchived[], limits: ArchiveLimits, now: number): Promise<void>
  /**
   * The live messages of a topic from `origin` on, itself included; from the first one (forward) or the last one
   * (backward) without it. At most `limit`, and no more than about `maxBytes` but at least one. Undefined when there is
   * no live message `origin`.
   */
  page(
    topic: string,
    from: {
      origin?: string | undefined
      direction: 'forward' | 'backward'
      limit: number
      maxBytes: number
      now: number
    },
  ): Promise<ArchivePage | undefined>
  /** Removes what is the owner's and was archived before that message; answers false when it is not there. */
  drop(topic: string, before: string, owner: string): Promise<boolean>

  /** In place of the client's earlier registration. */
  register(registration: Registration, now: number): Promise<void>
  /** The live ones of these clients, in no order. */
  registrations(clientIds: readonly string[], now: number): Promise<Registration[]>
  /** Tags of which there may be a live registration, at most `limit` of them. */
  tags(now: number, limit: number): Promise<number[]>
  /** Calls the listener when **another** store instance registered the client; may be lost, never the truth. */
  onRegister(listener: (registered: Pick<Registration, 'clientId' | 'tags'>) => void): Disposable

  /**
   * Removes messages that have expired at `now`, perhaps a while later, and tags of which there is no registration any
   * more. Answers into how many topics it has looked and how many tags it has removed, at most `limit`.
   */
  sweep(now: number, limit: number): Promise<number>
  /** Puts messages back where they were in their topics; bears repetition. */
  restore(messages: readonly Archived[]): Promise<void>
}
