/**
 * Memory that an answer over HTTP holds until its caller has read it: taken before the answer is made, given back when it
 * was written or its connection closed. A caller that does not read in time is cut off, so what is taken has an end.
 */
import type { Context } from 'hono'
import { ProtocolError } from '../protocol/errors.ts'
import type { Clock } from './clock.ts'
import type { Shares } from './shares.ts'

/** For so long an answer may be on its way, ms. */
export const ANSWER_TIMEOUT_MS = 120_000

/** The answer as Node's server has it; there is none where the app is called by itself. */
interface Outgoing {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
  destroy(): unknown
}

export interface AnswerHold {
  /** The answer is made, and has so many bytes: what was taken beyond is given back. Throws `rate_limited` for too many. */
  settle(bytes: number): void
  /** There will be no answer of that size. */
  release(): void
}

const isOutgoing = (value: unknown): value is Outgoing =>
  typeof value === 'object' && value !== null && 'once' in value && 'destroy' in value && 'destroyed' in value

const outgoingOf = (c: Context): Outgoing | undefined => {
  const env: unknown = c.env
  const outgoing = typeof env === 'object' && env !== null && 'outgoing' in env ? env.outgoing : undefined
  return isOutgoing(outgoing) ? outgoing : undefined
}

/** Takes `bytes` for the owner, the most that the answer will have. Throws `rate_limited` when there is not so much left. */
export const holdForAnswer = (
  { memory, clock }: { memory: Shares; clock: Clock },
  c: Context,
  { owner, bytes }: { owner: string; bytes: number },
): AnswerHold => {
  let held = 0
  const take = (amount: number) => {
    if (!memory.take(owner, amount)) {
      throw new ProtocolError('rate_limited', 'answers that your address has not read are in the way')
    }
    held += amount
  }
  const release = () => {
    if (held > 0) memory.give(owner, held)
    held = 0
  }
  take(bytes)
  return {
    settle(length) {
      if (length > held) take(length - held)
      else memory.give(owner, held - length)
      held = length
      const outgoing = outgoingOf(c)
      if (!outgoing || outgoing.destroyed) return release()
      const late = clock.after(ANSWER_TIMEOUT_MS, () => outgoing.destroy())
      outgoing.once('close', () => {
        late[Symbol.dispose]()
        release()
      })
    },
    release,
  }
}
