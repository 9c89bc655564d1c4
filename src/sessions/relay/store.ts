/** What the session relay needs of storage: which peers are in a session, and which processes live. */

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

/** `not_initialized` is for the joiner alone. */
export type Entered =
  | { outcome: 'entered'; session: Session }
  | { outcome: 'not_found' | 'taken' | 'not_initialized' }

/** A session that has expired at `now` does not exist, even where its row is still stored. */
export interface SessionsStore {
  create(id: string, session: { createdAt: number; expiresAt: number }): Promise<void>
  /**
   * Gives the side to the endpoint. With `lifetimeMs` the session then ends that long after its creation. Atomic: of all
   * that ask for a side one gets it, and the joiner gets none before the initiator has one.
   */
  enter(
    id: string,
    side: Side,
    entry: { endpoint: Endpoint; now: number; lifetimeMs?: number | undefined },
  ): Promise<Entered>
  session(id: string, now: number): Promise<Session | undefined>
  /** Removes the session. Only the call that removes it gets the session. */
  end(id: string): Promise<Session | undefined>
  /** The process counts as alive until then. */
  heartbeat(process: string, until: number): Promise<void>
  /** Those of the processes that are not alive at `now`. */
  deadProcesses(processes: readonly string[], now: number): Promise<string[]>
}
