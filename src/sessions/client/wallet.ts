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
import { type ChannelDeps, OPEN_TIMEOUT_MS } from './channel.ts'
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

const SESSION_TIMEOUT_MS = 30 * 60_000
/** After the answer, so that it has time to arrive: the other end closes when it has it. */
const LINGER_MS = 1_000

/** Throws `bad_params` for a link that cannot be used. */
export const walletSession = (deps: ChannelDeps, options: WalletSessionOptions): WalletSession => {
  const { approve, methods, timeout = SESSION_TIMEOUT_MS, projectId, signal } = options
  const { clock, log } = deps
  const link = typeof options.link === 'string' ? parseSessionLink(options.link) : options.link
  const done = deferred<SessionOutcome>()
  const left = deferred<void>()
  // Who only disposes of the session need not look at it.
  done.promise.catch(() => {})
  let isOver = false

  const dispatcher = createDispatcher({
    methods: { ...methods, ping },
    approve,
    now: clock.now,
    failed: (err, method) => log.warn({ err, method }, 'A method of a session failed'),
  })

  const answer = async ({ reply, ended }: Dispatched): Promise<void> => {
    // A person who took their time may have been waited for by nobody.
    if (reply !== undefined && !isOver) await channel.send(reply)
    if (!ended || isOver) return
    isOver = true
    done.resolve(ended)
    const linger = clock.after(LINGER_MS, left.resolve)
    await left.promise
    linger[Symbol.dispose]()
    await close()
  }

  const channel = openChannel(
    deps,
    { link, role: 'wallet', projectId },
    {
      opened: () => opening[Symbol.dispose](),
      ready() {},
      received(text) {
        dispatcher.receive(text).then(answer).catch(fail)
      },
      closed(reason) {
        left.resolve()
        fail(reason)
      },
    },
  )

  const close = async (): Promise<void> => {
    bound[Symbol.dispose]()
    opening[Symbol.dispose]()
    signal?.removeEventListener('abort', aborted)
    await channel.close()
  }
  function fail(error: unknown): void {
    isOver = true
    done.reject(error)
    void close()
  }
  const opening = clock.after(OPEN_TIMEOUT_MS, () =>
    fail(new ProtocolError('unavailable', 'the relay did not answer')),
  )
  const aborted = () => fail(new ProtocolError('unavailable', 'the session was ended'))
  const bound = clock.after(timeout, () =>
    fail(new ProtocolError('unavailable', 'the session took too long')),
  )
  if (signal?.aborted) aborted()
  else signal?.addEventListener('abort', aborted, { once: true })

  return {
    done: done.promise,
    async [Symbol.asyncDispose]() {
      isOver = true
      left.resolve()
      done.reject(new ProtocolError('unavailable', 'the session was ended'))
      await close()
    },
  }
}
