import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Connection, Outcome } from './connection.ts'
import type { RelayRpc } from './rpc.ts'
import type { WatchKeeper } from './webhook-registration.ts'

const FIRST_PAUSE_MS = 500
const MAX_PAUSE_MS = 30_000

/** The relay, or the way to it, is at fault; it may be better later. */
const TEMPORARY: ReadonlySet<string> = new Set([
  'unavailable',
  'internal',
  'rate_limited',
  'unauthenticated',
  'forbidden',
])

export interface HttpConnection extends Pick<Connection, 'connected' | 'request'> {
  /** Registers the watch, until the relay takes it. Called once. */
  open(): void
  /** One request after the other, so that what is published keeps its order. Rejects `unavailable` when the relay is lost. */
  call(method: string, params: unknown): Promise<unknown>
  /** Resolves when all requests so far are answered. Never rejects. */
  answered(): Promise<void>
  /** Ends what the relay has not answered. */
  cut(): void
  /** Resolves when nothing runs any more. */
  ended(): Promise<void>
}

/** The relay by requests over HTTP: connected as long as it answers and has the watch. */
export const createHttpConnection = (
  deps: { rpc: RelayRpc; clock: Clock; log: Log; keeper: WatchKeeper },
  signal: AbortSignal,
  events: { opened(): void; lost(): void; closed: () => ProtocolError },
): HttpConnection => {
  const { rpc, log } = deps
  const cutting = new AbortController()
  let isConnected = false
  let connecting: Promise<void> | undefined
  let lastAnswer: Promise<unknown> = Promise.resolve()

  const connect = async (): Promise<void> => {
    await registerWatch(deps, signal)
    if (signal.aborted) return
    isConnected = true
    events.opened()
  }

  const lose = (err: unknown) => {
    if (!isConnected) return
    isConnected = false
    log.warn({ err }, 'The relay does not answer; trying again')
    events.lost()
    connecting = connect()
  }

  const callNow = async (method: string, params: unknown): Promise<unknown> => {
    if (!isConnected) throw events.closed()
    try {
      return await rpc.call(method, params, cutting.signal)
    } catch (error) {
      if (error instanceof ProtocolError && !TEMPORARY.has(error.code)) throw error
      lose(error)
      throw new ProtocolError('unavailable', undefined, { cause: error })
    }
  }

  const call = (method: string, params: unknown): Promise<unknown> => {
    const answer = lastAnswer.then(() => callNow(method, params))
    lastAnswer = answer.catch(() => {})
    return answer
  }

  return {
    get connected() {
      return isConnected
    },
    open() {
      connecting = connect()
    },
    call,
    request(method, params, complete) {
      call(method, params).then(
        (result) => complete({ kind: 'answered', result }),
        (error: ProtocolError) => complete(failedOutcome(error)),
      )
    },
    answered: async () => {
      await lastAnswer
    },
    cut() {
      isConnected = false
      cutting.abort()
    },
    async ended() {
      await connecting
      await lastAnswer
    },
  }
}

const failedOutcome = (error: ProtocolError): Outcome =>
  error.code === 'unavailable'
    ? { kind: 'lost' }
    : { kind: 'refused', error, unknownMethod: error.code === 'unknown_method' }

/** Returns when the relay has the watch, or the signal is aborted. */
const registerWatch = async (
  { keeper, clock, log }: { keeper: WatchKeeper; clock: Clock; log: Log },
  signal: AbortSignal,
): Promise<void> => {
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      await keeper.register()
      return
    } catch (err) {
      log.warn({ err }, 'The relay does not take the watch; trying again')
      await pause(clock, pauseMs, signal)
    }
  }
}
