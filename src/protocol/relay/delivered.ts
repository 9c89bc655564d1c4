/** What a relay hands to its clients, and the limits of both: all that a client reads of the relay's methods. */
import * as z from '#schema'
import { TOPIC } from '../topic.ts'

export const LIMITS = {
  /** Bytes of one WebSocket frame or `/rpc` body. */
  frameBytes: 1024 * 1024,
  /** Bytes of one message. */
  messageBytes: 256 * 1024,
  /** Items of one batch call. */
  batch: 500,
  /** Seconds that a message may be kept. */
  ttl: { min: 1, max: 2_592_000, default: 21_600 },
  attestationBytes: 16 * 1024,
} as const

export const topic = z
  .string()
  .regex(TOPIC, 'a topic is 64 hex digits')
  .transform((text) => text.toLowerCase())
export const attestation = z
  .string()
  .max(LIMITS.attestationBytes)
  .nullish()
  .transform((text) => text ?? '')

/** What a subscriber is handed. `publishedAt` is unix milliseconds; `attestation` is empty when there is none. */
const delivered = z.object({
  topic,
  message: z.string(),
  publishedAt: z.number().nonnegative(),
  tag: z.number().int().nonnegative().default(0),
  attestation,
})
/** Params of `irn_subscription`. */
export const pushed = z.object({ id: z.string(), data: delivered })
/** Result of a fetch. */
export const fetched = z.object({ messages: z.array(delivered), hasMore: z.boolean().default(false) })
