/** Envelope and JWT primitives: what a server gets (`crypto-node`) against what a browser gets (`crypto-portable`). */
import type { Crypto } from '../../src/platform/runtime/crypto.ts'
import { crypto as native } from '../../src/platform/runtime/crypto-node.ts'
import { crypto as portable } from '../../src/platform/runtime/crypto-portable.ts'
import { count, type Row } from './table.ts'

const perSecond = (work: () => unknown): number => {
  const run = (duration: number) => {
    const start = performance.now()
    let done = 0
    while (performance.now() - start < duration) {
      for (let i = 0; i < 8; i++) work()
      done += 8
    }
    return (done / (performance.now() - start)) * 1000
  }
  run(50)
  return run(400)
}

export const benchPrimitives = (): Row[] => {
  const payload = native.randomBytes(900)
  const key = native.randomBytes(32)
  const nonce = native.randomBytes(12)
  const seed = native.randomBytes(32)
  const peer = native.x25519PublicKey(native.randomBytes(32))
  const sealed = native.seal(key, nonce, payload)
  const signature = native.ed25519Sign(payload, seed)
  const publicKey = native.ed25519PublicKey(seed)
  const works: Record<string, (crypto: Crypto) => unknown> = {
    'seal a 900-byte envelope': (crypto) => crypto.seal(key, nonce, payload),
    'open a 900-byte envelope': (crypto) => crypto.open(key, nonce, sealed),
    'agree on a key (X25519, HKDF)': (crypto) => crypto.hkdfSha256(crypto.x25519(seed, peer) ?? key, 32),
    'sign a JWT (Ed25519)': (crypto) => crypto.ed25519Sign(payload, seed),
    'verify a JWT (Ed25519)': (crypto) => crypto.ed25519Verify(signature, payload, publicKey),
  }
  return Object.entries(works).map(([what, work]) => {
    const fast = perSecond(() => work(native))
    const slow = perSecond(() => work(portable))
    return {
      what,
      figure: `${count(fast)} /s`,
      reference: `${(fast / slow).toFixed(1)} × portable (${count(slow)} /s)`,
    }
  })
}
