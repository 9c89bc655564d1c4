import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLimits } from '../limits.ts'
import type { RelayStore } from '../store.ts'
import type { Connection } from './connection.ts'
import { abbreviate, type Entry, type Outgoing, type Pusher, type TopicCursor } from './topic-cursor.ts'

export interface ConsumersDeps {
  store: Pick<RelayStore, 'claim' | 'release'>
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
}

/**
 * The connections of one delivery: which of them gets a message, and which one next when it stays unacknowledged. With `share`
 * there may be several, here and in other processes; then a message is claimed in the store before it is pushed.
 */
export interface Consumers {
  readonly connections: ReadonlySet<Connection>
  add(connection: Connection): void
  remove(connection: Connection): void
  readonly hasRoom: boolean
  /** Worth going on after the window was full. */
  readonly hasMuchRoom: boolean
  /** Charges work that was done for all of them. */
  charge(cost: number): void
  /** Puts the message in flight; false when there is no room. */
  place(cursor: TopicCursor, message: Outgoing): boolean
  /** Pushes again what is due, and drops what has expired. */
  redeliver(): void
  /** When something is due next; undefined when nothing is in flight. */
  readonly nextDue: number | undefined
  /** Gives the claims of a closed connection back. */
  release(connection: Connection): Promise<void>
}

/** `refused`: another holder has the message, or the store did not answer. */
export const createConsumers = (
  deps: ConsumersDeps,
  who: { clientId: string; share: boolean },
  refused: (cursor: TopicCursor, seq: number) => void,
): Consumers => {
  const { store, clock, log, meter, limits } = deps
  const connections = new Set<Connection>()

  /** The connection with room that has least in flight, but not `except`. */
  const pick = (except?: Pusher): Connection | undefined => {
    let best: Connection | undefined
    for (const connection of connections) {
      if (connection === except || !connection.hasRoom) continue
      if (!best || connection.inFlight < best.inFlight) best = connection
    }
    return best
  }

  const claim = async ({ connection, message, cursor }: Entry): Promise<boolean> => {
    const now = clock.now()
    const lease = { holder: connection.id, now, until: now + limits.redeliverAfterMs }
    try {
      return await store.claim(who.clientId, message.topic, message.seq, lease)
    } catch (error) {
      log.error({ err: error, topic: abbreviate(cursor.topic) }, 'A message could not be claimed')
      return false
    }
  }

  const claimAndPush = async (entry: Entry, again: boolean): Promise<void> => {
    const granted = await claim(entry)
    // Acknowledged or unsubscribed meanwhile, or the connection is gone and its messages are handed over.
    if (!entry.open) return
    if (granted && again) entry.connection.pushAgain(entry, clock.now())
    else if (granted) entry.connection.push(entry)
    else {
      entry.connection.forget(entry)
      refused(entry.cursor, entry.message.seq)
    }
  }

  /** To another connection of the shared delivery, or once more to the same one if no other has room. */
  const moveOn = (entry: Entry, now: number): void => {
    const other = pick(entry.connection)
    if (!other) {
      void claimAndPush(entry, true)
      return
    }
    // A late answer of the first one still counts.
    entry.connection.forget(entry, true)
    meter.count('relay_redeliveries_total')
    void claimAndPush(other.admit(entry.cursor, entry.message, now), false)
  }

  return {
    connections,
    add: (connection) => void connections.add(connection),
    remove: (connection) => void connections.delete(connection),
    get hasRoom() {
      return pick() !== undefined
    },
    get hasMuchRoom() {
      for (const connection of connections) if (connection.hasMuchRoom) return true
      return false
    },
    charge(cost) {
      const [connection] = connections
      connection?.spend(cost)
    },
    place(cursor, message) {
      const connection = pick()
      if (!connection) return false
      const now = clock.now()
      const entry = connection.admit(cursor, message, now)
      cursor.position = Math.max(cursor.position, message.seq)
      cursor.usedAt = now
      if (who.share) void claimAndPush(entry, false)
      else connection.push(entry)
      return true
    },
    redeliver() {
      const now = clock.now()
      for (const connection of connections) {
        for (const entry of connection.due(now - limits.redeliverAfterMs)) {
          if (entry.message.expiresAt <= now) {
            connection.forget(entry)
            meter.count('relay_messages_dropped_total', { reason: 'expired' })
          } else if (connection.blocked && !(who.share && pick(connection))) continue
          else if (who.share) moveOn(entry, now)
          else connection.pushAgain(entry, now)
        }
      }
    },
    get nextDue() {
      let due: number | undefined
      for (const { oldest } of connections) {
        if (oldest !== undefined) due = Math.min(due ?? oldest, oldest)
      }
      return due === undefined ? undefined : due + limits.redeliverAfterMs
    },
    async release(connection) {
      if (!who.share) return
      try {
        await store.release(connection.id)
      } catch (error) {
        log.error({ err: error }, 'The claims of a closed connection could not be released')
      }
    },
  }
}
