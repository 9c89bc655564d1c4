/** CRC-32, as zlib computes it: here for few bytes, of which a call into zlib costs several times as much. */
import { crc32 } from 'node:zlib'

const SMALL_BYTES = 384

const POLYNOMIAL = 0xedb88320
const STEP_BYTES = 8
/** For each byte of a step, what it makes of the checksum when so many zeros follow it: the last byte first. */
const TABLE = new Int32Array(256 * STEP_BYTES)
for (let byte = 0; byte < 256; byte++) {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  TABLE[byte] = value
}
const tableAt = (at: number): number => TABLE[at] ?? 0
for (let at = 256; at < TABLE.length; at++) {
  const before = tableAt(at - 256)
  TABLE[at] = tableAt(before & 0xff) ^ (before >>> 8)
}

/**
 * Goes on from `before` with the bytes from `start` to `end`. Takes ten times as long when it is called with arrays of many
 * shapes: with buffers that carry properties of their own, as those of an engine do.
 */
export const checksum = (bytes: Uint8Array, before: number, start = 0, end = bytes.length): number => {
  if (end - start > SMALL_BYTES) {
    const isWhole = start === 0 && end === bytes.length
    return crc32(isWhole ? bytes : bytes.subarray(start, end), before)
  }
  let value = ~before
  let at = start
  for (; at + STEP_BYTES <= end; at += STEP_BYTES) {
    value ^=
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)
    value =
      tableAt(1792 + (value & 0xff)) ^
      tableAt(1536 + ((value >>> 8) & 0xff)) ^
      tableAt(1280 + ((value >>> 16) & 0xff)) ^
      tableAt(1024 + (value >>> 24)) ^
      tableAt(768 + (bytes[at + 4] ?? 0)) ^
      tableAt(512 + (bytes[at + 5] ?? 0)) ^
      tableAt(256 + (bytes[at + 6] ?? 0)) ^
      tableAt(bytes[at + 7] ?? 0)
  }
  for (; at < end; at++) value = tableAt((value ^ (bytes[at] ?? 0)) & 0xff) ^ (value >>> 8)
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
  const byBit = Int32Array.from({ length: 8 }, (_, bit) => tableAt(1 << bit))
  for (let behind = 0; behind < length; behind++) {
    for (const [bit, value] of byBit.entries()) {
      if (value === (difference | 0)) return { behind, mask: 1 << bit }
      byBit[bit] = tableAt(value & 0xff) ^ (value >>> 8)
    }
  }
  return undefined
}

/** Of a text in UTF-8; goes on from `before`. */
export const textChecksum = (text: string, before = 0): number => crc32(text, before)
