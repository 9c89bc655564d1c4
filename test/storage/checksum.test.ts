import { crc32 } from 'node:zlib'
import { expect, it } from 'vitest'
import { checksum, turnedBit } from '../../src/storage/checksum.ts'

const bytes = Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 151) & 0xff))

it('is that of zlib, of so many bytes from wherever on', () => {
  for (let length = 0; length < 450; length++) {
    const start = length % 11
    expect(checksum(bytes, 7, start, start + length)).toBe(crc32(bytes.subarray(start, start + length), 7))
  }
})

it('tells which bit has turned', () => {
  const before = checksum(bytes, 0)
  for (const [at, mask] of [
    [0, 1],
    [250, 128],
    [499, 16],
  ] as const) {
    const turned = Buffer.from(bytes)
    turned[at] = (turned[at] ?? 0) ^ mask
    const difference = (checksum(turned, 0) ^ before) >>> 0
    expect(turnedBit(difference, bytes.length)).toEqual({ behind: 499 - at, mask })
  }
})
