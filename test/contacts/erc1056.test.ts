import { secp256k1 } from '@noble/curves/secp256k1.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Action, digestOf, digestSignedBy, registryOf } from '../../src/contacts/erc1056.ts'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { HEX, signerOf } from '../support/world/contacts.ts'
import edges from '../vectors/edges.json' with { type: 'json' }

const { erc1056: vector } = edges
const bytes = (hex: string) => fromHex(hex.slice(2))
const value = bytes(vector.value)
const set: Action = { act: 'set', name: HEX, value, validity: vector.validity }
const revoke: Action = { act: 'revoke', name: HEX, value }
const by = { registry: vector.registry, nonce: vector.nonce, identity: vector.address }
const given = ({ r, s, v }: { r: string; s: string; v: number }) => ({ r: bytes(r), s: bytes(s), v })
const signature = given(vector.setAttributeSignature)
const ORDER = secp256k1.Point.Fn.ORDER
const SPACE = 0x20

describe('the vectors of a published signer', () => {
  it('have the same digests and verify', () => {
    expect(`0x${toHex(digestOf(set, by))}`).toBe(vector.setAttributeDigest)
    expect(`0x${toHex(digestOf(revoke, by))}`).toBe(vector.revokeDigest)
    expect(digestSignedBy(set, by, signature)).toEqual(bytes(vector.setAttributeDigest))
    expect(digestSignedBy(revoke, by, given(vector.revokeSignature))).toEqual(bytes(vector.revokeDigest))
  })

  it('do not verify for anything else', () => {
    const others: [Action, typeof by][] = [
      [revoke, by],
      [{ ...set, validity: vector.validity - 1 }, by],
      [{ ...set, name: 'xmtp/installation/base64' }, by],
      [{ ...set, value: value.subarray(1) }, by],
      [set, { ...by, nonce: 4 }],
      [set, { ...by, registry: registryOf('did:web:example.com') }],
      [set, { ...by, identity: `0x${'11'.repeat(20)}` }],
    ]
    for (const [action, other] of others) expect(digestSignedBy(action, other, signature)).toBeUndefined()
  })
})

describe('a signature', () => {
  it('is good with the bare parity, too, and with no other v', () => {
    expect(digestSignedBy(set, by, { ...signature, v: signature.v - 27 })).toBeDefined()
    for (const v of [2, 3, 26, 29, 30, 37, 255]) {
      expect(digestSignedBy(set, by, { ...signature, v })).toBeUndefined()
    }
  })

  it('is refused in its other form, which anybody can make', () => {
    const s = ORDER - BigInt(`0x${toHex(signature.s)}`)
    const other = { r: signature.r, s: fromHex(s.toString(16).padStart(64, '0')), v: 55 - signature.v }
    expect(
      secp256k1.verify(
        fromHex(toHex(other.r) + toHex(other.s)),
        bytes(vector.setAttributeDigest),
        secp256k1.getPublicKey(bytes(vector.privateKey)),
        { prehash: false, lowS: false },
      ),
    ).toBe(true)
    expect(digestSignedBy(set, by, other)).toBeUndefined()
  })

  it('is refused with any bit flipped', () => {
    for (let bit = 0; bit < 512; bit++) {
      const flipped = { r: signature.r.slice(), s: signature.s.slice(), v: signature.v }
      const part = bit < 256 ? flipped.r : flipped.s
      part[(bit % 256) >> 3] = (part[(bit % 256) >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(digestSignedBy(set, by, flipped)).toBeUndefined()
    }
  })

  it('of nothing, or of more than the curve has, is no signature', () => {
    const zero = new Uint8Array(32)
    for (const odd of [zero, new Uint8Array(32).fill(0xff)]) {
      expect(digestSignedBy(set, by, { ...signature, r: odd })).toBeUndefined()
      expect(digestSignedBy(set, by, { ...signature, s: odd })).toBeUndefined()
    }
  })

  it('is good whichever way the name is filled up, of whoever signed whatever', () => {
    fc.assert(
      fc.property(
        fc
          .uint8Array({ minLength: 32, maxLength: 32 })
          .filter((secret) => secp256k1.utils.isValidSecretKey(secret)),
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.maxSafeNat(),
        fc.constantFrom(0, SPACE),
        (secret, signedValue, nonce, padding) => {
          const signer = signerOf(secret)
          const own = { registry: registryOf('did:web:example.com'), nonce, identity: signer.address }
          const action: Action = { act: 'revoke', name: HEX, value: signedValue }
          const digest = digestOf(action, own, padding)
          expect(digestSignedBy(action, own, given(signer.sign(digest)))).toEqual(digest)
        },
      ),
      { numRuns: 20 },
    )
  })
})

it('the registry is the end of the hash of the name', () => {
  // As another implementation of Keccak has it.
  expect(registryOf('did:web:example.com')).toBe('0x173a347faed486bb69081ef673c6e52c03f57f3e')
})
