/**
 * The member `digest` of a notification (4002), which is ours: the message tells of notifications that came without waking
 * anybody, and is none itself. It is in no history and counts as no unread one.
 */
import * as z from '#schema'

/** Notifications that a digest names; of more it says the number. */
export const MAX_DIGEST_IDS = 20

const member = z.object({
  /** Unread notifications since the digest before; at most 100 are counted. */
  count: z.number().int().positive(),
  /** `msg.id`s, the newest first. */
  ids: z.array(z.string()).max(MAX_DIGEST_IDS),
})

export type DigestMember = z.output<typeof member>

/** Undefined for a message that is no digest. */
export const digestOf = (item: Record<string, unknown>): DigestMember | undefined =>
  member.safeParse(item.digest).data
