/** Who may speak for a domain: the Ed25519 keys that its did document lists for authentication. https://www.w3.org/TR/did-core/ */
import * as z from 'zod'
import { fromBase64url } from '../protocol/bytes.ts'
import { ed25519Did, ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'

const method = z.object({
  id: z.string(),
  publicKeyJwk: z
    .object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() })
    .optional()
    .catch(undefined),
  /** `z6Mk…`, as in a did:key. */
  publicKeyMultibase: z.string().optional(),
})
type Method = z.output<typeof method>

const documentSchema = z.object({
  id: z.string(),
  verificationMethod: z.array(method).max(100).default([]),
  /** Methods, or their ids. */
  authentication: z
    .array(z.union([z.string(), method]))
    .max(100)
    .default([]),
})

/** did:key; undefined for a key of another kind. */
const keyOf = ({ publicKeyJwk, publicKeyMultibase }: Method): string | undefined => {
  try {
    if (publicKeyJwk) return ed25519Did(fromBase64url(publicKeyJwk.x))
    const did = `did:key:${publicKeyMultibase}`
    ed25519FromDid(did)
    return did
  } catch {
    return undefined
  }
}

/** As did:keys. `unavailable` for what is not the document of this DID. */
export const authenticationKeys = (text: string, did: string): string[] => {
  const document = parsed(text)
  if (document?.id.toLowerCase() !== did.toLowerCase()) {
    throw new ProtocolError('unavailable', 'its domain has no such did document')
  }
  const { id, verificationMethod, authentication } = document
  /** References may leave out the DID. */
  const named = (reference: string) =>
    verificationMethod.filter((one) => [reference, id + reference].includes(one.id))
  return authentication
    .flatMap((one) => (typeof one === 'string' ? named(one) : [one]))
    .flatMap((one) => keyOf(one) ?? [])
}

const parsed = (text: string): z.output<typeof documentSchema> | undefined => {
  try {
    return documentSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
