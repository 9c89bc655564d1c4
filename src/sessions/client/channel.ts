/**
 * What carries a session: two ends that share a key, and an untrusted relay between them.
 *
 * | | carmentis-relay | belfry-relay |
 * |---|---|---|
 * | ready | both ends are connected | this end is connected; the relay stores messages until the other is |
 * | closed | also when the other end has left | when the relay refuses this end |
 *
 * A relay may drop and delay messages. It cannot forge one, and each message counts once in a session, whichever end it
 * came from. So replaying a message, or returning it to its sender, has no effect.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'

export interface ChannelDeps {
  clock: Clock
  log: Log
  meter: Meter
}

/** Called later, never from inside the call that opened the channel. */
export interface ChannelEvents {
  /** The relay knows this end, so the other end may connect. */
  opened(): void
  ready(): void
  /** In order. */
  received(text: string): void
  /** Exactly once, also after `close`; nothing comes after it. */
  closed(reason: ProtocolError): void
}

export interface SessionChannel {
  /** Rejects when it is closed before the relay has it. */
  send(text: string): Promise<void>
  /** Lets what was sent go out first. */
  close(): Promise<void>
}

/** How long a relay may take until it knows an end. */
export const OPEN_TIMEOUT_MS = 15_000
/** The longest session, and what both ends wait for by default. */
export const SESSION_TIMEOUT_MS = 30 * 60_000

export type SessionRole = 'wallet' | 'dapp'

/** Messages of a session that are opened, junk included. */
const MAX_MESSAGES = 1_000

export interface Sealing {
  seal(text: string): Promise<string>
  open(payload: string): Promise<string>
}

/** Opens each message once, and no message that this end has sealed. */
export const createReplayGuard = ({ seal, open }: Sealing, log: Log) => {
  const seen = new Set<string>()
  let opened = 0
  return {
    async seal(text: string): Promise<string> {
      const payload = await seal(text)
      seen.add(payload)
      return payload
    },
    /** Undefined for a message that does not count. Throws `rate_limited` for a relay that sends too many. */
    async open(payload: unknown): Promise<string | undefined> {
      opened++
      if (opened > MAX_MESSAGES) throw new ProtocolError('rate_limited', 'the relay sends too much')
      // One text has one spelling in strict base64, so the same message is the same text.
      if (typeof payload !== 'string' || seen.has(payload)) return undefined
      try {
        const text = await open(payload)
        seen.add(payload)
        return text
      } catch (err) {
        log.debug({ err }, 'What came in a session was not from its other end')
        return undefined
      }
    },
  }
}

/** Runs what it is given one after the other. */
export const createSerialQueue = (failed: (error: unknown) => void) => {
  let last = Promise.resolve()
  return (work: () => Promise<void>): Promise<void> => {
    last = last.then(work).catch(failed)
    return last
  }
}

/** The timers and the signal by which an end gives up; `fail` hears the first reason. Disposing stops all of them. */
export interface SessionTimers extends Disposable {
  /** The relay knows this end: the time to open has not run out. */
  opened(): void
}

export const startSessionTimers = (
  { clock }: Pick<ChannelDeps, 'clock'>,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal | undefined },
  fail: (reason: ProtocolError) => void,
): SessionTimers => {
  const unavailable = (detail: string) => fail(new ProtocolError('unavailable', detail))
  const openTimer = clock.after(OPEN_TIMEOUT_MS, () => unavailable('the relay did not answer'))
  const sessionTimer = clock.after(timeoutMs, () => unavailable('the session took too long'))
  const aborted = () => unavailable('the session was ended')
  signal?.addEventListener('abort', aborted, { once: true })
  return {
    opened: () => openTimer[Symbol.dispose](),
    [Symbol.dispose]() {
      openTimer[Symbol.dispose]()
      sessionTimer[Symbol.dispose]()
      signal?.removeEventListener('abort', aborted)
    },
  }
}
