/**
 * What carries a session: two ends that share a key, and a relay between them that is trusted with nothing.
 *
 * | | carmentis-relay | belfry-relay |
 * |---|---|---|
 * | ready | both are there | this end is there; the relay keeps what is said until the other is |
 * | closed | also when the other has left | when the relay lets nobody in |
 *
 * A relay may drop and delay. It cannot make up anything; and each message counts once in a session, whichever end it
 * came from, so that to replay one, or to send it back to where it came from, achieves nothing.
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
  /** The relay knows this end: the other may come. */
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

/** How long a relay may take until it knows an end, ms. */
export const OPEN_TIMEOUT_MS = 15_000

export type SessionRole = 'wallet' | 'dapp'

/** Messages of a session that are looked at, junk included. */
const MAX_MESSAGES = 1_000

export interface Sealing {
  seal(text: string): Promise<string>
  open(payload: string): Promise<string>
}

/** Opens each message once, and none that was sealed here. */
export const sealedOnce = ({ seal, open }: Sealing, log: Log) => {
  const seen = new Set<string>()
  let looked = 0
  return {
    async seal(text: string): Promise<string> {
      const payload = await seal(text)
      seen.add(payload)
      return payload
    },
    /** Undefined for what does not count. Throws `rate_limited` for a relay that makes up more and more. */
    async open(payload: unknown): Promise<string | undefined> {
      looked++
      if (looked > MAX_MESSAGES) throw new ProtocolError('rate_limited', 'the relay sends too much')
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

/** Does what it is given one after the other. */
export const inOrder = (failed: (error: unknown) => void) => {
  let last = Promise.resolve()
  return (work: () => Promise<void>): Promise<void> => {
    last = last.then(work).catch(failed)
    return last
  }
}
