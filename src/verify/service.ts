/**
 * Attestations: which page a request to a wallet came from. A dapp's page opens a hidden frame of this server; the frame hands it a
 * signed statement of its origin, which goes to the wallet with the request. The wallet compares it with what the dapp says of
 * itself, and shows VALID, INVALID, or UNKNOWN where there is no such statement.
 *
 * | what | from where |
 * |---|---|
 * | the origin | the `Referer` of the frame's request, which a browser writes; a program may write anything |
 * | verified | the origin is `https:`, or of this machine, and its host is the domain of a declared app |
 * | the key | ES256, derived from the server's root secret: one for all processes |
 *
 * So it tells a wallet's owner about pages in honest browsers, which is what a lookalike page is opened in. It is no proof against a
 * program that asks here with headers of its own.
 */
import { p256 } from '@noble/curves/nist.js'
import { importJWK, type JWK, SignJWT } from 'jose'
import { crypto } from '#crypto'
import type { Clock } from '../platform/runtime/clock.ts'
import { DAY_MS } from '../platform/units.ts'
import { toBase64url, utf8 } from '../protocol/bytes.ts'

/** A request to a wallet lives for seven days at most. */
const ATTESTATION_LIFE_MS = 7 * DAY_MS
/** How long wallets may keep the public key; a key that was replaced is asked for again when a statement does not fit it. */
const KEY_LIFE_MS = DAY_MS
/** Bytes of a P-256 seed, from which a key without bias is made. */
const SEED_BYTES = 48

export interface Attestations {
  /** What wallets verify statements with; `expiresAt` in seconds. */
  publicKey(): { publicKey: JWK; expiresAt: number }
  /**
   * The statement that the request `id` came from a page of `origin`; `embedder` is the origin that the browser named. Where it is
   * not verified the statement says so, and names no origin: a page that waits for a statement goes on at once.
   */
  attest(request: { id: string; origin: string; embedder: string | undefined }): Promise<string>
}

interface AttestationsDeps {
  /** Whether a declared app has this domain. */
  isDeclared: (domain: string) => Promise<boolean>
  clock: Pick<Clock, 'now'>
}

const keyFrom = (root: Uint8Array): { publicKey: JWK; privateKey: JWK } => {
  const seed = crypto.hkdfSha256(root, SEED_BYTES, undefined, utf8('belfry verify'))
  const secret = p256.utils.randomSecretKey(seed)
  const point = p256.getPublicKey(secret, false)
  const publicKey = {
    ...{ kty: 'EC', crv: 'P-256', alg: 'ES256' },
    x: toBase64url(point.slice(1, 33)),
    y: toBase64url(point.slice(33)),
  }
  return { publicKey, privateKey: { ...publicKey, d: toBase64url(secret) } }
}

const isTrustworthy = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || hostname === 'localhost' || hostname === '127.0.0.1'

export const createAttestations = (
  { isDeclared, clock }: AttestationsDeps,
  root: Uint8Array,
): Attestations => {
  const { publicKey, privateKey } = keyFrom(root)
  const imported = importJWK(privateKey, 'ES256')

  const isVerified = async (origin: string, embedder: string | undefined): Promise<boolean> => {
    if (embedder !== origin) return false
    const url = new URL(origin)
    // An app on a port of its own is named with it.
    return isTrustworthy(url) && ((await isDeclared(url.host)) || (await isDeclared(url.hostname)))
  }

  return {
    publicKey: () => ({ publicKey, expiresAt: Math.floor((clock.now() + KEY_LIFE_MS) / 1000) }),
    async attest({ id, origin, embedder }) {
      const verified = await isVerified(origin, embedder)
      // Nobody here knows of scams, so nothing is said of them.
      return new SignJWT({ id, origin: verified ? origin : '', isScam: null, isVerified: verified })
        .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
        .setExpirationTime(Math.floor((clock.now() + ATTESTATION_LIFE_MS) / 1000))
        .sign(await imported)
    },
  }
}
