/** Wire shapes of the message queues, shared by the hub and its client. */
import * as z from 'zod'

/** `expires`: unix ms. */
export const TokenAnswer = z.object({ token: z.string().min(1), expires: z.number() })

export const MessageAnswer = z.object({
  messageId: z.string().min(1),
  message: z.string(),
  /** DID of who has proved to have put it there. */
  sender: z.string().optional(),
  /** That proof covers the message, too. */
  messageSigned: z.boolean().optional(),
})
export type MessageAnswer = z.infer<typeof MessageAnswer>

export const FailureAnswer = z.object({ error: z.string(), code: z.string().default('') })

export const PutAnswer = z.object({ messageId: z.string().min(1) })

/** A body of this shape is unwrapped; whatever else is in it is dropped. */
export const Wrapped = z.object({ message: z.string() })

/** What the DID of a sender looks like; which one it is, its proof says. */
export const SenderDid = z.string().regex(/^did:[a-z0-9]+:[\x21-\x7e]{1,512}$/)
