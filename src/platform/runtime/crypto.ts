/**
 * The cryptographic operations that the protocol needs, stated once.
 *
 * Two implementations give the same bytes (a differential test holds them to it): `runtime/crypto-node.ts`, which is native
 * and which a server gets, and `runtime/crypto-portable.ts`, which a browser gets. The choice is made by the `#crypto` entry
 * of package.json, never at run time. All operations are synchronous, because a relay seals thousands of short
 * messages a second and a promise costs more than the work.
 */
export interface Crypto {
  /** Cryptographically strong random bytes. */
  randomBytes(length: number): Uint8Array
  sha256(data: Uint8Array): Uint8Array
  /** In lower-case hex; of a text its UTF-8. */
  sha256Hex(data: Uint8Array | string): string
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  /** RFC 5869 with SHA-256; salt and info default to empty. */
  hkdfSha256(secret: Uint8Array, length: number, salt?: Uint8Array, info?: Uint8Array): Uint8Array
  /** Public key (32 bytes) of an X25519 private key (32 bytes). */
  x25519PublicKey(privateKey: Uint8Array): Uint8Array
  /** Raw X25519 agreement. Returns undefined when the shared secret is all zero (a low-order public key). */
  x25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined
  /** Public key (32 bytes) of an Ed25519 seed (32 bytes). */
  ed25519PublicKey(seed: Uint8Array): Uint8Array
  /** Deterministic Ed25519 signature (64 bytes). */
  ed25519Sign(message: Uint8Array, seed: Uint8Array): Uint8Array
  /** False for every invalid input, wrong lengths included; never throws. */
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  /** ChaCha20-Poly1305 (RFC 8439), no AAD: ciphertext followed by the 16-byte tag. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array
  /** The reverse of `seal`; undefined when the tag does not match. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
}
