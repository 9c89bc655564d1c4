/**
 * The dapp's side of a session: gives out a link, makes one call, and resolves with its result.
 *
 *     const session = await dappSession(deps, { relay: 'https://belfry.example.com' })
 *     show(session.link)
 *     const result = await session.request('/v1/auth/pk', { origin, b64Challenge })
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { type FetchDeps, fetchJson } from '../../platform/net/fetch-json.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRpc, payloadId, type RpcFailure } from '../../protocol/jsonrpc.ts'
import { formatSessionLink, type SessionLink } from '../link.ts'
import { RETRYABLE_CODES, SESSION_ERRORS, SessionError } from '../wallet/method.ts'
import { type ChannelDeps, SESSION_TIMEOUT_MS, type SessionChannel, startSessionTimers } from './channel.ts'
import { type Deferred, deferred } from './deferred.ts'
import { openChannel } from './open.ts'
import { relayAddressOf } from './socket-channel.ts'

export interface DappSessionOptions {
  /** Where the relay is. */
  relay: string
  /** Default: a session relay, which is what published wallets know. */
  kind?: SessionLink['kind']
  /** How long the session may last, ms; default half an hour. */
  timeout?: number
  /** Where a relay lets only some projects in. */
  projectId?: string
  /** Ends the session. */
  signal?: AbortSignal
}

export interface DappSession extends AsyncDisposable {
  /** For the wallet alone: it has the key. */
  readonly link: string
  /** Resolves when the wallet is connected, over a relay of messages at once. Rejects when the session ends before. */
  readonly ready: Promise<void>
  /**
   * Calls the wallet and resolves with its result, which is the wallet's word and needs to be verified. Rejects with
   * `SessionError` for what the wallet answered: after −32600, −32601 and −32602 another call may be made, else the
   * session is over; with `ProtocolError` when no answer came. One call at a time.
   */
  request(method: string, params?: unknown, options?: { timeout?: number }): Promise<unknown>
}

const createdSession = z.object({ sessionId: z.string().regex(/^[\w-]{1,128}$/) })

const newLink = async (deps: FetchDeps, { relay, kind }: DappSessionOptions): Promise<SessionLink> => {
  const key = crypto.randomBytes(32)
  if (kind === 'belfry-relay') return { kind, relay, key }
  // Throws for a relay that no wallet would use, before any request to it.
  formatSessionLink({ kind: 'belfry-relay', relay, key })
  const { origin, path } = relayAddressOf(relay)
  const { status, body } = await fetchJson(deps, `${origin}${path}/session/create`, { method: 'POST' })
  const answer = createdSession.safeParse(body)
  if (status !== 201 || !answer.success) {
    throw new ProtocolError('unavailable', `the relay makes no session (${status})`)
  }
  return { kind: 'carmentis-relay', relay, key, sessionId: answer.data.sessionId }
}

/** JSON-RPC leaves out parameters that are not there. */
const requestText = (idText: string, method: string, params: unknown): string => {
  const rest = params === undefined ? '' : `,"params":${JSON.stringify(params)}`
  return `{"jsonrpc":"2.0","id":${idText},"method":${JSON.stringify(method)}${rest}}`
}

const failureOf = ({ code, message }: RpcFailure): SessionError => {
  for (const [name, known] of Object.entries(SESSION_ERRORS)) {
    if (known.code === code && isName(name)) return new SessionError(name, message)
  }
  return new SessionError('internal', `${message} (${code})`)
}
const isName = (name: string): name is keyof typeof SESSION_ERRORS => Object.hasOwn(SESSION_ERRORS, name)

/** The call that waits for the wallet's answer: one at a time. */
interface PendingCall {
  isOpen(): boolean
  /** Resolves with the result, rejects with what the wallet answered or with what ended the call. */
  open(idText: string): Promise<unknown>
  fail(error: Error): void
  /** Completes the call if the text answers it. Returns whether that ended the session. */
  receive(text: string): boolean
}

