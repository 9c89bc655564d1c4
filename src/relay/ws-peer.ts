import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { Clock } from '../platform/runtime/clock.ts'
import { payloadId, rpcRequest } from '../protocol/jsonrpc.ts'
import type { FramePeer } from './delivery/peer.ts'

const PING_EVERY_MS = 25_000
/** Published clients notice only the first ping of a connection, but every request. */
const HEARTBEAT_EVERY_MS = 20_000
const MAX_UNANSWERED_PINGS = 2
/** Pings and pongs of a client between two pings of ours. They cost no work otherwise; clients send one in some seconds. */
const MAX_CONTROL_FRAMES = 1_000
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
    this.#ws.resume()
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

  /** A ping or a pong came. Who sends them on and on is cut without a closing handshake, which would be read behind them. */
  control(): void {
    this.alive()
    if (++this.#controlFrames > MAX_CONTROL_FRAMES) this.#ws.terminate()
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
