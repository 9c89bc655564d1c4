/**
 * The relay client's connection: one socket at a time, opened again whenever it ends, and the JSON-RPC on it.
 *
 * It keeps nothing over a reconnect: a request that is unanswered when the socket ends is `lost`, and whoever made it
 * knows whether to make it again.
 */
import { openSocket, showsPings, soon } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import { CLOSED_ABNORMALLY, NOT_LET_IN, type Socket } from '../../platform/runtime/socket.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { toHex } from '../../protocol/bytes.ts'
import { fromRpcFailure, ProtocolError } from '../../protocol/errors.ts'
import { parseRpc, payloadIds, rpcRequest, rpcResult } from '../../protocol/jsonrpc.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'

export interface ConnectionDeps {
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

/** What became of a request. `unknown method` is apart because other relays know fewer methods than ours. */
export type Outcome =
  | { kind: 'answered'; result: unknown }
  | { kind: 'refused'; error: ProtocolError; unknownMethod: boolean }
  | { kind: 'lost' }

export interface ConnectionEvents {
  /** A new connection is open; also called for the first. */
  opened(): void
  /** After every unanswered request was reported lost, or when an attempt to connect failed. */
  lost(): void
  /** The relay asks something. `answer` does nothing once this connection has ended. */
  asked(method: string, params: unknown, answer: (result: unknown) => void): void
  /** There will be no connection any more. */
  ended(error: ProtocolError): void
}

export interface Connection {
  readonly connected: boolean
  /** `settle` is called exactly once, later; `lost` when there is no connection. */
  request(method: string, params: unknown, settle: (outcome: Outcome) => void): void
  /** Resolves when the socket is closed, or after a second. */
  close(): Promise<void>
}

/** Full jitter: anywhere between nothing and a ceiling that doubles. Spreads the herd after a relay's restart. */
const FIRST_BACK_OFF = 200
const LONGEST_BACK_OFF = 30_000
/** A connection that ended before this age counts as a failed attempt, or a relay that slams the door is hammered. */
const SETTLED_AFTER = 5_000
/** … but not as more than this many, once something was answered on it. */
const WORKING_ATTEMPTS = 2
const OPEN_TIMEOUT = 15_000
/** Relays ping every 25 s or so. */
const SILENT_FOR = 60_000
/** Longer than a relay keeps a client waiting that is over its rate. */
const REQUEST_TIMEOUT = 60_000
const LOOK_EVERY = 10_000
const GOODBYE = 1_000
/** Attempts in a row that came to nothing, until somebody should know: an address may be wrong. */
const WORTH_TELLING = 3
const DAY_S = 86_400

export const createConnection = (
  { clock, log, meter, randomBytes }: ConnectionDeps,
  { url, key, projectId, share }: { url: string; key: SigningKey; projectId?: string; share?: boolean },
  events: ConnectionEvents,
): Connection => {
  const base = new URL(url)
  base.protocol = base.protocol.replace(/^http/, 'ws')
  // The same over reconnects, as published clients do it.
  const sub = toHex(randomBytes(32))
  const nextId = payloadIds(clock.now, randomBytes)

  let attempts = 0
  let socket: Socket | undefined
  let connected = false
  let ended = false
  let openedAt = 0
  let lastSeen = 0
  // Where pings are not seen, only a relay that sends heartbeats can be found silent.
  let expectsLife = showsPings
  let retry: Disposable | undefined
  let look: Disposable | undefined
  const pending = new Map<string, { settle: (outcome: Outcome) => void; sentAt: number }>()
  const goodbyes: (() => void)[] = []

  const address = (): string => {
    const iat = Math.floor(clock.now() / 1000)
    const target = new URL(base)
    // A fresh token each time: a device may sleep for longer than one is good for.
    target.searchParams.set(
      'auth',
      signJwt({ iss: key.did, sub, aud: base.origin, iat, exp: iat + DAY_S }, key),
    )
    if (projectId !== undefined) target.searchParams.set('projectId', projectId)
    target.searchParams.set('ua', 'belfry-1')
    target.searchParams.set('useOnCloseEvent', 'true')
    if (share) target.searchParams.set('share', '1')
    return target.href
  }

  const end = (error: ProtocolError) => {
    if (ended) return
    ended = true
    retry?.[Symbol.dispose]()
    events.ended(error)
  }

  const backOff = () => {
    const [a = 0, b = 0, c = 0] = randomBytes(3)
    const fraction = (a * 65_536 + b * 256 + c) / 16_777_216
    const ceiling = Math.min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** Math.min(attempts, 20))
    attempts++
    retry = clock.after(fraction * ceiling, connect)
  }

