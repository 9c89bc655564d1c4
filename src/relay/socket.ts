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

const STATUS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
}

const refuse = (raw: Duplex, status: number, sentence: string): void => {
  const body = `${sentence}\n`
  raw.end(
    `HTTP/1.1 ${status} ${STATUS[status] ?? 'Error'}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket'

/**
 * Who offers another protocol (Java's HTTP client offers h2c with every request) is served without it: RFC 9110 §7.8.
 * Node has taken the connection from its HTTP parser by then, so it is handed back with the request as it came, but for
 * the offer.
 */
const serveWithoutUpgrade = (server: Server, request: IncomingMessage, raw: Duplex, head: Buffer): void => {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2)
    const isOffer = ['upgrade', 'http2-settings'].includes(name.toLowerCase())
    const kept =
      name.toLowerCase() === 'connection' ? value.replace(/\b(?:upgrade|http2-settings)\b,?/gi, '') : value
    if (!isOffer) lines.push(`${name}: ${kept}`)
  }
  const again = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head])
  // Without a listener an error would end the process.
  const failed = () => raw.destroy()
  raw.on('error', failed)
  // Not in the middle of the event that brought it: the stream would not begin to flow again.
  setImmediate(() => {
    raw.off('error', failed)
    if (raw.destroyed) return
    raw.unshift(again)
    server.emit('connection', raw)
  })
}

export const attachRelaySocket = (
  deps: RelaySocketDeps,
  server: Server,
  options: RelaySocketOptions = {},
): RelaySocket => {
  const { hub, clock, log, meter } = deps
  const paths = options.paths ?? ['/', '/relay']
  const connections = new Set<Connection>()
  const cork = createCorks()
  let draining = false
  let ticking: Disposable | undefined
  let emptied: (() => void) | undefined

  const upgrades = new WebSocketServer({
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
    upgrades.handleUpgrade(request, raw, head, (ws) => {
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

  const upgrade = (request: IncomingMessage, raw: Duplex, head: Buffer): void => {
    if (!isWebSocket(request)) {
      serveWithoutUpgrade(server, request, raw, head)
      return
    }
    raw.on('error', (error) => log.debug({ err: error }, 'A socket failed'))
    const address = request.url ?? ''
    const url = URL.canParse(address, 'http://relay') ? new URL(address, 'http://relay') : undefined
    if (!url) refuse(raw, 400, 'The address is not valid')
    else if (!paths.includes(url.pathname)) refuse(raw, 404, 'There is no WebSocket here')
    else if (draining) refuse(raw, 503, 'The server is stopping')
    else {
      const clientId = admitted(request, url.searchParams)
      if (typeof clientId === 'string') {
        const share = url.searchParams.get('share') === '1'
        upgrades.handleUpgrade(request, raw, head, (ws) => serve(ws, raw, { clientId, share }))
        return
      }
      const status = clientId.http === 403 ? 403 : 401
      meter.count('relay_refused_total', { status: String(status) })
      if (url.searchParams.get('useOnCloseEvent') === 'true') dismiss(request, raw, head, clientId.message)
      else refuse(raw, status, clientId.message)
    }
  }

  server.on('upgrade', upgrade)

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
      server.off('upgrade', upgrade)
      for (const connection of connections) connection.terminate()
      await allClosed()
      ticking?.[Symbol.dispose]()
      upgrades.close()
    },
  }
}
