/**
 * The wallet's side of a session: takes a link, answers one call, and leaves.
 *
 *     const session = walletSession(deps, { link, approve: (request) => ask(request), methods })
 *     const { method, code } = await session.done
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { parseSessionLink, type SessionLink } from '../link.ts'
import { ping } from '../methods/ping.ts'
import { createDispatcher, type Dispatched } from '../wallet/dispatcher.ts'
import type { Approve, SessionMethods } from '../wallet/method.ts'
import { type ChannelDeps, SESSION_TIMEOUT_MS, startSessionTimers } from './channel.ts'
import { deferred } from './deferred.ts'
import { openChannel } from './open.ts'

export interface WalletSessionOptions {
  /** As it was opened or scanned. */
  link: string | SessionLink
  approve: Approve
  /** Beside `ping`. */
  methods: SessionMethods
  /** How long the session may last, ms; default half an hour. */
  timeout?: number
  /** Where a relay lets only some projects in. */
  projectId?: string
  /** Ends the session. */
  signal?: AbortSignal
}

/** The call that the session was for; `code` is that of the error it was answered with. */
export interface SessionOutcome {
  method: string
  code?: number
}

export interface WalletSession extends AsyncDisposable {
  /** Resolves when the call is answered; rejects with `ProtocolError` when the session ended before. */
  readonly done: Promise<SessionOutcome>
}

/** How long the channel stays open after the answer: the other end closes it when it has the answer. */
const LINGER_MS = 1_000

/** Throws `bad_params` for a link that cannot be used. */
export const walletSession = (deps: ChannelDeps, options: WalletSessionOptions): WalletSession => {
  const { approve, methods, timeout: timeoutMs = SESSION_TIMEOUT_MS, projectId, signal } = options
  const { clock, log } = deps
  const link = typeof options.link === 'string' ? parseSessionLink(options.link) : options.link
  const done = deferred<SessionOutcome>()
  const closed = deferred<void>()
  // A wallet that only disposes of the session need not handle its rejection.
  done.promise.catch(() => {})
  let isOver = false

  const dispatcher = createDispatcher({
    methods: { ...methods, ping },
    approve,
    now: clock.now,
    failed: (err, method) => log.warn({ err, method }, 'A method of a session failed'),
  })

  const answer = async ({ reply, ended }: Dispatched): Promise<void> => {
    // The session may have ended while the person was asked.
    if (reply !== undefined && !isOver) await channel.send(reply)
    if (!ended || isOver) return
    isOver = true
    done.resolve(ended)
    const lingerTimer = clock.after(LINGER_MS, closed.resolve)
    await closed.promise
    lingerTimer[Symbol.dispose]()
    await close()
  }
  const fail = (error: unknown): void => {
    isOver = true
    done.reject(error)
    void close()
  }

  const channel = openChannel(
    deps,
    { link, role: 'wallet', projectId },
    {
      opened: () => timers.opened(),
      ready() {},
      received(text) {
        dispatcher.receive(text).then(answer).catch(fail)
      },
      closed(reason) {
        closed.resolve()
        fail(reason)
      },
    },
  )
  const timers = startSessionTimers(deps, { timeoutMs, signal }, fail)
  const close = async (): Promise<void> => {
    timers[Symbol.dispose]()
    await channel.close()
  }
  const ended = () => new ProtocolError('unavailable', 'the session was ended')
  if (signal?.aborted) fail(ended())

  return {
    done: done.promise,
    async [Symbol.asyncDispose]() {
      isOver = true
      closed.resolve()
      done.reject(ended())
      await close()
    },
  }
}
