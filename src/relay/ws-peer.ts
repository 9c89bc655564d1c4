import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { Clock } from '../platform/runtime/clock.ts'
import { payloadId, rpcRequest } from '../protocol/jsonrpc.ts'
import type { FramePeer } from './delivery/peer.ts'

const PING_EVERY_MS = 25_000
/** Published clients notice only the first ping of a connection, but every request. */
const HEARTBEAT_EVERY_MS = 20_000
const MAX_UNANSWERED_PINGS = 2
/**
 * Pings and pongs of a client between two pings of ours. They cost no work otherwise; clients send one in some seconds, and
 * what they could not send for some minutes at once.
 */
const MAX_CONTROL_FRAMES = 1_000
const FLOODED_CLOSE_CODE = 1008
/** How long a closing handshake may take before the connection is cut. */
export const CLOSE_TIMEOUT_MS = 1_000

/** One cork per socket and tick: the frames of a tick leave in one system call. */
export const createCorks = () => {
  let corked: Duplex[] = []
  const uncork = () => {
    const sockets = corked
    corked = []
    for (const socket of sockets) socket.uncork()
  }
  return (socket: Duplex): void => {
    if (socket.writableCorked > 0) return
    socket.cork()
    if (corked.push(socket) === 1) process.nextTick(uncork)
  }
}

/** A WebSocket as the hub sees it. A class, because there are thousands of them and they share their methods. */
export class WsPeer implements FramePeer {
  readonly #ws: WebSocket
  readonly #raw: Duplex
  readonly #clock: Clock
  readonly #cork: (socket: Duplex) => void
  #paused = false
  #cut: Disposable | undefined
  #sentAt: number
  #pingedAt: number
  #unanswered = 0
  #controlFrames = 0
  #isFlooded = false
  /** A pong is being written. */
  #isAnswering = false
  /** The newest ping that came meanwhile. */
  #unansweredPing: Buffer | undefined

  constructor(ws: WebSocket, raw: Duplex, clock: Clock, cork: (socket: Duplex) => void) {
    this.#ws = ws
    this.#raw = raw
    this.#clock = clock
    this.#cork = cork
    this.#sentAt = this.#pingedAt = clock.now()
  }

  send(frame: string): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    this.#cork(this.#raw)
    this.#ws.send(frame)
    this.#sentAt = this.#clock.now()
  }

  buffered(): number {
    return this.#ws.bufferedAmount
  }

  pause(): void {
    this.#paused = true
    this.#ws.pause()
  }

  resume(): void {
    this.#paused = false
    if (!this.#isFlooded) this.#ws.resume()
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason)
    // The closing handshake is read like everything else.
    this.#ws.resume()
    this.#cut ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#ws.terminate())
  }

  /** It is closed. */
  ended(): void {
    this.#cut?.[Symbol.dispose]()
  }

  terminate(): void {
    this.#ws.terminate()
  }

  /** Something came from the other end. */
  alive(): void {
    this.#unanswered = 0
  }

  /** A ping or a pong came. Who sends them on and on is not read from any more, so its answer to the close is not awaited. */
  control(): void {
    this.alive()
    if (++this.#controlFrames <= MAX_CONTROL_FRAMES || this.#isFlooded) return
    this.#isFlooded = true
    this.#ws.close(FLOODED_CLOSE_CODE, 'too many pings or pongs')
    this.#ws.pause()
    this.#cut ??= this.#clock.after(CLOSE_TIMEOUT_MS, () => this.#ws.terminate())
  }

  /**
   * Pings that come while a pong is on its way are answered by one pong, to the newest of them (RFC 6455, 5.5.3). Many come at
   * once from a client whose network stood still; one that does not read makes us hold one pong.
   */
  pinged(data: Buffer): void {
    this.control()
    if (this.#isAnswering) this.#unansweredPing = data
    else this.#pong(data)
  }

  #pong(data: Buffer): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    this.#isAnswering = true
    this.#ws.pong(data, false, () => {
      this.#isAnswering = false
      const next = this.#unansweredPing
      this.#unansweredPing = undefined
      if (next) this.#pong(next)
    })
  }

  tick(now: number): void {
    if (now - this.#pingedAt >= PING_EVERY_MS) {
      this.#controlFrames = 0
      // The answer of a connection that is not read from is not seen.
      if (this.#paused) this.#unanswered = 0
      if (this.#unanswered >= MAX_UNANSWERED_PINGS) this.#ws.terminate()
      this.#unanswered++
      this.#pingedAt = now
      if (this.#ws.readyState === WebSocket.OPEN) this.#ws.ping()
    }
    if (now - this.#sentAt >= HEARTBEAT_EVERY_MS) this.send(rpcRequest(payloadId(now), 'irn_heartbeat', {}))
  }
}