  const lose = (code: number, reason: string) => {
    look?.[Symbol.dispose]()
    socket = undefined
    if (connected) {
      connected = false
      meter.count('relay_client_disconnects_total')
      if (clock.now() - openedAt >= SETTLED_AFTER) attempts = 0
    }
    const unanswered = [...pending.values()]
    pending.clear()
    for (const { settle } of unanswered) settle({ kind: 'lost' })
    for (const said of goodbyes.splice(0)) said()
    events.lost()
    if (ended) return
    if (code === NOT_LET_IN) {
      log.error({ reason }, 'The relay does not let this client in')
      return end(new ProtocolError('unauthenticated', reason || undefined))
    }
    log.debug({ code, reason, attempts }, 'The connection to the relay ended; it is opened again')
    if (attempts === WORTH_TELLING) {
      log.warn({ relay: base.origin, reason }, 'The relay does not answer; trying again')
    }
    backOff()
  }

  const watch = (drop: (reason: string) => void) => {
    look = clock.after(LOOK_EVERY, () => {
      const now = clock.now()
      if (!connected && now - lastSeen >= OPEN_TIMEOUT) return drop('did not open')
      if (connected && expectsLife && now - lastSeen >= SILENT_FOR) return drop('silent')
      // Answers come about in the order of the questions, so the first is the oldest.
      const [oldest] = pending.values()
      if (oldest && now - oldest.sentAt >= REQUEST_TIMEOUT) return drop('a request was not answered')
      watch(drop)
    })
  }

  const receive = (text: string, current: Socket) => {
    const message = parseRpc(text)
    if (message.kind === 'result' || message.kind === 'failure') {
      const waiting = pending.get(message.idText)
      if (!waiting) {
        // Its id is null when it is about something that the relay could not read.
        if (message.kind === 'failure') log.warn({ code: message.code }, 'The relay reported an error')
        return
      }
      pending.delete(message.idText)
      // It does some work at least.
      attempts = Math.min(attempts, WORKING_ATTEMPTS)
      if (message.kind === 'result') return waiting.settle({ kind: 'answered', result: message.result })
      const error = fromRpcFailure(message.code, message.message)
      return waiting.settle({ kind: 'refused', error, unknownMethod: error.code === 'unknown_method' })
    }
    if (message.method === 'irn_heartbeat') {
      expectsLife = true
      return
    }
    const { idText } = message
    events.asked(message.method, message.params, (result) => {
      if (idText !== undefined && socket === current) current.send(rpcResult(idText, result))
    })
  }

  const connect = () => {
    if (ended) return
    lastSeen = clock.now()
    expectsLife = showsPings
    let over = false
    const closed = (code: number, reason: string) => {
      if (over) return
      over = true
      lose(code, reason)
    }
    const current = openSocket(address(), {
      opened() {
        if (over) return
        connected = true
        openedAt = lastSeen = clock.now()
        meter.count('relay_client_connects_total')
        events.opened()
      },
      received(text) {
        if (over) return
        lastSeen = clock.now()
        try {
          receive(text, current)
        } catch (error) {
          log.warn({ err: error }, 'The relay sent a frame that could not be read')
        }
      },
      alive() {
        lastSeen = clock.now()
      },
      closed,
    })
    socket = current
    watch((reason) => {
      current.drop()
      closed(CLOSED_ABNORMALLY, reason)
    })
  }

  soon(connect)

  return {
    get connected() {
      return connected
    },
    request(method, params, settle) {
      if (!connected || !socket) return soon(() => settle({ kind: 'lost' }))
      const id = nextId()
      pending.set(String(id), { settle, sentAt: clock.now() })
      socket.send(rpcRequest(id, method, params))
    },
    async close() {
      end(new ProtocolError('unavailable', 'the relay client was closed'))
      const leaving = socket
      if (!leaving) return
      const said = new Promise<void>((resolve) => goodbyes.push(resolve))
      leaving.close(1000, 'bye')
      const patience = clock.after(GOODBYE, () => leaving.drop())
      await said
      patience[Symbol.dispose]()
    },
  }
}
