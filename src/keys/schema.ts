/**
 * Wire shapes of the key registry. Every answer is `{status, error, value}`, failures included.
 */
import * as z from 'zod'

/** The CACAO is checked by the service and kept as it came, members that we do not know included. */
const IdAuth = z.string().min(1).max(8192)
export const RegisterIdentity = z.object({
  cacao: z.record(z.string(), z.unknown()),
  idAuth: IdAuth.optional(),
})

/** A JWT of the identity key; real ones have less than 1 KiB. */
export const WithIdAuth = z.object({ idAuth: IdAuth })

export const IdentityQuery = z.object({
  publicKey: z.string().min(1).max(128),
  account: z.string().min(1).max(256).optional(),
})
export const InviteQuery = z.object({ account: z.string().min(1).max(256) })

/** What other key servers answer to `GET /identity`. */
export const IdentityAnswer = z.object({ value: z.object({ cacao: z.unknown() }) })

export type Answer =
  | { status: 'SUCCESS'; error: null; value: unknown }
  | { status: 'FAILURE'; error: { name: string; message: string }; value: null }
