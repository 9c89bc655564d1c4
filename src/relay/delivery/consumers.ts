import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLimits } from '../limits.ts'
import type { RelayStore } from '../store.ts'
import type { AckBatcher } from './ack-batcher.ts'
import type { Connection } from './connection.ts'
import { abbreviate, type Outgoing } from './outgoing.ts'
import type { Entry, Pusher, TopicCursor } from './topic-cursor.ts'

export interface ConsumersDeps {
  store: Pick<RelayStore, 'claim' | 'release'>
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
  ackBatcher: Pick<AckBatcher, 'whenDurable'>
}

/**
 * The connections of one delivery: which of them gets a message, and which one next when it stays unacknowledged. With `share`
 * there may be several, here and in other processes; then a message is claimed in the store before it is pushed.
 */
export class Consumers {
  readonly #deps: ConsumersDeps
  readonly #clientId: string
  readonly #share: boolean
  /** Another connection has the claim of the message, or the store did not answer. */
  readonly #refused: (cursor: TopicCursor, seq: number) => void
  readonly #connections = new Set<Connection>()

  constructor(
    deps: ConsumersDeps,
    who: { clientId: string; share: boolean },
    refused: (cursor: TopicCursor, seq: number) => void,
  ) {
    this.#deps = deps
    this.#clientId = who.clientId
    this.#share = who.share
    this.#refused = refused
  }

  get size(): number {
    return this.#connections.size
  }

  add(connection: Connection): void {
    this.#connections.add(connection)
  }

  remove(connection: Connection): void {
    this.#connections.delete(connection)
  }

  get hasRoom(): boolean {
    return this.#pick() !== undefined
  }

  /** Worth going on after the window was full. */
  get hasMuchRoom(): boolean {
    for (const connection of this.#connections) if (connection.hasMuchRoom) return true
    return false
  }

  /** Charges work that was done for all of them. */
  charge(cost: number): void {
    const [connection] = this.#connections
    connection?.spend(cost)
  }

  /** Puts the message in flight; false when there is no room. */
  admit(cursor: TopicCursor, message: Outgoing): boolean {
    const connection = this.#pick()
    if (!connection) return false
    const now = this.#deps.clock.now()
    const entry = connection.admit(cursor, message, now)
    cursor.advance(message.seq, now)
    if (this.#share) void this.#claimAndPush(entry, false)
    else connection.push(entry)
    return true
  }

  /** Pushes again what is due, and drops what has expired. */
  redeliver(): void {
    const { clock, meter, limits } = this.#deps
    const now = clock.now()
    for (const connection of this.#connections) {
      for (const entry of connection.due(now - limits.redeliverAfterMs)) {
        if (entry.message.expiresAt <= now) {
          connection.forget(entry)
          meter.count('relay_messages_dropped_total', { reason: 'expired' })
        } else if (connection.blocked && !(this.#share && this.#pick(connection))) continue
        else if (this.#share) this.#moveOn(entry, now)
        else connection.pushAgain(entry, now)
      }
    }
  }

  /** When a push is due again next; undefined when nothing is in flight. */
  get nextDueAt(): number | undefined {
    let oldestSentAt: number | undefined
    for (const connection of this.#connections) {
      const sentAt = connection.oldestSentAt
      if (sentAt !== undefined) oldestSentAt = Math.min(oldestSentAt ?? sentAt, sentAt)
    }
    return oldestSentAt === undefined ? undefined : oldestSentAt + this.#deps.limits.redeliverAfterMs
  }

  /** Releases the claims of a closed connection, but not of what it acknowledged. */
  async release(connection: Connection): Promise<void> {
    if (!this.#share) return
    await this.#deps.ackBatcher.whenDurable(this.#clientId)
    try {
      await this.#deps.store.release(connection.id)
    } catch (error) {
      this.#deps.log.error({ err: error }, 'The claims of a closed connection could not be released')
    }
  }

  /** The connection with room that has least in flight, but not `except`. */
  #pick(except?: Pusher): Connection | undefined {
    let best: Connection | undefined
    for (const connection of this.#connections) {
      if (connection === except || !connection.hasRoom) continue
      if (!best || connection.inFlight < best.inFlight) best = connection
    }
    return best
  }

  async #claim({ connection, message, cursor }: Entry): Promise<boolean> {
    const { store, clock, log, limits } = this.#deps
    const now = clock.now()
    const lease = { holder: connection.id, now, until: now + limits.redeliverAfterMs }
    try {
      return await store.claim(this.#clientId, message.topic, message.seq, lease)
    } catch (error) {
      log.error({ err: error, topic: abbreviate(cursor.topic) }, 'A message could not be claimed')
      return false
    }
  }

  async #claimAndPush(entry: Entry, again: boolean): Promise<void> {
    const granted = await this.#claim(entry)
    // Acknowledged or unsubscribed meanwhile, or the connection is gone and its messages are handed over.
    if (!entry.open) return
    if (granted && again) entry.connection.pushAgain(entry, this.#deps.clock.now())
    else if (granted) entry.connection.push(entry)
    else {
      entry.connection.forget(entry)
      this.#refused(entry.cursor, entry.message.seq)
    }
  }

  /** To another connection of the shared delivery, or once more to the same one if no other has room. */
  #moveOn(entry: Entry, now: number): void {
    const other = this.#pick(entry.connection)
    if (!other) {
      void this.#claimAndPush(entry, true)
      return
    }
    // A late answer of the first one still counts.
    entry.connection.forget(entry, true)
    this.#deps.meter.count('relay_redeliveries_total')
    void this.#claimAndPush(other.admit(entry.cursor, entry.message, now), false)
  }
}
