import type { Clock } from '../../platform/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayLimits } from '../limits.ts'
import type { RelayStore } from '../store.ts'
import type { Session } from './connection.ts'
import { abbreviate, type Entry, type Lane, type Outgoing, type Pusher } from './topic-cursor.ts'

export interface ReadersDeps {
  store: Pick<RelayStore, 'claim' | 'release'>
  clock: Clock
  log: Log
  meter: Meter
  limits: RelayLimits
}

/**
 * The connections of one feed: which of them gets a message, and which one next when it stays unacknowledged. With `share`
 * there may be several, here and in other processes; then a message is claimed in the store before it is pushed.
 */
export interface Readers {
  readonly sessions: ReadonlySet<Session>
  add(session: Session): void
  remove(session: Session): void
  readonly hasRoom: boolean
  /** Worth going on after the window was full. */
  readonly hasMuchRoom: boolean
  /** Charges work that was done for all of them. */
  charge(cost: number): void
  /** Puts the message in flight; false when there is no room. */
  place(lane: Lane, message: Outgoing): boolean
  /** Pushes again what is due, and drops what has expired. */
  redeliver(): void
  /** When something is due next; undefined when nothing is in flight. */
  readonly nextDue: number | undefined
  /** Gives the claims of a closed connection back. */
  release(session: Session): Promise<void>
}

/** `refused`: another holder has the message, or the store did not answer. */
export const createReaders = (
  deps: ReadersDeps,
  who: { clientId: string; share: boolean },
  refused: (lane: Lane, seq: number) => void,
): Readers => {
  const { store, clock, log, meter, limits } = deps
  const sessions = new Set<Session>()

  /** The connection with room that has least in flight, but not `except`. */
  const pick = (except?: Pusher): Session | undefined => {
    let best: Session | undefined
    for (const session of sessions) {
      if (session === except || !session.hasRoom) continue
      if (!best || session.inFlight < best.inFlight) best = session
    }
    return best
  }

  const claim = async ({ session, message, lane }: Entry): Promise<boolean> => {
    const now = clock.now()
    const lease = { holder: session.id, now, until: now + limits.redeliverAfter }
    try {
      return await store.claim(who.clientId, message.topic, message.seq, lease)
    } catch (error) {
      log.error({ err: error, topic: abbreviate(lane.topic) }, 'A message could not be claimed')
      return false
    }
  }

  const claimAndPush = async (entry: Entry, again: boolean): Promise<void> => {
    const granted = await claim(entry)
    // Acknowledged or unsubscribed meanwhile, or the connection is gone and its messages are handed over.
    if (!entry.open) return
    if (granted && again) entry.session.pushAgain(entry, clock.now())
    else if (granted) entry.session.push(entry)
    else {
      entry.session.forget(entry)
      refused(entry.lane, entry.message.seq)
    }
  }

  /** To another connection of the shared feed, or once more to the same one if no other has room. */
  const moveOn = (entry: Entry, now: number): void => {
    const other = pick(entry.session)
    if (!other) {
      void claimAndPush(entry, true)
      return
    }
    // A late answer of the first one still counts.
    entry.session.forget(entry, true)
    meter.count('relay_redeliveries_total')
    void claimAndPush(other.admit(entry.lane, entry.message, now), false)
  }

  return {
    sessions,
    add: (session) => void sessions.add(session),
    remove: (session) => void sessions.delete(session),
    get hasRoom() {
      return pick() !== undefined
    },
    get hasMuchRoom() {
      for (const session of sessions) if (session.hasMuchRoom) return true
      return false
    },
    charge(cost) {
      const [session] = sessions
      session?.spend(cost)
    },
    place(lane, message) {
      const session = pick()
      if (!session) return false
      const now = clock.now()
      const entry = session.admit(lane, message, now)
      lane.cursor = Math.max(lane.cursor, message.seq)
      lane.usedAt = now
      if (who.share) void claimAndPush(entry, false)
      else session.push(entry)
      return true
    },
    redeliver() {
      const now = clock.now()
      for (const session of sessions) {
        for (const entry of session.due(now - limits.redeliverAfter)) {
          if (entry.message.expiresAt <= now) {
            session.forget(entry)
            meter.count('relay_messages_dropped_total', { reason: 'expired' })
          } else if (session.blocked && !(who.share && pick(session))) continue
          else if (who.share) moveOn(entry, now)
          else session.pushAgain(entry, now)
        }
      }
    },
    get nextDue() {
      let due: number | undefined
      for (const { oldest } of sessions) {
        if (oldest !== undefined) due = Math.min(due ?? oldest, oldest)
      }
      return due === undefined ? undefined : due + limits.redeliverAfter
    },
    async release(session) {
      if (!who.share) return
      try {
        await store.release(session.id)
      } catch (error) {
        log.error({ err: error }, 'The claims of a closed connection could not be released')
      }
    },
  }
}
