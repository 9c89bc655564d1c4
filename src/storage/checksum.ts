/** CRC-32, as zlib computes it: here for few bytes, of which a call into zlib costs several times as much. */
import { crc32 } from 'node:zlib'

const SMALL_BYTES = 128

const POLYNOMIAL = 0xedb88320
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  return value
})

/** Goes on from `before` with the bytes from `start` to `end`. */
export const checksum = (bytes: Buffer, before: number, start = 0, end = bytes.length): number => {
  if (end - start > SMALL_BYTES) return crc32(bytes.subarray(start, end), before)
  let value = ~before
  for (let at = start; at < end; at++) value = (TABLE[(value ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8)
  return ~value >>> 0
}

/**
 * Which one bit has turned, when the checksum of `length` bytes differs by this much: how many bytes stand behind it, and its
 * mask. A CRC-32 tells any two bits of a message apart, and those of the checksum itself.
 */
export const turnedBit = (
  difference: number,
  length: number,
): { behind: number; mask: number } | undefined => {
  const byBit = Int32Array.from({ length: 8 }, (_, bit) => TABLE[1 << bit] ?? 0)
  for (let behind = 0; behind < length; behind++) {
    for (const [bit, value] of byBit.entries()) {
      if (value === (difference | 0)) return { behind, mask: 1 << bit }
      byBit[bit] = (TABLE[value & 0xff] ?? 0) ^ (value >>> 8)
    }
  }
  return undefined
}

/** Of a text in UTF-8; goes on from `before`. */
export const textChecksum = (text: string, before = 0): number => crc32(text, before)
