/**
 * The key that owns what is archived of a topic: an Ed25519 key that follows from the topic's symmetric key, so all who
 * can read the topic have the same one, and nobody else has it. Node and browsers.
 */
import { crypto } from '#crypto'
import { utf8 } from '../protocol/bytes.ts'
import { type SigningKey, signingKeyFrom } from '../protocol/keys.ts'

const INFO = utf8('belfry archive compaction')

/** `symKey`: 32 bytes, whose SHA-256 is the topic. */
export const ownerKeyOf = (symKey: Uint8Array): SigningKey =>
  signingKeyFrom(crypto.hkdfSha256(symKey, 32, undefined, INFO))
