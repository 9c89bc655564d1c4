import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Crypto } from '../../src/platform/runtime/crypto.ts'
import { createNodeCrypto, loadSodium, crypto as native } from '../../src/platform/runtime/crypto-node.ts'
import { crypto as portable } from '../../src/platform/runtime/crypto-portable.ts'
import { concat, fromHex, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { runs } from '../support/runs.ts'

const sodium = loadSodium()
// Where sodium-native could not be installed the other two are still held to each other.
const all: [string, Crypto][] = [
  ['portable', portable],
  ['node:crypto', createNodeCrypto(undefined)],
  ...(sodium ? [['sodium-native', createNodeCrypto(sodium)] satisfies [string, Crypto]] : []),
]

/** What one implementation makes of it: its answer, or that it throws a RangeError. */
const outcome = (ask: (crypto: Crypto) => unknown, crypto: Crypto): unknown => {
  try {
    return ask(crypto)
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError)
    return 'RangeError'
  }
}
/** Asks all of them and gives the answer that they must agree on. */
const agreed = (ask: (crypto: Crypto) => unknown): unknown => {
  const [first, ...others] = all.map(([, crypto]) => outcome(ask, crypto))
  for (const other of others) expect(other).toStrictEqual(first)
  return first
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
/** Any UTF-16 code units. */
const text = fc.array(fc.nat({ max: 0xffff })).map((units) => String.fromCharCode(...units))
const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
/** Mostly the right length, sometimes another. */
const about = (length: number) => fc.oneof({ weight: 9, arbitrary: exactly(length) }, bytes(length * 2))
const MANY = { numRuns: runs(1000) }

/** One bit of it is turned, or it is cut or lengthened. */
const damaged = (whole: Uint8Array, where: number, how: number): Uint8Array => {
  if (how % 10 === 8) return whole.slice(0, where % whole.length)
  if (how % 10 === 9) return concat(whole, Uint8Array.of(where & 255))
  const copy = whole.slice()
  const at = where % copy.length
  copy[at] = (copy[at] ?? 0) ^ (1 << (how & 7))
  return copy
}
const anywhere = fc.nat({ max: 100_000 })

describe('the implementations of Crypto give the same bytes', () => {
  it('serves the native one to Node', () => {
    expect(Object.keys(native).sort()).toEqual(Object.keys(portable).sort())
    for (const [, crypto] of all) expect(crypto.sha256(utf8('abc'))).toEqual(native.sha256(utf8('abc')))
  })

  it('for hashes, MACs and derived keys', () => {
    fc.assert(
      fc.property(bytes(300), bytes(200), bytes(64), fc.integer({ min: 1, max: 200 }), (a, b, c, length) => {
        agreed((crypto) => crypto.sha256(a))
        agreed((crypto) => crypto.sha256Hex(a))
        agreed((crypto) => crypto.hmacSha256(b, a))
        agreed((crypto) => crypto.hkdfSha256(a, length))
        agreed((crypto) => crypto.hkdfSha256(a, length, b, c))
      }),
      MANY,
    )
  })

  it('for the hash of a text, halves of surrogate pairs included', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(agreed((crypto) => crypto.sha256Hex(value))).toBe(toHex(native.sha256(utf8(value))))
      }),
      MANY,
    )
  })

  it('for X25519, whatever the point', () => {
    fc.assert(
      fc.property(about(32), about(32), (privateKey, publicKey) => {
        agreed((crypto) => crypto.x25519PublicKey(privateKey))
        agreed((crypto) => crypto.x25519(privateKey, publicKey))
      }),
      MANY,
    )
  })

  // https://cr.yp.to/ecdh.html#validate, with and without the ignored top bit, and spelled beyond p.
  it.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000080',
  ])('refuses the X25519 point %s of low order', (point) => {
    expect(agreed((crypto) => crypto.x25519(new Uint8Array(32).fill(9), fromHex(point)))).toBeUndefined()
  })

  it('for Ed25519 signatures, and for damaged ones', () => {
    fc.assert(
      fc.property(exactly(32), bytes(200), anywhere, fc.nat(), (seed, message, where, how) => {
        const publicKey = agreed((crypto) => crypto.ed25519PublicKey(seed))
        const signature = agreed((crypto) => crypto.ed25519Sign(message, seed))
        if (!(publicKey instanceof Uint8Array && signature instanceof Uint8Array)) throw new Error('no bytes')
        expect(agreed((crypto) => crypto.ed25519Verify(signature, message, publicKey))).toBe(true)
        const forged = damaged(signature, where, how)
        expect(agreed((crypto) => crypto.ed25519Verify(forged, message, publicKey))).toBe(false)
        const other = damaged(publicKey, where, how)
        expect(agreed((crypto) => crypto.ed25519Verify(signature, message, other))).toBe(false)
        const more = concat(message, Uint8Array.of(0))
        expect(agreed((crypto) => crypto.ed25519Verify(signature, more, publicKey))).toBe(false)
      }),
      { numRuns: runs(500) },
    )
  })

  it('for anything offered as a signature', () => {
    fc.assert(
      fc.property(about(64), bytes(100), about(32), about(32), (signature, message, publicKey, seed) => {
        expect(agreed((crypto) => crypto.ed25519Verify(signature, message, publicKey))).toBe(false)
        agreed((crypto) => crypto.ed25519PublicKey(seed))
        agreed((crypto) => crypto.ed25519Sign(message, seed))
      }),
      MANY,
    )
  })

  // All points of small order in every spelling that fits 32 bytes. With one of them for a key, S = 0 and a fitting R
  // "sign" some message or all.
  const small = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000080',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  ].map(fromHex)

  it('takes no Ed25519 key and no R of small order, and nothing that is spelled beyond p', () => {
    for (const key of small) {
      for (const r of small) {
        for (const message of ['', 'a', 'b', 'c']) {
          const signature = concat(r, new Uint8Array(32))
          const answer = agreed((crypto) => crypto.ed25519Verify(signature, utf8(message), key))
          expect(answer, `${toHex(key)} ${toHex(r)}`).toBe(false)
        }
      }
    }
    const beyond = fromHex('f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')
    expect(agreed((crypto) => crypto.ed25519Verify(new Uint8Array(64), utf8('a'), beyond))).toBe(false)
  })

  it('takes no Ed25519 signature with S beyond the order of the group', () => {
    const seed = new Uint8Array(32).fill(3)
    const signature = portable.ed25519Sign(utf8('a'), seed)
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`) + order
    const larger = fromHex(s.toString(16).padStart(64, '0')).reverse()
    const again = concat(signature.slice(0, 32), larger)
    const publicKey = portable.ed25519PublicKey(seed)
    expect(agreed((crypto) => crypto.ed25519Verify(again, utf8('a'), publicKey))).toBe(false)
  })

  it('for sealing and opening, and for damaged ciphertexts', () => {
    fc.assert(
      fc.property(exactly(32), exactly(12), bytes(500), anywhere, fc.nat(), (key, iv, text, where, how) => {
        const sealed = agreed((crypto) => crypto.seal(key, iv, text))
        if (!(sealed instanceof Uint8Array)) throw new Error('no bytes')
        expect(agreed((crypto) => crypto.open(key, iv, sealed))).toEqual(text)
        expect(agreed((crypto) => crypto.open(key, iv, damaged(sealed, where, how)))).toBeUndefined()
        expect(agreed((crypto) => crypto.open(damaged(key, where, 1), iv, sealed))).toBeUndefined()
      }),
      MANY,
    )
  })

  it('for anything offered as a key, an iv and a ciphertext', () => {
    fc.assert(
      fc.property(about(32), about(12), bytes(60), (key, iv, text) => {
        agreed((crypto) => crypto.seal(key, iv, text))
        agreed((crypto) => crypto.open(key, iv, text))
      }),
      MANY,
    )
  })

  it('for long messages', () => {
    const key = portable.randomBytes(32)
    const text = portable.randomBytes(200_000)
    agreed((crypto) => crypto.seal(key, new Uint8Array(12), text))
    agreed((crypto) => crypto.ed25519Sign(text, key))
    agreed((crypto) => crypto.sha256(text))
  })

  it.each(all)('%s: keys of long ago work as well as recent ones', (_, crypto) => {
    const seedOf = (n: number) => portable.sha256(utf8(`seed ${n}`))
    const [first, second] = [crypto.ed25519PublicKey(seedOf(0)), crypto.ed25519Sign(utf8('a'), seedOf(0))]
    // More than are remembered; enough to show that for the slow one with few.
    for (let n = 1; n < (crypto === portable ? 50 : 1200); n++) crypto.ed25519PublicKey(seedOf(n))
    expect(crypto.ed25519PublicKey(seedOf(0))).toEqual(first)
    expect(crypto.ed25519Sign(utf8('a'), seedOf(0))).toEqual(second)
  })

  it.each(all)('%s: what a caller does to a key it was given harms nobody', (_, crypto) => {
    const seed = new Uint8Array(32).fill(7)
    const publicKey = crypto.ed25519PublicKey(seed)
    const copy = publicKey.slice()
    publicKey.fill(0)
    expect(crypto.ed25519PublicKey(seed)).toEqual(copy)
    const agreement = crypto.x25519PublicKey(seed)
    const agreementCopy = agreement.slice()
    agreement.fill(0)
    expect(crypto.x25519PublicKey(seed)).toEqual(agreementCopy)
  })

  it.each(all)('%s: random bytes have the length that was asked for and differ', (_, crypto) => {
    for (const length of [0, 1, 12, 32, 65_536, 200_000])
      expect(crypto.randomBytes(length)).toHaveLength(length)
    expect(crypto.randomBytes(32)).not.toEqual(crypto.randomBytes(32))
    expect(crypto.randomBytes(200_000).subarray(-32)).not.toEqual(new Uint8Array(32))
  })
})
