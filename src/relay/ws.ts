/**
 * The relay over WebSocket.
 *
 * | close code | when | what published clients do |
 * |---|---|---|
 * | 1001 | the server stops | reconnect |
 * | 1003 | a binary frame | reconnect |
 * | 1007, 1009 | not UTF-8, over 1 MiB | reconnect |
 * | 1008 | more than 1,000 pings and pongs in 25 s | reconnect |
 * | 1013 | with `useOnCloseEvent=true`: too many connections of the address, or in all; others get 429 or 503 | reconnect |
 * | 3000 | not let in, or blocked by the operator, with `useOnCloseEvent=true`; others get 401 or 403 at the upgrade | give up |
 * | 3000 | blocked while it was connected | give up |
 * | 4008 | does not read | reconnect |
 *
 * Connections have no timers of their own: one tick a second serves them all.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { refuseUpgrade, takeUpgrades } from '../platform/net/upgrades.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/relay-methods.ts'
import { type Admission, admit, credentialsOf } from './auth.ts'
import type { Connection } from './delivery/connection.ts'
import type { Identified, RelayHub } from './hub.ts'
import { CLOSE_TIMEOUT_MS, createCorks, WsPeer } from './ws-peer.ts'

const TICK_MS = 1_000
const GOING_AWAY_CLOSE_CODE = 1001
const BINARY_CLOSE_CODE = 1003
const TRY_AGAIN_CLOSE_CODE = 1013
const NOT_LET_IN_CLOSE_CODE = 3000
const BLOCKED = new ProtocolError('blocked').message
const DRAIN_WAVES = 20
const MIN_WAVE_SIZE = 100
const WAVE_PAUSE_MS = 50
/** How long the end of a connection waits for the answers that it is owed. */
const ANSWER_TIMEOUT_MS = 1_000

const SOCKET_OPTIONS = {
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  // The peer answers them: the library cuts a connection on which some dozens come at once.
  autoPong: false,
  maxPayload: LIMITS.frameBytes,
} as const satisfies ServerOptions

export interface RelaySocketDeps {
  hub: RelayHub
  /** Who pays for a connection. */
  addressOf: (request: IncomingMessage) => string
  budgets: Pick<Budgets, 'work' | 'connections'>
  /** Whom the operator keeps out. */
  isBlocked: (who: Identified) => boolean
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
  /**
   * Lets no client in any more, answers what was taken and closes all connections with 1001, in waves so that clients do not all
   * come back at once. A published client takes up to 20 s to repeat what was not answered, and some end.
   */
  drain(signal?: AbortSignal): Promise<void>
  /** Closes the connections of whom the operator has blocked. */
  closeBlocked(): void
}

interface Upgrade {
  request: IncomingMessage
  raw: Duplex
  head: Buffer
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
  const { hub, addressOf, budgets, isBlocked, clock, log } = deps
  const open = createOpenPeers(deps)
  let isDraining = false

  const sockets = new WebSocketServer(SOCKET_OPTIONS)
  const upgrades = takeUpgrades(server, options.paths ?? ['/', '/relay'], (request, raw, head, url) => {
    raw.on('error', (error) => log.debug({ err: error }, 'A socket failed'))
    if (isDraining) return refuseUpgrade(raw, 503, 'The server is stopping')
    const refuse = createRefusal(deps, sockets, { request, raw, head }, url.searchParams)
    const address = addressOf(request)
    const clientId = clientOf(deps, request, url.searchParams, options)
    if (typeof clientId !== 'string') {
      const { http, code: reason, message: text } = clientId
      refuse(http === 403 ? 403 : 401, { code: NOT_LET_IN_CLOSE_CODE, reason, text })
      return
    }
    if (!hub.trusts(clientId) && isBlocked({ clientId, address })) {
      refuse(403, { code: NOT_LET_IN_CLOSE_CODE, reason: 'blocked', text: BLOCKED })
      return
    }
    if (!hub.trusts(clientId) && !takeConnection(budgets, raw, address)) {
      const isFull = budgets.connections.held > 0 && budgets.connections.left('') === 0
      const reason = isFull ? 'full' : 'rate_limited'
      refuse(isFull ? 503 : 429, { code: TRY_AGAIN_CLOSE_CODE, reason, text: 'too many connections' })
      return
    }
    const share = url.searchParams.get('share') === '1'
    sockets.handleUpgrade(request, raw, head, (ws) => open.add(ws, raw, { clientId, share, address }))
  })

  return {
    get connections() {
      return open.peers.size
    },
    closeBlocked() {
      for (const [peer, who] of open.peers)
        if (!hub.trusts(who.clientId) && isBlocked(who)) peer.close(NOT_LET_IN_CLOSE_CODE, BLOCKED)
    },
    async drain(signal) {
      isDraining = true
      await closeInWaves([...open.peers], clock, signal)
      const cut = () => {
        for (const peer of open.peers.keys()) peer.terminate()
      }
      if (signal?.aborted) cut()
      signal?.addEventListener('abort', cut, { once: true })
      await open.allClosed()
      signal?.removeEventListener('abort', cut)
    },
    async [Symbol.asyncDispose]() {
      isDraining = true
      upgrades[Symbol.dispose]()
      for (const peer of open.peers.keys()) peer.terminate()
      await open.allClosed()
      open[Symbol.dispose]()
      sockets.close()
    },
  }
}

