import { crypto } from '#crypto'
import { utf8 } from '../protocol/bytes.ts'
import { type SigningKey, signingKeyFrom } from '../protocol/keys.ts'

/** The Ed25519 key of the relay: the same for all processes that have the same secret, and for as long as it stays. */
export const relayKeyFrom = (secret: Uint8Array): SigningKey =>
  signingKeyFrom(crypto.hkdfSha256(secret, 32, undefined, utf8('belfry relay identity')))
