/** Issuers and holders of credentials for tests; the published library makes the credentials. */
import { createHash, randomBytes } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc'
import { toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import { type HolderKey, holderKeyOf, type KeyAlgorithm } from '../../src/sessions/credentials/keys.ts'
import type { HeldCredential } from '../../src/sessions/methods/credential-presentation.ts'

export interface Keys {
  alg: KeyAlgorithm
  publicJwk: Record<string, string>
  privateJwk: Record<string, string>
  key: HolderKey
}

export const newKeys = (alg: KeyAlgorithm): Keys => {
  const of = (publicJwk: Record<string, string>, secret: Uint8Array): Keys => {
    const privateJwk = { ...publicJwk, d: toBase64url(secret) }
    return { alg, publicJwk, privateJwk, key: holderKeyOf(privateJwk) }
  }
  if (alg === 'EdDSA') {
    const secret = ed25519.utils.randomSecretKey()
    return of({ kty: 'OKP', crv: 'Ed25519', x: toBase64url(ed25519.getPublicKey(secret)) }, secret)
  }
  const secret = p256.utils.randomSecretKey()
  const point = p256.getPublicKey(secret, false)
  const [x, y] = [toBase64url(point.subarray(1, 33)), toBase64url(point.subarray(33))]
  return of({ kty: 'EC', crv: 'P-256', x, y }, secret)
}

export const ISSUER = 'https://issuer.example.com'
export const VCT = 'https://credentials.example.com/identity'

export interface Issue {
  claims: Record<string, unknown>
  /** As the published library has it. */
  frame: object
  issuer?: Keys
  holder?: Keys
  hash?: 'sha-256' | 'sha-384' | 'sha-512'
  header?: object
}

/** A credential as an issuer gives it, with all disclosures. */
export const issue = async ({ claims, frame, issuer = newKeys('EdDSA'), ...rest }: Issue) => {
  const { holder = newKeys('ES256'), hash = 'sha-256', header } = rest
  const library = new SDJwtVcInstance({
    signer: async (text) => toBase64url(await issuer.key.sign(utf8(text))),
    signAlg: issuer.alg,
    hasher: (data, alg) =>
      new Uint8Array(
        createHash(alg.replace('-', ''))
          .update(typeof data === 'string' ? data : new Uint8Array(data))
          .digest(),
      ),
    hashAlg: hash,
    saltGenerator: () => toBase64url(randomBytes(16)),
  })
  const sdJwt = await library.issue(
    { iss: ISSUER, vct: VCT, cnf: { jwk: holder.publicJwk }, ...claims },
    frame,
    header ? { header } : undefined,
  )
  return { sdJwt, issuer, holder }
}

export const held = (sdJwt: string, holder: Keys, id = 'one', label = 'Identity'): HeldCredential => ({
  id,
  label,
  sdJwt,
  holderKey: holder.key,
})

/** Three claims, each to be disclosed by itself. */
export const threeClaims: Issue = {
  claims: { given_name: 'John', family_name: 'Doe', birthdate: '1990-01-01' },
  frame: { _sd: ['given_name', 'family_name', 'birthdate'] },
}
