/**
 * Whose signature it is, on the curve of Ethereum's accounts. Two implementations give the same bytes (a differential test
 * holds them to it), chosen by the `#secp256k1` entry of package.json: plain JavaScript computes ten times as long, and this is
 * the dearest thing that a stranger can ask for.
 */
export interface Secp256k1 {
  /**
   * The key that made the signature, uncompressed (65 bytes); undefined when no key can have made it. A high `s` is taken.
   *
   * @param hash what was signed, 32 bytes.
   * @param rs `r` and `s`, 64 bytes.
   * @param parity of the point that `r` names. (Its other two candidates need an `r` that nobody finds: one of 2^127.)
   */
  recoverKey(hash: Uint8Array, rs: Uint8Array, parity: 0 | 1): Uint8Array | undefined
}
