/**
 * The relay over WebSocket.
 *
 * | close code | when | what published clients do |
 * |---|---|---|
 * | 1001 | the server stops | reconnect |
 * | 1003 | a binary frame | reconnect |
 * | 1007, 1009 | not UTF-8, over 1 MiB | reconnect |
 * | 3000 | not let in, with `useOnCloseEvent=true`; others get 401 or 403 at the upgrade | give up |
 * | 4008 | does not read | reconnect |
 *
 * Connections have no timers of their own: one tick a second serves them all.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { type Clock, pause } from '../platform/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { refuseUpgrade, takeUpgrades } from '../platform/upgrades.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { payloadId, rpcRequest } from '../protocol/jsonrpc.ts'
import { LIMITS } from '../protocol/relay-methods.ts'
import { type Admission, admit, credentialsOf } from './auth.ts'
import type { Peer, RelayHub, Session } from './hub.ts'

const PING_EVERY = 25_000
/** Published clients notice only the first ping of a connection, but every request. */
const HEARTBEAT_EVERY = 20_000
const UNANSWERED_PINGS = 2
const TICK = 1_000
/** How long a closing handshake may take before the connection is cut. */
const CLOSE_WITHIN = 1_000
const WAVES = 20
const WAVE_AT_LEAST = 100
const BETWEEN_WAVES = 50

export interface RelaySocketDeps {
  hub: RelayHub
  clock: Clock
  log: Log
  meter: Meter
}

export interface RelaySocketOptions extends Admission {
  /** Default `/` and `/relay`. */
  paths?: readonly string[]
}

export interface RelaySocket extends AsyncDisposable {
  readonly connections: number
  /** Lets nobody in any more and closes everybody with 1001, in waves so that they do not all come back at once. */
  drain(signal?: AbortSignal): Promise<void>
}

/** One cork per socket and tick: the frames of a tick leave in one system call. */
const createCorks = () => {
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

class Connection implements Peer {
  readonly #ws: WebSocket
  readonly #raw: Duplex
  readonly #clock: Clock
  readonly #cork: (socket: Duplex) => void
  #paused = false
  #cut: Disposable | undefined
  #sentAt: number
  #pingedAt: number
  #unanswered = 0

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
    this.#cut ??= this.#clock.after(CLOSE_WITHIN, () => this.#ws.terminate())
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

  tick(now: number): void {
    if (now - this.#pingedAt >= PING_EVERY) {
      // What we do not read cannot be answered for.
      if (this.#paused) this.#unanswered = 0
      if (this.#unanswered >= UNANSWERED_PINGS) this.#ws.terminate()
      this.#unanswered++
      this.#pingedAt = now
      if (this.#ws.readyState === WebSocket.OPEN) this.#ws.ping()
    }
    if (now - this.#sentAt >= HEARTBEAT_EVERY) this.send(rpcRequest(payloadId(now), 'irn_heartbeat', {}))
  }
}

const textOf = (data: RawData): string => {
  if (Buffer.isBuffer(data)) return data.toString()
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString()
}

export const attachRelaySocket = (
  deps: RelaySocketDeps,
  server: Server,
  options: RelaySocketOptions = {},
): RelaySocket => {
  const { hub, clock, log, meter } = deps
  const connections = new Set<Connection>()
  const cork = createCorks()
  let draining = false
  let ticking: Disposable | undefined
  let emptied: (() => void) | undefined

  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: LIMITS.frameBytes,
  })

  const tick = () => {
    ticking = clock.after(TICK, () => {
      const now = clock.now()
      for (const connection of connections) connection.tick(now)
      ticking = undefined
      if (connections.size > 0) tick()
    })
  }

  const serve = (ws: WebSocket, raw: Duplex, who: { clientId: string; share: boolean }): void => {
    const connection = new Connection(ws, raw, clock, cork)
    connections.add(connection)
    if (!ticking) tick()
    const session: Session = hub.connect(connection, who)
    ws.on('message', (data, isBinary) => {
      connection.alive()
      if (isBinary) connection.close(1003, 'text frames only')
      else hub.receive(session, textOf(data))
    })
    ws.on('pong', () => connection.alive())
    raw.on('drain', () => hub.drained(session))
    // 1007 and 1009 come with an error; the connection is being closed with that code.
    ws.on('error', (error) => log.debug({ err: error }, 'A relay connection failed'))
    ws.on('close', () => {
      connection.ended()
      connections.delete(connection)
      hub.close(session)
      if (connections.size === 0) emptied?.()
    })
  }

  /** Browsers cannot see the status of an upgrade, but they see the code of a close. */
  const dismiss = (request: IncomingMessage, raw: Duplex, head: Buffer, reason: string): void => {
    sockets.handleUpgrade(request, raw, head, (ws) => {
      ws.on('error', () => {})
      ws.close(3000, reason)
      const cut = clock.after(CLOSE_WITHIN, () => ws.terminate())
      ws.on('close', () => cut[Symbol.dispose]())
    })
  }

  const admitted = (request: IncomingMessage, query: URLSearchParams): string | ProtocolError => {
    try {
      const credentials = credentialsOf(query, request.headers.authorization)
      return admit(credentials, clock.now(), options).clientId
    } catch (error) {
      if (error instanceof ProtocolError) return error
      log.error({ err: error }, 'A client could not be authenticated')
      return new ProtocolError('unauthenticated')
    }
  }

  const upgrades = takeUpgrades(server, options.paths ?? ['/', '/relay'], (request, raw, head, url) => {
    raw.on('error', (error) => log.debug({ err: error }, 'A socket failed'))
    if (draining) refuseUpgrade(raw, 503, 'The server is stopping')
    else {
      const clientId = admitted(request, url.searchParams)
      if (typeof clientId === 'string') {
        const share = url.searchParams.get('share') === '1'
        sockets.handleUpgrade(request, raw, head, (ws) => serve(ws, raw, { clientId, share }))
        return
      }
      const status = clientId.http === 403 ? 403 : 401
      meter.count('relay_refused_total', { status: String(status) })
      if (url.searchParams.get('useOnCloseEvent') === 'true') dismiss(request, raw, head, clientId.message)
      else refuseUpgrade(raw, status, clientId.message)
    }
  })

  const allClosed = (): Promise<void> =>
    new Promise((resolve) => {
      if (connections.size === 0) resolve()
      else emptied = resolve
    })

  return {
    get connections() {
      return connections.size
    },
    async drain(signal) {
      draining = true
      const all = [...connections]
      const wave = Math.max(WAVE_AT_LEAST, Math.ceil(all.length / WAVES))
      for (let at = 0; at < all.length; at += wave) {
        if (at > 0) await pause(clock, BETWEEN_WAVES, signal)
        for (const connection of all.slice(at, at + wave)) connection.close(1001, 'going away')
      }
      const cut = () => {
        for (const connection of connections) connection.terminate()
      }
      if (signal?.aborted) cut()
      signal?.addEventListener('abort', cut, { once: true })
      await allClosed()
      signal?.removeEventListener('abort', cut)
    },
    async [Symbol.asyncDispose]() {
      draining = true
      upgrades[Symbol.dispose]()
      for (const connection of connections) connection.terminate()
      await allClosed()
      ticking?.[Symbol.dispose]()
      sockets.close()
    },
  }
}
