/** `Secp256k1` by libsecp256k1 in WebAssembly. Loaded when it is first needed: a start has no signature to look at. */
import { createRequire } from 'node:module'
import type * as Library from 'tiny-secp256k1'
import type { Secp256k1 } from './secp256k1.ts'

let loaded: typeof Library | undefined
const library = (): typeof Library => {
  const known: typeof Library = loaded ?? createRequire(import.meta.url)('tiny-secp256k1')
  loaded = known
  return known
}

export const secp256k1: Secp256k1 = {
  recoverKey(hash, rs, parity) {
    if (hash.length !== 32 || rs.length !== 64) return undefined
    // Outside of what is caught: a library that cannot be loaded is no wrong signature.
    const { recover } = library()
    try {
      return recover(hash, rs, parity, false) ?? undefined
    } catch {
      // It says so of an `r` or `s` that is zero, or not below the order.
      return undefined
    }
  },
}
