/**
 * The relay client's connection: one socket at a time, opened again whenever it ends, and the JSON-RPC on it.
 *
 * It keeps nothing over a reconnect: a request that is unanswered when the socket ends is `lost`, and its caller decides
 * whether to make it again.
 */
import { soon } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import { NOT_LET_IN, type Socket } from '../../platform/runtime/socket.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { toHex } from '../../protocol/bytes.ts'
import { CLIENT_TOKEN_LIFE_S } from '../../protocol/client-token.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { type parseRpc, rpcRequest, rpcResult } from '../../protocol/jsonrpc.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { pushed } from '../../protocol/relay/delivered.ts'
import { partsOfUrl } from '../../protocol/urls.ts'
import { createBackOff } from './back-off.ts'
import { openLink } from './link.ts'
import { createPendingRequests, type Outcome } from './pending-requests.ts'
import type { RelayMessage } from './receiving.ts'

export type { Outcome } from './pending-requests.ts'

export interface ConnectionDeps {
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

type RpcMessage = ReturnType<typeof parseRpc>

interface ConnectionOptions {
  url: string
  key: SigningKey
  projectId?: string
  share?: boolean
}

export interface ConnectionEvents {
  /** A new connection is open; also called for the first. */
  opened(): void
  /** After every unanswered request was reported lost, or when an attempt to connect failed. */
  lost(): void
  /** The relay pushes a message; `id` where it is known. `acknowledge` does nothing once this connection has ended. */
  pushed(message: RelayMessage, acknowledge: () => void, id?: string): void
  /** There will be no connection any more. */
  ended(error: ProtocolError): void
}

export interface Connection {
  readonly connected: boolean
  /** `complete` is called exactly once, later; `lost` when there is no connection. */
  request(method: string, params: unknown, complete: (outcome: Outcome) => void): void
  /** Resolves when the socket is closed, or after a second. */
  close(): Promise<void>
}

/** A connection that ended before this age counts as a failed attempt, so that a relay that closes at once is left alone. */
const STABLE_AFTER_MS = 5_000
const CLOSE_TIMEOUT_MS = 1_000
/** Failed attempts in a row until a warning is logged: an address may be wrong. */
const WARN_AFTER_ATTEMPTS = 3

export const createConnection = (
  deps: ConnectionDeps,
  options: ConnectionOptions,
  events: ConnectionEvents,
): Connection => {
  const { clock, meter, randomBytes } = deps
  const addressOf = createAddress(deps, options)
  const backOff = createBackOff(randomBytes)
  const requests = createPendingRequests(deps)
  let socket: Socket | undefined
  let openedAt: number | undefined
  let hasEnded = false
  let retry: Disposable | undefined
  const closeWaiters: (() => void)[] = []
  const end = (error: ProtocolError) => {
    if (hasEnded) return
    hasEnded = true
    retry?.[Symbol.dispose]()
    events.ended(error)
  }

  const lose = (code: number, reason: string) => {
    socket = undefined
    if (openedAt !== undefined) {
      meter.count('relay_client_disconnects_total')
      if (clock.now() - openedAt >= STABLE_AFTER_MS) backOff.reset()
      openedAt = undefined
    }
    requests.loseAll()
    for (const resolve of closeWaiters.splice(0)) resolve()
    events.lost()
    if (hasEnded) return
    const refusal = logLoss(deps.log, options.url, { code, reason, attempts: backOff.attempts })
    if (refusal) end(refusal)
    else retry = clock.after(backOff.nextPauseMs(), connect)
  }

  const connect = () => {
    if (hasEnded) return
    const current = openLink(deps, addressOf(), requests.oldestSentAt, {
      opened() {
        openedAt = clock.now()
        meter.count('relay_client_connects_total')
        events.opened()
      },
      received(message) {
        if (message.kind === 'result' || message.kind === 'failure')
          requests.answered(message, backOff.worked)
        else takePush(events, message, (frame) => socket === current && current.send(frame))
      },
      closed: lose,
    })
    socket = current
  }

  soon(connect)
  return {
    get connected() {
      return openedAt !== undefined
    },
    request(method, params, complete) {
      if (openedAt === undefined || !socket) return soon(() => complete({ kind: 'lost' }))
      socket.send(rpcRequest(requests.add(complete), method, params))
    },
    async close() {
      end(new ProtocolError('unavailable', 'the relay client was closed'))
      if (socket) await closeSocket(clock, socket, new Promise((resolve) => closeWaiters.push(resolve)))
    },
  }
}

/** The relay's URL with a fresh token each time: a device may sleep for longer than one is good for. */
const createAddress = (
  { clock, randomBytes }: Pick<ConnectionDeps, 'clock' | 'randomBytes'>,
  { url, key, projectId, share }: ConnectionOptions,
): (() => string) => {
  const { credentials, origin, path, query } = partsOfUrl(url.replace(/^http/i, 'ws'))
  const place = origin.replace('//', `//${credentials}`) + path
  const given = query === '' ? [] : [query]
  // The same over reconnects, as published clients do it.
  const sub = toHex(randomBytes(32))
  return () => {
    const iat = Math.floor(clock.now() / 1000)
    const token = signJwt({ iss: key.did, sub, aud: origin, iat, exp: iat + CLIENT_TOKEN_LIFE_S }, key)
    const project = projectId === undefined ? [] : [`projectId=${encodeURIComponent(projectId)}`]
    const said = [`auth=${token}`, ...project, 'ua=belfry-1', 'useOnCloseEvent=true']
    return `${place}?${[...given, ...said, ...(share ? ['share=1'] : [])].join('&')}`
  }
}

/** Logs that a connection ended. Returns the error when the relay refuses this client, so that there is no retry. */
const logLoss = (
  log: Log,
  url: string,
  { code, reason, attempts }: { code: number; reason: string; attempts: number },
): ProtocolError | undefined => {
  if (code === NOT_LET_IN) {
    log.error({ reason }, 'The relay does not let this client in')
    return new ProtocolError('unauthenticated', reason || undefined)
  }
  log.debug({ code, reason, attempts }, 'The connection to the relay ended; it is opened again')
  if (attempts === WARN_AFTER_ATTEMPTS) {
    const relay = partsOfUrl(url.replace(/^http/i, 'ws')).origin
    log.warn({ relay, reason }, 'The relay does not answer; trying again')
  }
  return undefined
}

/** Passes on a pushed message; the relay asks nothing else. Only a request is answered. */
const takePush = (
  events: Pick<ConnectionEvents, 'pushed'>,
  message: RpcMessage & { kind: 'request' | 'notification' },
  send: (frame: string) => unknown,
): void => {
  if (message.method !== 'irn_subscription') return
  const idText = message.kind === 'request' ? message.idText : undefined
  events.pushed(pushed.parse(message.params).data, () => {
    if (idText !== undefined) send(rpcResult(idText, true))
  })
}

const closeSocket = async (clock: Clock, socket: Socket, closed: Promise<void>): Promise<void> => {
  socket.close(1000, 'bye')
  const timeout = clock.after(CLOSE_TIMEOUT_MS, () => socket.drop())
  await closed
  timeout[Symbol.dispose]()
}
