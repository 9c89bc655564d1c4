import * as z from 'zod'
import { toHex } from '../protocol/bytes.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { TOPIC } from '../protocol/topic.ts'

export const ARCHIVE_LIMITS = {
  /** Of one client. */
  tags: 64,
  /** Topics for which one client names an owner. */
  owners: 32,
  /** Messages of one page, and its bytes as JSON; a page of one message may be longer. */
  page: 200,
  pageBytes: 1024 * 1024,
}

const hex = z
  .string()
  .regex(TOPIC)
  .transform((text) => text.toLowerCase())

/** Published clients write tags as text. `relayUrl` is what they were configured with, or a constant: not looked at. */
const tag = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number),
  ])
  .pipe(z.int().nonnegative().max(999_999_999))

/** A did:key as the key itself, in hex. */
const owner = z.string().transform((did, context) => {
  try {
    return toHex(ed25519FromDid(did))
  } catch {
    context.addIssue({ code: 'custom', message: 'not the did:key of an Ed25519 key' })
    return z.NEVER
  }
})

export const RegisterBody = z.object({
  tags: z.array(tag).max(ARCHIVE_LIMITS.tags),
  /** By topic: the key (`owner-key`) that owns what the client publishes there. Published clients name none. */
  owners: z
    .record(hex, owner)
    .refine((owners) => Object.keys(owners).length <= ARCHIVE_LIMITS.owners, {
      error: `at most ${ARCHIVE_LIMITS.owners} topics`,
    })
    .default({}),
  relayUrl: z.string().max(1024).optional(),
})

export const MessagesQuery = z.object({
  topic: hex,
  originId: hex.optional(),
  direction: z.enum(['forward', 'backward']).default('forward'),
  messageCount: z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .pipe(z.int().positive())
    .transform((count) => Math.min(count, ARCHIVE_LIMITS.page))
    .default(ARCHIVE_LIMITS.page),
})

export const CompactBody = z.object({ compactAuth: z.string().max(4096) })

/** Beside the usual claims: `iss` is the owner, `aud` this server. */
export const COMPACT_ACT = 'archive_compact'
export const CompactClaims = z.object({
  /** The topic. */
  sub: hex,
  /** Id of the first message that stays. */
  bfr: hex,
})

/** What GET /messages answers. */
export const MessagesAnswer = z.object({
  topic: z.string(),
  direction: z.enum(['forward', 'backward']),
  nextId: z.string().nullable(),
  messages: z.array(z.object({ message: z.string(), message_id: z.string(), timestamp: z.number() })),
})
export type MessagesAnswer = z.infer<typeof MessagesAnswer>