interface OpenPeer extends Identified {
  connection: Connection
}

/** The open WebSockets, each a connection of the hub, and their one timer. */
const createOpenPeers = ({ hub, clock, log }: Pick<RelaySocketDeps, 'hub' | 'clock' | 'log'>) => {
  const peers = new Map<WsPeer, OpenPeer>()
  const cork = createCorks()
  let timer: Disposable | undefined
  let emptied: (() => void) | undefined

  const tick = () => {
    timer = clock.after(TICK_MS, () => {
      const now = clock.now()
      for (const peer of peers.keys()) peer.tick(now)
      timer = undefined
      if (peers.size > 0) tick()
    })
  }

  return {
    peers,
    add(ws: WebSocket, raw: Duplex, who: Identified & { share: boolean }): void {
      const peer = new WsPeer(ws, raw, clock, cork)
      const connection = hub.connect(peer, who)
      peers.set(peer, { ...who, connection })
      if (!timer) tick()
      ws.on('message', (data, isBinary) => {
        peer.alive()
        if (isBinary) peer.close(BINARY_CLOSE_CODE, 'text frames only')
        else hub.receive(connection, textOf(data))
      })
      ws.on('ping', (data) => peer.pinged(data))
      ws.on('pong', () => peer.control())
      raw.on('drain', () => hub.drained(connection))
      // 1007 and 1009 come with an error; the connection is being closed with that code.
      ws.on('error', (error) => log.debug({ err: error }, 'A relay connection failed'))
      ws.on('close', () => {
        peer.ended()
        peers.delete(peer)
        hub.close(connection)
        if (peers.size === 0) emptied?.()
      })
    },
    allClosed: (): Promise<void> =>
      new Promise((resolve) => {
        if (peers.size === 0) resolve()
        else emptied = resolve
      }),
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  }
}

/** Refuses the upgrade. Browsers cannot see the status of an upgrade, but they see the code of a close. */
const createRefusal = (
  { clock, meter }: Pick<RelaySocketDeps, 'clock' | 'meter'>,
  sockets: WebSocketServer,
  { request, raw, head }: Upgrade,
  query: URLSearchParams,
) => {
  const hasCloseEvent = query.get('useOnCloseEvent') === 'true'
  return (status: number, { code, reason, text }: { code: number; reason: string; text: string }): void => {
    meter.count('relay_refused_total', { status: String(status), reason })
    if (!hasCloseEvent) {
      refuseUpgrade(raw, status, text)
      return
    }
    sockets.handleUpgrade(request, raw, head, (ws) => {
      ws.on('error', () => {})
      ws.close(code, text)
      const timer = clock.after(CLOSE_TIMEOUT_MS, () => ws.terminate())
      ws.on('close', () => timer[Symbol.dispose]())
    })
  }
}

/** The client id, or why the client is not let in. */
const clientOf = (
  { clock, log }: Pick<RelaySocketDeps, 'clock' | 'log'>,
  request: IncomingMessage,
  query: URLSearchParams,
  admission: Admission,
): string | ProtocolError => {
  try {
    const credentials = credentialsOf(query, request.headers.authorization)
    return admit(credentials, clock.now(), admission).clientId
  } catch (error) {
    if (error instanceof ProtocolError) return error
    log.error({ err: error }, 'A client could not be authenticated')
    return new ProtocolError('unauthenticated')
  }
}

/** Takes one of the address' connections for as long as the socket is open. False when none is left, or the address works too much. */
const takeConnection = (budgets: RelaySocketDeps['budgets'], raw: Duplex, address: string): boolean => {
  // A refusal costs nothing: otherwise an office whose wallets all try again would keep itself out.
  if (budgets.work.debtOf(address) > 0 || !budgets.connections.take(address)) return false
  budgets.work.spend(address, WORK_COST.connection)
  raw.once('close', () => budgets.connections.give(address))
  return true
}

type OpenEntry = readonly [peer: WsPeer, who: OpenPeer]

/** One connection that is not answered holds up neither the others of its wave nor the next wave. */
const closeInWaves = async (
  peers: readonly OpenEntry[],
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const waveSize = Math.max(MIN_WAVE_SIZE, Math.ceil(peers.length / DRAIN_WAVES))
  const waves: Promise<void>[] = []
  for (let at = 0; at < peers.length; at += waveSize) {
    if (at > 0) await pause(clock, WAVE_PAUSE_MS, signal)
    waves.push(closeWave(peers.slice(at, at + waveSize), clock, signal))
  }
  await Promise.all(waves)
}

/** Each once it is answered, or when its time is over. */
const closeWave = async (wave: readonly OpenEntry[], clock: Clock, signal = new AbortController().signal) => {
  const answered = new AbortController()
  const isLate = pause(clock, ANSWER_TIMEOUT_MS, AbortSignal.any([answered.signal, signal]))
  const finish = async ([peer, { connection }]: OpenEntry) => {
    await Promise.race([connection.finish(), isLate])
    peer.close(GOING_AWAY_CLOSE_CODE, 'going away')
  }
  await Promise.all(wave.map(finish))
  answered.abort()
}
