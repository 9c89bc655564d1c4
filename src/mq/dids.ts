/**
 * DIDs as the queues know them: a queue is named by the hash of its reader's DID, and a secp256k1 key has two DIDs, the
 * one of OpenDSU and did:key. Runs in browsers.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, fromBase58, toBase58, utf8 } from '../protocol/bytes.ts'

/**
 * The hash of a DID, by which queues are named.
 *
 * @param did the DID
 * @returns base58 of its SHA-256
 */
export const hashDid = (did: string): string => toBase58(sha256(utf8(did)))

/** Base58 of 32 bytes. */
export const isHashDid = (text: string): boolean => {
  try {
    return text.length <= 44 && fromBase58(text).length === 32
  } catch {
    return false
  }
}

/** `point`: 65 bytes, uncompressed. */
export const ssiKeyDid = (domain: string, point: Uint8Array): string =>
  `did:ssi:key:${domain}:${toBase58(point)}`

/** Multicodec secp256k1-pub, as a varint. */
const SECP256K1 = Uint8Array.of(0xe7, 0x01)
/** `did:key:zQ3s…`; `point`: 33 bytes, compressed. */
export const secp256k1Did = (point: Uint8Array): string => `did:key:z${toBase58(concat(SECP256K1, point))}`

/** A DID URL as the DID and what is behind `#`. */
export const splitDidUrl = (url: string): { did: string; fragment: string | undefined } => {
  const at = url.indexOf('#')
  return at < 0 ? { did: url, fragment: undefined } : { did: url.slice(0, at), fragment: url.slice(at + 1) }
}
