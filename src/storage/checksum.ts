/** CRC-32, as zlib computes it: here for few bytes, of which a call into zlib costs several times as much. */
import { crc32 } from 'node:zlib'

const SMALL_BYTES = 128

const POLYNOMIAL = 0xedb88320
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  return value
})

/** Goes on from `before` with the bytes from `start` on. */
export const checksum = (bytes: Buffer, before: number, start = 0): number => {
  if (bytes.length - start > SMALL_BYTES) return crc32(start === 0 ? bytes : bytes.subarray(start), before)
  let value = ~before
  for (let at = start; at < bytes.length; at++)
    value = (TABLE[(value ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8)
  return ~value >>> 0
}

export const textChecksum = (text: string): number => crc32(text)
