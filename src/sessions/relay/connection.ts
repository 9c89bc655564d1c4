/** One peer's connection to the session relay: what it says is counted, and takes effect in the order in which it came. */
import type { SessionLimits } from './limits.ts'
import type { Endpoint, Side } from './store.ts'

/** One connection, whatever carries it. */
export interface Peer {
  readonly id: string
  emit(event: string, ...values: unknown[]): void
  /** After what was emitted has been sent. */
  close(): void
}

/** A connection, as what it says comes in. */
export interface Attached {
  enter(side: Side, payload: unknown): void
  message(payload: unknown): void
  /** The peer was told by another process that both are there. */
  ready(): void
  /** So many bytes came over the connection. */
  received(bytes: number): void
  left(): void
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
 * Whoever writes a message down again does so by recursion, and one that is nested deeply enough would end the process.
 * Published clients send text.
 */
const MAX_PAYLOAD_DEPTH = 64
const isDeeperThan = (levels: number, value: unknown): boolean => {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner))
}

export interface Seat {
  id: string
  side: Side
  expiresAt: number
  /** Where the other is, once it is known. */
  other: Endpoint | undefined
}

export class Connection implements Attached {
  readonly peer: Peer
  readonly since: number
  seat: Seat | undefined
  /** Nothing is heard from it any more. */
  over = false
  bytes = 0
  messages = 0
  waiting = 0
  /** Looks in a row at which the other's process seemed dead. */
  misses = 0
  #last: Promise<void> = Promise.resolve()
  readonly #relay: Rules

  constructor(peer: Peer, since: number, relay: Rules) {
    this.peer = peer
    this.since = since
    this.#relay = relay
  }

  /** What a peer says takes effect in the order in which it was said. */
  #inOrder(work: () => Promise<void> | void): void {
    if (this.over) return
    this.waiting++
    if (this.waiting > this.#relay.limits.waiting) {
      this.#relay.refuse(this, 'too_much')
      return
    }
    this.#last = this.#last.then(async () => {
      try {
        if (!this.over) await work()
      } catch (error) {
        this.#relay.failed(this, error)
      } finally {
        this.waiting--
      }
    })
  }

  enter(side: Side, payload: unknown): void {
    this.#inOrder(() => this.#relay.enter(this, side, payload))
  }

  message(payload: unknown): void {
    if (this.over) return
    this.messages++
    if (this.messages > this.#relay.limits.peerMessages) this.#relay.refuse(this, 'too_much')
    else if (isDeeperThan(MAX_PAYLOAD_DEPTH, payload)) this.#relay.refuse(this, 'too_deep')
    // The usual case waits for nothing.
    else if (this.waiting === 0 && this.seat?.other) this.#relay.forward(this.seat.other, payload)
    else this.#inOrder(() => this.#relay.message(this, payload))
  }

  ready(): void {
    if (this.seat && !this.seat.other) this.#inOrder(() => this.#relay.find(this))
  }

  received(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#relay.limits.peerBytes) this.#relay.refuse(this, 'too_much')
  }

  left(): void {
    this.#relay.left(this)
  }
}

/** What the relay does with a connection. */
export interface Rules {
  readonly limits: SessionLimits
  enter(connection: Connection, side: Side, payload: unknown): Promise<void>
  message(connection: Connection, payload: unknown): Promise<void>
  /** Learns from the store where the other is. */
  find(connection: Connection): Promise<void>
  forward(endpoint: Endpoint, payload: unknown): void
  refuse(connection: Connection, refusal: Refusal): void
  failed(connection: Connection, error: unknown): void
  left(connection: Connection): void
}
