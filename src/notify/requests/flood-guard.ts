/**
 * Bounds what unknown senders cost. A few messages that cannot be decrypted are tried and logged. Above a rate, the
 * sender's key is not tried again for a while, and the log has at most `LOG_LINES` lines. The key is the beginning of an
 * envelope of type 1. A flood under ever new keys costs a key agreement for each message; the relay's limits bound it,
 * because here nothing distinguishes it from new wallets.
 *
 * Decrypted messages that make no sense, or come from unknown senders, are answered at a bounded rate for each topic.
 * Above it they are not answered; valid requests are carried out and answered all the while.
 */
import { createBuckets } from '../../platform/budgets/token-buckets.ts'
import type { Clock } from '../../platform/runtime/clock.ts'

/**
 * Base64 characters of the envelope's type and the sender's public key. In an envelope of type 0 these are random, so
 * they do not occur again.
 */
const SENDER_PREFIX_LENGTH = 44
const TRIES_PER_SENDER = { burst: 20, seconds: 60 }
const LOG_LINES = { burst: 20, seconds: 60 }
const FAULT_ANSWERS_PER_TOPIC = { burst: 300, seconds: 60 }
const MAX_SENDERS = 10_000

export interface FloodGuard {
  /** Whether messages of this sender are not tried at the moment. */
  isFlooding(envelope: string): boolean
  /** Counts a message that could not be decrypted. Returns whether to log it. */
  note(envelope: string): Promise<boolean>
  /** Counts a fault against its topic. Returns whether to answer it. */
  mayAnswer(topic: string): Promise<boolean>
}

export const createFloodGuard = (clock: Clock): FloodGuard => {
  const buckets = createBuckets(clock)
  const ignoredUntil = new Map<string, number>()
  return {
    isFlooding: (envelope) => (ignoredUntil.get(envelope.slice(0, SENDER_PREFIX_LENGTH)) ?? 0) > clock.now(),
    async note(envelope) {
      const sender = envelope.slice(0, SENDER_PREFIX_LENGTH)
      const [[senderWaitMs = 0], [logWaitMs = 0]] = await Promise.all([
        buckets.take([`sender:${sender}`], TRIES_PER_SENDER),
        buckets.take(['lines'], LOG_LINES),
      ])
      if (senderWaitMs > 0) {
        if (ignoredUntil.size >= MAX_SENDERS) ignoredUntil.clear()
        ignoredUntil.set(sender, clock.now() + senderWaitMs)
      }
      return logWaitMs === 0
    },
    async mayAnswer(topic) {
      const [waitMs = 0] = await buckets.take([`answers:${topic}`], FAULT_ANSWERS_PER_TOPIC)
      return waitMs === 0
    },
  }
}
