/** Bounds of the session relay. */
import { MIB_BYTES } from '../../platform/units.ts'
export interface SessionLimits {
  /** A session that nobody joins ends this long after it was created. */
  unjoinedMs: number
  /** Any other session ends this long after it was created. */
  lifetimeMs: number
  /** A connection that names no session is cut after this. */
  idleMs: number
  /** The largest frame of a connection. */
  frameBytes: number
  /**
   * What one peer may send in its session: a call and its answer, many times over. The relay has to hold what the other
   * peer does not read.
   */
  peerBytes: number
  peerMessages: number
  /** Events of a connection that wait for the store; one more is refused. */
  pendingEvents: number
  /** How often a process writes that it lives, and how long that holds. */
  heartbeatEveryMs: number
  heartbeatTtlMs: number
}

export const SESSION_LIMITS: SessionLimits = {
  unjoinedMs: 5 * 60_000,
  lifetimeMs: 30 * 60_000,
  idleMs: 15_000,
  frameBytes: MIB_BYTES,
  peerBytes: 4 * MIB_BYTES,
  peerMessages: 256,
  pendingEvents: 16,
  heartbeatEveryMs: 3_000,
  heartbeatTtlMs: 10_000,
}

/** How fast an address may create wallet sessions and open connections for them (`platform/budgets/rate-limits`). */
export const SESSION_RATES = {
  session: '30, 1/s',
  sessionSocket: '60, 2/s',
} as const
