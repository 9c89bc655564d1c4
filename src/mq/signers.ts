/**
 * Who signs tokens: the DID, and the signature that goes into paths and `x-mq-signature`. Runs in browsers. A wallet whose
 * keys are elsewhere writes its own: see `proof.ts` for what is understood.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { crypto } from '#crypto'
import { toBase64url, toHex, utf8 } from '../protocol/bytes.ts'
import { didPkh } from '../protocol/did.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { secp256k1Did, ssiKeyDid } from './dids.ts'

export interface MqSigner {
  did: string
  /** The proof for a text: a token, or `messageProofText`. */
  sign(text: string): string | Promise<string>
}

/**
 * What a sender signs so that its proof is good for this message alone: the token, a point, and the SHA-256 of the
 * message in hex. A token has three parts, so this text with four is no token.
 */
export const messageProofText = (token: string, message: string): string =>
  `${token}.${toHex(sha256(utf8(message)))}`

const jws = (key: SigningKey, kid: string, text: string): string => {
  const header = toBase64url(utf8(JSON.stringify({ alg: 'EdDSA', kid })))
  const signed = utf8(`${header}.${toBase64url(utf8(text))}`)
  return `${header}..${toBase64url(crypto.ed25519Sign(signed, key.seed))}`
}

/**
 * Signs as the did:key of an Ed25519 key.
 *
 * @param key the Ed25519 key
 * @returns the signer, for `mqClient`
 */
export const ed25519Signer = (key: SigningKey): MqSigner => ({
  did: key.did,
  sign: (text) => jws(key, key.did, text),
})

/**
 * Signs as the account for which the identity key is registered.
 *
 * @param key the identity key
 * @param account CAIP-10
 * @returns the signer, for `mqClient`
 */
export const accountSigner = (key: SigningKey, account: string): MqSigner => {
  const did = didPkh(account)
  return { did, sign: (text) => jws(key, `${did}#${key.did.slice('did:key:'.length)}`, text) }
}

/**
 * Signs as a did:web whose document has the key.
 *
 * @param key the Ed25519 key
 * @param kid the DID URL by which the document names the key
 * @returns the signer, for `mqClient`
 */
export const webSigner = (key: SigningKey, kid: string): MqSigner => ({
  did: kid.split('#', 1)[0] ?? kid,
  sign: (text) => jws(key, kid, text),
})

/**
 * Signs as did:ssi:key of the domain, or without one as did:key.
 *
 * @param privateKey 32 bytes of secp256k1
 * @param domain of the did:ssi:key
 * @returns the signer, for `mqClient`
 */
export const secp256k1Signer = (privateKey: Uint8Array, domain?: string): MqSigner => ({
  did:
    domain === undefined
      ? secp256k1Did(secp256k1.getPublicKey(privateKey, true))
      : ssiKeyDid(domain, secp256k1.getPublicKey(privateKey, false)),
  sign: (text) => toHex(secp256k1.sign(utf8(text), privateKey, { format: 'der' })),
})
