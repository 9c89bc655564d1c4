/**
 * How bytes are spelled, stated once.
 *
 * Two implementations give the same (a differential test holds them to it): `runtime/bytes-node.ts`, on Buffer, which a
 * server gets and which spells a message of the relay in a tenth of the time; and `runtime/bytes-portable.ts`, which a
 * browser gets. The choice is made by the `#bytes` entry of package.json, never at run time. Users import
 * `protocol/bytes.ts`, which throws where these answer undefined.
 */
export interface Bytes {
  /** What is no character (half of a surrogate pair) becomes U+FFFD. */
  utf8(text: string): Uint8Array
  /** A byte order mark is content like any other; undefined for what is not UTF-8. */
  fromUtf8(bytes: Uint8Array): string | undefined
  /** Lower case. */
  toHex(bytes: Uint8Array): string
  /** Either case; undefined for what is not hex. */
  fromHex(text: string): Uint8Array | undefined
  /** Standard alphabet, padded. */
  toBase64(bytes: Uint8Array): string
  /** Exactly what `toBase64` writes; undefined for everything else. */
  fromBase64(text: string): Uint8Array | undefined
  /** URL-safe alphabet, no padding. */
  toBase64url(bytes: Uint8Array): string
  /** Either alphabet, padding optional; undefined for what is neither, and for stray bits behind the last byte. */
  fromBase64url(text: string): Uint8Array | undefined
  /** Bitcoin alphabet. Takes time by the square of the length, as its counterpart. */
  toBase58(bytes: Uint8Array): string
  /** Bitcoin alphabet; undefined for what is not base58. */
  fromBase58(text: string): Uint8Array | undefined
}
