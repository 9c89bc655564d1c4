/**
 * DID documents of others, and the Ed25519 keys in them. https://www.w3.org/TR/did-core/
 *
 * It reads what is there and decides nothing: whose document it is, which method counts and what a malformed one means is
 * for the caller to say.
 */
import * as z from 'zod'
import { fromBase64url } from './bytes.ts'
import { ed25519FromDid } from './did.ts'

const documentSchema = z.object({
  id: z.string(),
  verificationMethod: z.array(z.unknown()).default([]),
  /** Methods, or their ids. */
  authentication: z.array(z.unknown()).default([]),
})
export type DidDocument = z.output<typeof documentSchema>

/** Throws for what is no JSON, or no document. */
export const parseDidDocument = (text: string): DidDocument => documentSchema.parse(JSON.parse(text))

const jwkSchema = z.object({ kty: z.string(), crv: z.string(), x: z.string() })

const methodSchema = z.object({
  id: z.string(),
  /** Null for what is no JWK with these members, in text. */
  publicKeyJwk: jwkSchema.nullable().optional().catch(null),
  /** `z6Mk…`, as in a did:key. */
  publicKeyMultibase: z.string().optional(),
})
export type VerificationMethod = z.output<typeof methodSchema>

/** Undefined for what is no method: without an id, or with a `publicKeyMultibase` that is no text. */
export const readMethod = (entry: unknown): VerificationMethod | undefined =>
  methodSchema.safeParse(entry).data

/** The key of a JWK (RFC 8037), 32 bytes; undefined for what is no Ed25519 key. */
export const ed25519FromJwk = (jwk: VerificationMethod['publicKeyJwk']): Uint8Array | undefined => {
  if (!isEd25519Jwk(jwk)) return undefined
  try {
    const key = fromBase64url(jwk.x)
    return key.length === 32 ? key : undefined
  } catch {
    return undefined
  }
}

/** Whether the JWK says that it is an Ed25519 key. */
export const isEd25519Jwk = (
  jwk: VerificationMethod['publicKeyJwk'],
): jwk is NonNullable<VerificationMethod['publicKeyJwk']> => jwk?.kty === 'OKP' && jwk.crv === 'Ed25519'

/** The key of `z6Mk…`, 32 bytes; undefined for what is no Ed25519 key. */
export const ed25519FromMultibase = (text: string | undefined): Uint8Array | undefined => {
  try {
    return text === undefined ? undefined : ed25519FromDid(`did:key:${text}`)
  } catch {
    return undefined
  }
}
