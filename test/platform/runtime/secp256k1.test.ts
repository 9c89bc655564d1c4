import { secp256k1 as curve } from '@noble/curves/secp256k1.js'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Secp256k1 } from '../../../src/platform/runtime/secp256k1.ts'
import { secp256k1 as native } from '../../../src/platform/runtime/secp256k1-node.ts'
import { secp256k1 as portable } from '../../../src/platform/runtime/secp256k1-portable.ts'
import { concat, fromHex, toHex } from '../../../src/protocol/bytes.ts'
import { runs } from '../../support/runs.ts'

const ORDER = curve.Point.Fn.ORDER
const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const parity = fc.constantFrom(0 as const, 1 as const)
const MANY = { numRuns: runs(200) }

const agreed = (...asked: Parameters<Secp256k1['recoverKey']>): string | undefined => {
  const [one, other] = [native, portable].map(({ recoverKey }) => recoverKey(...asked))
  expect(one && toHex(one)).toBe(other && toHex(other))
  return one && toHex(one)
}
const word = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0'))
const secretKey = exactly(32).filter((bytes) => curve.utils.isValidSecretKey(bytes))

it('finds the key that signed, with a low and with a high s', () => {
  fc.assert(
    fc.property(secretKey, exactly(32), (secret, hash) => {
      const signature = curve.sign(hash, secret, { prehash: false, format: 'recovered' })
      const bit = signature[0] === 1 ? 1 : 0
      const rs = signature.subarray(1)
      const key = toHex(curve.getPublicKey(secret, false))
      expect(agreed(hash, rs, bit)).toBe(key)
      expect(agreed(hash, rs, bit === 1 ? 0 : 1)).not.toBe(key)
      // The other `s` of the signature is that of the other point.
      const s = BigInt(`0x${toHex(rs.subarray(32))}`)
      expect(agreed(hash, concat(rs.subarray(0, 32), word(ORDER - s)), bit === 1 ? 0 : 1)).toBe(key)
    }),
    MANY,
  )
})

it('gives the same for whatever else it is given, damaged signatures, numbers at the edges and other lengths', () => {
  fc.assert(
    fc.property(exactly(32), exactly(64), parity, (hash, rs, bit) => void agreed(hash, rs, bit)),
    MANY,
  )
  const hash = word(7n)
  const numbers = [0n, 1n, 2n, 5n, ORDER - 1n, ORDER, ORDER + 1n, 2n ** 256n - 1n]
  const found = numbers.flatMap((r) =>
    numbers.flatMap((s) => [agreed(hash, concat(word(r), word(s)), 0) ?? []].flat()),
  )
  // Both below the order, neither zero, and `r` on the curve.
  expect(found.length).toBeGreaterThan(0)
  expect(found.length).toBeLessThanOrEqual(16)
  expect(agreed(word(0n), concat(word(1n), word(1n)), 1)).toEqual(expect.any(String))
  for (const [short, rs] of [
    [new Uint8Array(31), new Uint8Array(64)],
    [hash, new Uint8Array(63)],
    [hash, new Uint8Array(65)],
    [new Uint8Array(0), new Uint8Array(0)],
  ] as const)
    expect(agreed(short, rs, 0)).toBeUndefined()
})
