/** What the session relay asks of storage: who is in a session, and which processes live. */

export const SIDES = ['initiator', 'joiner'] as const
export type Side = (typeof SIDES)[number]
export const otherSide = (side: Side): Side => (side === 'initiator' ? 'joiner' : 'initiator')

/** Where a peer is: which process has its socket. */
export interface Endpoint {
  process: string
  socket: string
}

export interface Session {
  /** Unix ms. */
  createdAt: number
  expiresAt: number
  initiator?: Endpoint
  joiner?: Endpoint
}

/** `not_initialized`: only the joiner hears it. */
export type Entered =
  | { outcome: 'entered'; session: Session }
  | { outcome: 'not_found' | 'taken' | 'not_initialized' }

/** A session that has expired at `now` is not there, whatever of it is still kept. */
export interface SessionsStore {
  create(id: string, session: { createdAt: number; expiresAt: number }): Promise<void>
  /**
   * Gives the side to the seat, and prolongs the session by `lifetimeMs` from its creation when that is given. One step: of
   * all who ask for a side one gets it, and the joiner none before the initiator has his.
   */
  enter(
    id: string,
    side: Side,
    entry: { endpoint: Endpoint; now: number; lifetimeMs?: number | undefined },
  ): Promise<Entered>
  session(id: string, now: number): Promise<Session | undefined>
  /** Removes the session. Answers what it was to the one who removed it. */
  end(id: string): Promise<Session | undefined>
  /** The process lives until then, if it does not say so again. */
  heartbeat(process: string, until: number): Promise<void>
  /** Those of the processes that do not live at `now`. */
  deadProcesses(processes: readonly string[], now: number): Promise<string[]>
}
