/** Bounds of the session relay. Times are milliseconds, sizes are bytes. */
export interface SessionLimits {
  /** A session that nobody joins ends this long after it was created. */
  unjoinedMs: number
  /** … and any other after this. */
  lifetimeMs: number
  /** A connection that names no session is cut after this. */
  idleMs: number
  /** The largest frame of a connection. */
  frameBytes: number
  /** What one peer may send in its session: a call and its answer, many times over. Who does not read makes us keep it. */
  peerBytes: number
  peerMessages: number
  /** What a peer asks while its last question is with the store; one more is too many. */
  waiting: number
  /** How often a process says that it lives, and for how long that is good. */
  heartbeatEveryMs: number
  heartbeatTtlMs: number
}

const MIB = 1024 * 1024

export const SESSION_LIMITS: SessionLimits = {
  unjoinedMs: 5 * 60_000,
  lifetimeMs: 30 * 60_000,
  idleMs: 15_000,
  frameBytes: MIB,
  peerBytes: 4 * MIB,
  peerMessages: 256,
  waiting: 16,
  heartbeatEveryMs: 3_000,
  heartbeatTtlMs: 10_000,
}

/** How fast an address may create wallet sessions and open connections for them (`platform/budgets/rate-limits`). */
export const SESSION_RATES = {
  session: '30, 1/s',
  sessionSocket: '60, 2/s',
} as const
