/**
 * The dapp's side of a session: gives out a link, makes one call, takes its answer.
 *
 *     const session = await dappSession(deps, { relay: 'https://belfry.example.com' })
 *     show(session.link)
 *     const result = await session.request('/v1/auth/pk', { origin, b64Challenge })
 */
import * as z from 'zod'
import { crypto } from '#crypto'
import { type FetchDeps, fetchJson } from '../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRpc, payloadId, type RpcFailure } from '../../protocol/jsonrpc.ts'
import { formatSessionLink, type SessionLink } from '../link.ts'
import { SESSION_ERRORS, SessionError } from '../wallet/method.ts'
import { type ChannelDeps, OPEN_TIMEOUT_MS } from './channel.ts'
import { deferred } from './deferred.ts'
import { openChannel } from './open.ts'
import { addressOf } from './socket-channel.ts'

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
  /** For the wallet, and nobody else: it holds the key. */
  readonly link: string
  /** Resolves when the wallet is there; over a relay of messages at once. Rejects when it will not come. */
  readonly ready: Promise<void>
  /**
   * Calls the wallet and resolves with its result, which is the wallet's word and needs to be verified. Rejects with
   * `SessionError` for what the wallet answered: after −32600, −32601 and −32602 another call may be made, else the
   * session is over; with `ProtocolError` when no answer came. One call at a time.
   */
  request(method: string, params?: unknown, options?: { timeout?: number }): Promise<unknown>
}

const SESSION_TIMEOUT_MS = 30 * 60_000

const created = z.object({ sessionId: z.string().regex(/^[\w-]{1,128}$/) })

const newLink = async (deps: FetchDeps, { relay, kind }: DappSessionOptions): Promise<SessionLink> => {
  const key = crypto.randomBytes(32)
  if (kind === 'belfry-relay') return { kind, relay, key }
  // Before anything is asked of a relay that no wallet would go to.
  formatSessionLink({ kind: 'belfry-relay', relay, key })
  const { origin, path } = addressOf(relay)
  const { status, body } = await fetchJson(deps, `${origin}${path}/session/create`, { method: 'POST' })
  const answer = created.safeParse(body)
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
const RETRYABLE_CODES = new Set<number>([-32600, -32601, -32602])

/** Rejects with `bad_params` for a relay that cannot be used, `unavailable` for one that does not answer. */
export const dappSession = async (
  deps: ChannelDeps & FetchDeps,
  options: DappSessionOptions,
): Promise<DappSession> => {
  const { timeout = SESSION_TIMEOUT_MS, projectId, signal } = options
  const { clock } = deps
  const link = await newLink(deps, options)
  const opened = deferred<void>()
  const ready = deferred<void>()
  // Who makes a call need not look at it.
  ready.promise.catch(() => {})
  let pending:
    | { idText: string; settle: (outcome: { result: unknown } | { error: Error }) => void }
    | undefined
  let over: ProtocolError | undefined

  const finish = (reason: ProtocolError): void => {
    if (over) return
    over = reason
    opened.reject(reason)
    ready.reject(reason)
    pending?.settle({ error: reason })
    bound[Symbol.dispose]()
    signal?.removeEventListener('abort', aborted)
    void channel.close()
  }

  const received = (text: string): void => {
    let message: ReturnType<typeof parseRpc>
    try {
      message = parseRpc(text)
    } catch {
      return
    }
    if (!pending || (message.kind !== 'result' && message.kind !== 'failure')) return
    // `null`: the wallet could not tell which request it was, and there is one.
    const isOurs = message.idText === pending.idText
    if (message.kind === 'result' && isOurs) {
      pending.settle({ result: message.result })
      finish(new ProtocolError('unavailable', 'the session has served its call'))
    } else if (message.kind === 'failure' && (isOurs || message.idText === 'null')) {
      const error = failureOf(message)
      pending.settle({ error })
      if (!RETRYABLE_CODES.has(error.code))
        finish(new ProtocolError('unavailable', 'the session has served its call'))
    }
  }

  const channel = openChannel(
    deps,
    { link, role: 'dapp', projectId },
    { opened: opened.resolve, ready: ready.resolve, received, closed: finish },
  )
  const aborted = () => finish(new ProtocolError('unavailable', 'the session was ended'))
  const bound = clock.after(timeout, () =>
    finish(new ProtocolError('unavailable', 'the session took too long')),
  )
  if (signal?.aborted) aborted()
  else signal?.addEventListener('abort', aborted, { once: true })
  // A wallet that came before the relay knows of us would be sent away.
  const opening = clock.after(OPEN_TIMEOUT_MS, () =>
    finish(new ProtocolError('unavailable', 'the relay did not answer')),
  )
  try {
    await opened.promise
  } finally {
    opening[Symbol.dispose]()
  }

  return {
    link: formatSessionLink(link),
    ready: ready.promise,
    async request(method, params, { timeout: patience } = {}) {
      await ready.promise
      if (over) throw over
      if (pending) throw new ProtocolError('conflict', 'a call is pending')
      const idText = `${payloadId(clock.now())}`
      const answer = deferred<unknown>()
      pending = {
        idText,
        settle(outcome) {
          pending = undefined
          if ('error' in outcome) answer.reject(outcome.error)
          else answer.resolve(outcome.result)
        },
      }
      const late =
        patience === undefined
          ? undefined
          : clock.after(patience, () =>
              finish(new ProtocolError('unavailable', 'the wallet did not answer in time')),
            )
      channel
        .send(requestText(idText, method, params))
        .catch((error: unknown) =>
          pending?.settle({ error: error instanceof Error ? error : new Error(String(error)) }),
        )
      try {
        return await answer.promise
      } finally {
        late?.[Symbol.dispose]()
      }
    },
    async [Symbol.asyncDispose]() {
      aborted()
      await channel.close()
    },
  }
}
