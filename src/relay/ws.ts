/**
 * The relay over WebSocket.
 *
 * | close code | when | what published clients do |
 * |---|---|---|
 * | 1001 | the server stops | reconnect |
 * | 1003 | a binary frame | reconnect |
 * | 1007, 1009 | not UTF-8, over 1 MiB | reconnect |
 * | 1013 | with `useOnCloseEvent=true`: too many connections of the address, or in all; others get 429 or 503 | reconnect |
 * | 3000 | not let in, with `useOnCloseEvent=true`; others get 401 or 403 at the upgrade | give up |
 * | 4008 | does not read | reconnect |
 *
 * Connections have no timers of their own: one tick a second serves them all.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { refuseUpgrade, takeUpgrades } from '../platform/net/upgrades.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { payloadId, rpcRequest } from '../protocol/jsonrpc.ts'
import { LIMITS } from '../protocol/relay-methods.ts'
import { type Admission, admit, credentialsOf } from './auth.ts'
import type { Connection, Identified, Peer, RelayHub } from './hub.ts'

const PING_EVERY = 25_000
/** Published clients notice only the first ping of a connection, but every request. */
const HEARTBEAT_EVERY = 20_000
const UNANSWERED_PINGS = 2
const TICK = 1_000
/** How long a closing handshake may take before the connection is cut. */
const CLOSE_WITHIN = 1_000
/** Close code for those who may come again. */
const TRY_AGAIN_LATER = 1013
const WAVES = 20
const WAVE_AT_LEAST = 100
const BETWEEN_WAVES = 50

export interface RelaySocketDeps {
  hub: RelayHub
  /** Who pays for a connection. */
  addressOf: (request: IncomingMessage) => string
  budgets: Pick<Budgets, 'work' | 'connections'>
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

class WsPeer implements Peer {
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
  const { hub, addressOf, budgets, clock, log, meter } = deps
  const connections = new Set<WsPeer>()
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
      for (const peer of connections) peer.tick(now)
      ticking = undefined
      if (connections.size > 0) tick()
    })
  }

  const serve = (ws: WebSocket, raw: Duplex, who: Identified & { share: boolean }): void => {
    const peer = new WsPeer(ws, raw, clock, cork)
    connections.add(peer)
    if (!ticking) tick()
    const connection: Connection = hub.connect(peer, who)
    ws.on('message', (data, isBinary) => {
      peer.alive()
      if (isBinary) peer.close(1003, 'text frames only')
      else hub.receive(connection, textOf(data))
    })
    ws.on('pong', () => peer.alive())
    raw.on('drain', () => hub.drained(connection))
    // 1007 and 1009 come with an error; the connection is being closed with that code.
    ws.on('error', (error) => log.debug({ err: error }, 'A relay connection failed'))
    ws.on('close', () => {
      peer.ended()
      connections.delete(peer)
      hub.close(connection)
      if (connections.size === 0) emptied?.()
    })
  }

  /** Browsers cannot see the status of an upgrade, but they see the code of a close. */
  const dismiss = (
    { request, raw, head }: { request: IncomingMessage; raw: Duplex; head: Buffer },
    code: number,
    reason: string,
  ): void => {
    sockets.handleUpgrade(request, raw, head, (ws) => {
      ws.on('error', () => {})
      ws.close(code, reason)
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

  /** Takes a place for as long as the socket is open. False when the address has none left, or works too much. */
  const takePlace = (raw: Duplex, address: string): boolean => {
    // A refusal costs nothing: otherwise an office whose wallets all try again would keep itself out.
    if (budgets.work.debtOf(address) > 0 || !budgets.connections.take(address)) return false
    budgets.work.spend(address, WORK_COST.connection)
    raw.once('close', () => budgets.connections.give(address))
    return true
  }

  const upgrades = takeUpgrades(server, options.paths ?? ['/', '/relay'], (request, raw, head, url) => {
    raw.on('error', (error) => log.debug({ err: error }, 'A socket failed'))
    if (draining) refuseUpgrade(raw, 503, 'The server is stopping')
    else {
      const upgrade = { request, raw, head }
      const hasCloseEvent = url.searchParams.get('useOnCloseEvent') === 'true'
      const refuse = (status: number, code: number, reason: string) => {
        meter.count('relay_refused_total', { status: String(status) })
        if (hasCloseEvent) dismiss(upgrade, code, reason)
        else refuseUpgrade(raw, status, reason)
      }
      const address = addressOf(request)
      const clientId = admitted(request, url.searchParams)
      if (typeof clientId !== 'string') {
        refuse(clientId.http === 403 ? 403 : 401, 3000, clientId.message)
        return
      }
      const isHouse = hub.trusts(clientId)
      if (!isHouse && !takePlace(raw, address)) {
        const isFull = budgets.connections.held > 0 && budgets.connections.left('') === 0
        refuse(isFull ? 503 : 429, TRY_AGAIN_LATER, 'too many connections')
        return
      }
      const share = url.searchParams.get('share') === '1'
      sockets.handleUpgrade(request, raw, head, (ws) => serve(ws, raw, { clientId, share, address }))
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
        for (const peer of all.slice(at, at + wave)) peer.close(1001, 'going away')
      }
      const cut = () => {
        for (const peer of connections) peer.terminate()
      }
      if (signal?.aborted) cut()
      signal?.addEventListener('abort', cut, { once: true })
      await allClosed()
      signal?.removeEventListener('abort', cut)
    },
    async [Symbol.asyncDispose]() {
      draining = true
      upgrades[Symbol.dispose]()
      for (const peer of connections) peer.terminate()
      await allClosed()
      ticking?.[Symbol.dispose]()
      sockets.close()
    },
  }
}