const createPendingCall = (): PendingCall => {
  let pending: { idText: string; answer: Deferred<unknown> } | undefined
  const take = (): Deferred<unknown> | undefined => {
    const call = pending
    pending = undefined
    return call?.answer
  }
  return {
    isOpen: () => pending !== undefined,
    open(idText) {
      const answer = deferred<unknown>()
      pending = { idText, answer }
      return answer.promise
    },
    fail: (error) => take()?.reject(error),
    receive(text) {
      let message: ReturnType<typeof parseRpc>
      try {
        message = parseRpc(text)
      } catch {
        return false
      }
      if (!pending || (message.kind !== 'result' && message.kind !== 'failure')) return false
      const isOurs = message.idText === pending.idText
      if (message.kind === 'result') {
        if (!isOurs) return false
        take()?.resolve(message.result)
        return true
      }
      // `null`: the wallet could not read the id of the request, and there is only one.
      if (!isOurs && message.idText !== 'null') return false
      const error = failureOf(message)
      take()?.reject(error)
      return !RETRYABLE_CODES.has(error.code)
    },
  }
}

/** Makes one call. `late` is to end the session, which rejects the call. */
const callWallet = async (
  { clock, channel, call }: { clock: Clock; channel: SessionChannel; call: PendingCall },
  { method, params, timeoutMs }: { method: string; params: unknown; timeoutMs: number | undefined },
  late: () => void,
): Promise<unknown> => {
  const idText = `${payloadId(clock.now())}`
  const answer = call.open(idText)
  const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, late)
  channel
    .send(requestText(idText, method, params))
    .catch((error: unknown) => call.fail(error instanceof Error ? error : new Error(String(error))))
  try {
    return await answer
  } finally {
    timer?.[Symbol.dispose]()
  }
}

/** Rejects with `bad_params` for a relay that cannot be used, `unavailable` for one that does not answer. */
export const dappSession = async (
  deps: ChannelDeps & FetchDeps,
  options: DappSessionOptions,
): Promise<DappSession> => {
  const { timeout: timeoutMs = SESSION_TIMEOUT_MS, projectId, signal } = options
  const { clock } = deps
  const link = await newLink(deps, options)
  const opened = deferred<void>()
  const ready = deferred<void>()
  // A dapp that makes a call need not wait for it.
  ready.promise.catch(() => {})
  const call = createPendingCall()
  let closedBy: ProtocolError | undefined

  const finish = (reason: ProtocolError): void => {
    if (closedBy) return
    closedBy = reason
    opened.reject(reason)
    ready.reject(reason)
    call.fail(reason)
    timers[Symbol.dispose]()
    void channel.close()
  }
  const unavailable = (detail: string) => finish(new ProtocolError('unavailable', detail))

  const channel = openChannel(
    deps,
    { link, role: 'dapp', projectId },
    {
      opened: opened.resolve,
      ready: ready.resolve,
      received(text) {
        if (call.receive(text)) unavailable('the session has served its call')
      },
      closed: finish,
    },
  )
  const timers = startSessionTimers(deps, { timeoutMs, signal }, finish)
  if (signal?.aborted) unavailable('the session was ended')
  // The link is given out when the relay knows this end: it would refuse a wallet that comes earlier.
  try {
    await opened.promise
  } finally {
    timers.opened()
  }

  return {
    link: formatSessionLink(link),
    ready: ready.promise,
    async request(method, params, { timeout: callTimeoutMs } = {}) {
      await ready.promise
      if (closedBy) throw closedBy
      if (call.isOpen()) throw new ProtocolError('conflict', 'a call is pending')
      const late = () => unavailable('the wallet did not answer in time')
      return callWallet({ clock, channel, call }, { method, params, timeoutMs: callTimeoutMs }, late)
    },
    async [Symbol.asyncDispose]() {
      unavailable('the session was ended')
      await channel.close()
    },
  }
}
