/** A peer's connection to the session relay. Its events are counted, and take effect in the order in which they came. */
import type { SessionLimits } from './limits.ts'
import type { Endpoint, Side } from './store.ts'

/** One connection, whatever carries it. */
export interface Peer {
  readonly id: string
  emit(event: string, ...values: unknown[]): void
  /** After what was emitted has been sent. */
  close(): void
}

/** The events of a peer, as its transport passes them on. */
export interface PeerEvents {
  enter(side: Side, payload: unknown): void
  message(payload: unknown): void
  /** Another process has emitted `session-ready` to the peer. */
  ready(): void
  /** The number of bytes that came over the connection. */
  received(bytes: number): void
  disconnected(): void
}

export const REFUSALS = {
  not_found: 'Session not found',
  already_initialized: 'Session already initialized',
  not_initialized: 'Session not yet initialized',
  already_joined: 'Session already has a joiner',
  not_ready: 'Session not ready',
  expired: 'Session expired',
  too_much: 'Too many messages',
  too_deep: 'Message nested too deeply',
  silent: 'No session was named in time',
} as const
export type Refusal = keyof typeof REFUSALS

/**
 * Serialising a message recurses over it, so a message that nests deeply enough would end the process. Published clients
 * send text.
 */
const MAX_PAYLOAD_DEPTH = 64
const isDeeperThan = (levels: number, value: unknown): boolean => {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner))
}

/** The side of a session that a connection has taken. */
export interface Seat {
  id: string
  side: Side
  expiresAt: number
  /** Where the other peer is, once that is known. */
  other: Endpoint | undefined
}

export class Connection implements PeerEvents {
  readonly peer: Peer
  /** Unix ms. */
  readonly connectedAt: number
  seat: Seat | undefined
  /** Its events have no effect any more. */
  isClosed = false
  bytes = 0
  messages = 0
  pendingEvents = 0
  /** Checks in a row that found the process of the other peer dead. */
  missedHeartbeats = 0
  #lastEvent: Promise<void> = Promise.resolve()
  readonly #rules: Rules

  constructor(peer: Peer, connectedAt: number, rules: Rules) {
    this.peer = peer
    this.connectedAt = connectedAt
    this.#rules = rules
  }

  #inOrder(work: () => Promise<void> | void): void {
    if (this.isClosed) return
    this.pendingEvents++
    if (this.pendingEvents > this.#rules.limits.pendingEvents) {
      this.#rules.refuse(this, 'too_much')
      return
    }
    this.#lastEvent = this.#lastEvent.then(async () => {
      try {
        if (!this.isClosed) await work()
      } catch (error) {
        this.#rules.failed(this, error)
      } finally {
        this.pendingEvents--
      }
    })
  }

  enter(side: Side, payload: unknown): void {
    this.#inOrder(() => this.#rules.enter(this, side, payload))
  }

  message(payload: unknown): void {
    if (this.isClosed) return
    this.messages++
    if (this.messages > this.#rules.limits.peerMessages) this.#rules.refuse(this, 'too_much')
    else if (isDeeperThan(MAX_PAYLOAD_DEPTH, payload)) this.#rules.refuse(this, 'too_deep')
    // In the usual case nothing is pending, and the message is forwarded at once.
    else if (this.pendingEvents === 0 && this.seat?.other) this.#rules.forward(this.seat.other, payload)
    else this.#inOrder(() => this.#rules.message(this, payload))
  }

  ready(): void {
    if (this.seat && !this.seat.other) this.#inOrder(() => this.#rules.find(this))
  }

  received(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#rules.limits.peerBytes) this.#rules.refuse(this, 'too_much')
  }

  disconnected(): void {
    this.#rules.disconnected(this)
  }
}

/** What the relay does with a connection. */
export interface Rules {
  readonly limits: SessionLimits
  enter(connection: Connection, side: Side, payload: unknown): Promise<void>
  message(connection: Connection, payload: unknown): Promise<void>
  /** Reads from the store where the other peer is. */
  find(connection: Connection): Promise<void>
  forward(endpoint: Endpoint, payload: unknown): void
  refuse(connection: Connection, refusal: Refusal): void
  failed(connection: Connection, error: unknown): void
  disconnected(connection: Connection): void
}
