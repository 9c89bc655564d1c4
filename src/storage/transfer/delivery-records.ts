/**
 * Records (`transfer/transfer.ts`) of what became of notifications. Each names its notification as that is kept, by project,
 * domain and id; `sentAt` tells it from one that has the same id later, `expiresAt` is when all of it ends.
 */
import * as z from 'zod'
import { DELIVERY_STATES } from '../../notify/store/receipts.ts'

const text = z.string()
const time = z.number()

const ofNotification = {
  projectId: text,
  domain: text,
  notificationId: text,
  sentAt: time,
  expiresAt: time,
}

/** One subscriber's copy. */
export const copy = z.object({
  accountKey: text,
  subscriptionId: text,
  id: text,
  ...ofNotification,
  isRead: z.boolean(),
  /** It is the one that a newer notification with the same collapse key replaces. */
  isLastOfKey: z.literal(true).exactOptional(),
})

/** A copy that was cancelled, replaced, or not sent in time: it is in no history, and its id is not used again. */
export const withdrawn = z.object({
  accountKey: text,
  subscriptionId: text,
  id: text,
  sentAt: time,
  expiresAt: time,
})

export const receipt = z.object({
  accountKey: text,
  account: text,
  state: z.enum(DELIVERY_STATES),
  reason: text.exactOptional(),
  at: time,
  /** Of what is queued: the copy, which is the outbox entry, too. */
  copyId: text.exactOptional(),
  ...ofNotification,
})

/** How often the link of one copy was followed. */
export const click = z.object({ copyId: text, count: z.number(), firstAt: time, ...ofNotification })

/** How often the link was followed on one UTC day, on all copies. */
export const clickDay = z.object({ day: text, count: z.number(), ...ofNotification })
