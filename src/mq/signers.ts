/**
 * Who signs tokens: the DID, and the signature that goes into paths and `x-mq-signature`. Runs in browsers. A wallet whose
 * keys are elsewhere writes its own: see `proof.ts` for what is understood.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { crypto } from '#crypto'
import { toBase64url, toHex, utf8 } from '../protocol/bytes.ts'
import { didPkh } from '../protocol/did.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { secp256k1Did, ssiKeyDid } from './dids.ts'

export interface MqSigner {
  did: string
  /** The proof for a token. */
  sign(token: string): string | Promise<string>
}

const jws = (key: SigningKey, kid: string, token: string): string => {
  const header = toBase64url(utf8(JSON.stringify({ alg: 'EdDSA', kid })))
  const signed = utf8(`${header}.${toBase64url(utf8(token))}`)
  return `${header}..${toBase64url(crypto.ed25519Sign(signed, key.seed))}`
}

/** As did:key of an Ed25519 key. */
export const ed25519Signer = (key: SigningKey): MqSigner => ({
  did: key.did,
  sign: (token) => jws(key, key.did, token),
})

/** As the account (CAIP-10) for which the identity key is registered. */
export const accountSigner = (key: SigningKey, account: string): MqSigner => {
  const did = didPkh(account)
  return { did, sign: (token) => jws(key, `${did}#${key.did.slice('did:key:'.length)}`, token) }
}

/** As a did:web whose document names the key by `kid`, a DID URL. */
export const webSigner = (key: SigningKey, kid: string): MqSigner => ({
  did: kid.replace(/#.*$/, ''),
  sign: (token) => jws(key, kid, token),
})

/** As did:ssi:key of the domain, or without one as did:key. `privateKey`: 32 bytes. */
export const secp256k1Signer = (privateKey: Uint8Array, domain?: string): MqSigner => ({
  did:
    domain === undefined
      ? secp256k1Did(secp256k1.getPublicKey(privateKey, true))
      : ssiKeyDid(domain, secp256k1.getPublicKey(privateKey, false)),
  sign: (token) => toHex(secp256k1.sign(utf8(token), privateKey, { format: 'der' })),
})
