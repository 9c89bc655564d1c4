/**
 * Parameters of the methods, by name or, in this order, by position.
 *
 * | method             | parameters                                                             |
 * |--------------------|------------------------------------------------------------------------|
 * | fetchKeyPackages   | did                                                                    |
 * | grantInstallation  | did, name, value, signature `{r, s, v}`, validity (s), jwt             |
 * | revokeInstallation | did, name, value, signature, jwt                                       |
 * | nonce              | did                                                                    |
 *
 * A change needs the signature or the jwt. The jwt names the installation itself; name and value beside it must be the
 * same. The `xps_` dialect writes a name as `{purpose: "Installation", encoding: "Hex"}` and a value as a list of bytes;
 * both spellings are read in both.
 */
import * as z from 'zod'
import { fromHex } from '../protocol/bytes.ts'
import { MAX_VALUE_BYTES } from './attribute.ts'

/** Longer than any DID that is taken. */
const did = z.string().min(1).max(512)

const name = z.union([
  z.string().max(64),
  z
    .object({ purpose: z.string().max(16), encoding: z.string().max(16) })
    .transform(({ purpose, encoding }) => `xmtp/${purpose}/${encoding}`.toLowerCase()),
])

const value = z.union([
  z.string().max(3 * MAX_VALUE_BYTES),
  z
    .array(z.number().int().min(0).max(255))
    .max(MAX_VALUE_BYTES)
    .transform((bytes) => Uint8Array.from(bytes)),
])

/** 32 bytes; published signers leave leading zeros away. */
const number256 = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/)
  .transform((hex) => fromHex(hex.slice(2).padStart(64, '0')))

const signature = z.object({ r: number256, s: number256, v: z.number().int().min(0).max(255) })

const change = {
  did,
  name: name.optional(),
  value: value.optional(),
  signature: signature.optional(),
}
const jwt = z
  .string()
  .min(1)
  .max(64 * 1024)
  .optional()

export const Whose = z.object({ did })
export const Grant = z.object({ ...change, validity: z.number().int().positive().optional(), jwt })
export const Revoke = z.object({ ...change, jwt })
export type Change = z.output<typeof Grant>

/** By position: a list becomes an object with the names of the schema, in their order. */
export const named = (schema: z.ZodObject, params: unknown): unknown => {
  if (!Array.isArray(params)) return params
  const names = Object.keys(schema.shape)
  // One too many is a mistake that must show.
  return params.length > names.length
    ? params
    : Object.fromEntries(params.flatMap((one, at) => (one === null ? [] : [[names[at] ?? '', one]])))
}
