/** Which part of a list an operator asks for. */
import type { Context } from 'hono'
import * as z from 'zod'
import { checked } from '../../platform/validate.ts'

export const Page = z.object({
  // A domain, a did:key or an id; nothing else stands before or after one.
  after: z
    .string()
    .regex(/^[\x20-\x7e]{1,512}$/, { error: 'must be what `next` said' })
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

export const page = (c: Context): { limit: number; after?: string } => {
  const { after, limit } = checked(Page, c.req.query())
  return { limit, ...(after !== undefined && { after }) }
}
