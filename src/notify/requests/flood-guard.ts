/**
 * Who sends what cannot be opened. A mistake is looked into and logged; a flood is counted and costs nothing else: the
 * sender's key (of type 1; it is the beginning of the envelope) is not tried again for a while, and the log has a few
 * lines a minute, whoever they are about. A flood under ever new keys costs a key agreement each: the relay's own limits
 * bound it, and here nothing tells it from wallets that come for the first time.
 *
 * What can be opened and makes no sense, or comes from nobody who is known, is answered so many times a minute on each
 * topic. Above that it is met with silence; requests that are right are carried out and answered all the while.
 */
import { createBuckets } from '../../platform/budgets/token-buckets.ts'
import type { Clock } from '../../platform/runtime/clock.ts'

/** Base64 of the type and the sender's public key. In an envelope of type 0 these are random, and never seen again. */
const SENDER = 44
const EACH = { burst: 20, seconds: 60 }
const LINES = { burst: 20, seconds: 60 }
/** Answers to nonsense, of one topic. */
const ANSWERS = { burst: 300, seconds: 60 }
/** Senders that are remembered. */
const MOST = 10_000

export interface FloodGuard {
  /** Whether this sender is to be met without a look. */
  isFlooding(envelope: string): boolean
  /** It could not be opened. Answers whether to log it. */
  note(envelope: string): Promise<boolean>
  /** Whether nonsense on this topic is to be answered; it counts against the topic. */
  mayAnswer(topic: string): Promise<boolean>
}

export const createFloodGuard = (clock: Clock): FloodGuard => {
  const buckets = createBuckets(clock)
  const until = new Map<string, number>()
  return {
    isFlooding: (envelope) => (until.get(envelope.slice(0, SENDER)) ?? 0) > clock.now(),
    async note(envelope) {
      const sender = envelope.slice(0, SENDER)
      const [[wait = 0], [silence = 0]] = await Promise.all([
        buckets.take([`sender:${sender}`], EACH),
        buckets.take(['lines'], LINES),
      ])
      if (wait > 0) {
        if (until.size >= MOST) until.clear()
        until.set(sender, clock.now() + wait)
      }
      return silence === 0
    },
    async mayAnswer(topic) {
      const [wait = 0] = await buckets.take([`answers:${topic}`], ANSWERS)
      return wait === 0
    },
  }
}
