/**
 * Proofs: who has signed a text. Two kinds, told apart by their looks:
 *
 * | signature                     | over                              | DIDs that it proves                                |
 * |-------------------------------|-----------------------------------|----------------------------------------------------|
 * | hex, DER or compact (64 bytes) | ECDSA secp256k1, sha256(text)    | of each recovered key: did:ssi:key, did:key:zQ3s…   |
 * | `header..signature` (JWS)      | EdDSA, header `.` base64url(text)  | the one of `kid`: did:key, did:web, did:pkh        |
 *
 * A reader signs its token. A sender signs the token with the hash of its message (`messageProofText`), or, as others do,
 * the token alone.
 *
 * A key that is recovered says nothing before its DID is the one that was meant. DER may have a high `s`: published
 * signers make such ones, and nothing here is known by its signature.
 */
import { secp256k1 as curve } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import * as z from 'zod'
import { secp256k1 } from '#secp256k1'
import { isSignedBy } from '../platform/jws.ts'
import { concat, fromBase64url, fromHex, fromUtf8, toBase64url, utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { hashDid, secp256k1Did, splitDidUrl, ssiKeyDid } from './dids.ts'
import type { FindKeys } from './keys.ts'
import type { QueueName } from './store.ts'

export interface Proofs {
  /** Throws `forbidden` unless the owner of the queue signed the token. */
  reader(queue: QueueName, token: string, signature: string): Promise<void>
  /** Throws `forbidden` unless the DID signed the text. */
  sender(did: string, text: string, signature: string): Promise<void>
}

/** Longer ones are not looked at. A JWS with a long did:web has some hundred characters. */
const MAX_SIGNATURE_CHARACTERS = 2_048
const COMPACT_BYTES = 64
const SSI_KEY = /^did:ssi:key:([^:]+):/

const bytesOf = (hex: string): Uint8Array | undefined => {
  try {
    return fromHex(hex)
  } catch {
    return undefined
  }
}

const parseSignature = (bytes: Uint8Array, format: 'der' | 'compact') => {
  try {
    return [curve.Signature.fromBytes(bytes, format).toBytes('compact')]
  } catch {
    return []
  }
}

/** Every key that could have made the signature. */
const recovered = (bytes: Uint8Array, hash: Uint8Array) =>
  [
    ...parseSignature(bytes, 'der'),
    ...(bytes.length === COMPACT_BYTES ? parseSignature(bytes, 'compact') : []),
  ].flatMap((rs) => ([0, 1] as const).flatMap((parity) => secp256k1.recoverKey(hash, rs, parity) ?? []))

/** SEC 1 §2.3.3: what is left of `y` is whether it is odd. */
const compressed = (key: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(2 + ((key.at(-1) ?? 0) & 1)), key.subarray(1, 33))

// `b64: false` (RFC 7797) has to be named in `crit`, and nothing in `crit` is understood.
const headerSchema = z.looseObject({
  alg: z.literal('EdDSA'),
  kid: z.string(),
  crit: z.undefined().optional(),
})

const parseJws = (signature: string): { header: string; kid: string; bytes: Uint8Array } | undefined => {
  const [header = '', payload, end = '', more] = signature.split('.')
  if (payload !== '' || more !== undefined) return undefined
  try {
    const { kid } = headerSchema.parse(JSON.parse(fromUtf8(fromBase64url(header))))
    return { header, kid, bytes: fromBase64url(end) }
  } catch {
    return undefined
  }
}

export const createProofs = ({ findKeys }: { findKeys: FindKeys }): Proofs => {
  const byEcdsa = (
    text: string,
    signature: string,
    domain: string | undefined,
    isMeant: (did: string) => boolean,
  ): boolean => {
    const bytes = bytesOf(signature)
    if (!bytes) return false
    return recovered(bytes, sha256(utf8(text))).some(
      (key) =>
        isMeant(secp256k1Did(compressed(key))) || (domain !== undefined && isMeant(ssiKeyDid(domain, key))),
    )
  }

  const byJws = async (
    text: string,
    signature: string,
    isMeant: (did: string) => boolean,
  ): Promise<boolean> => {
    const jws = parseJws(signature)
    // Nobody is asked for the keys of a DID that is not the one.
    if (!jws || !isMeant(splitDidUrl(jws.kid).did)) return false
    const input = `${jws.header}.${toBase64url(utf8(text))}`
    for (const key of await findKeys(jws.kid)) if (await isSignedBy(input, jws.bytes, key)) return true
    return false
  }

  const check = async (
    text: string,
    signature: string,
    domain: string | undefined,
    isMeant: (did: string) => boolean,
  ): Promise<void> => {
    const isProof =
      signature.length <= MAX_SIGNATURE_CHARACTERS &&
      (signature.includes('.')
        ? await byJws(text, signature, isMeant)
        : byEcdsa(text, signature, domain, isMeant))
    if (!isProof)
      throw new ProtocolError('forbidden', 'the signature is not of this DID for this token and message')
  }

  return {
    reader: ({ domain, hashDID }, token, signature) =>
      check(token, signature, domain, (did) => hashDid(did) === hashDID),
    // The sender may be of another domain than the queue.
    sender: (sender, text, signature) =>
      check(text, signature, SSI_KEY.exec(sender)?.[1], (did) => did === sender),
  }
}
