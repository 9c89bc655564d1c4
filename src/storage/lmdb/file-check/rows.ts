/** Rows as the file has them: a value stands behind its checksum (`../row-codec.ts`). */
import { checksum, turnedBit } from '../../checksum.ts'
import { CHECKSUM_BYTES } from '../row-codec.ts'
import { Damage } from './layout.ts'

/** Bytes where they lie. */
export interface Place {
  bytes: Buffer
  at: number
  end: number
  /** Where in the file the first one of `bytes` is. */
  fileAt: number
}

/** A byte of the file as it was written, and of which table it is. */
export interface Repair {
  at: number
  byte: number
  title: string
}

/** Turns a bit back where one alone explains the checksum; answers where, or undefined. */
const turnBack = (
  { key, value }: { key: Place; value: Place },
  difference: number,
): { place: Place; at: number } | undefined => {
  const turn = (place: Place, at: number, mask: number) => {
    place.bytes[at] = (place.bytes[at] ?? 0) ^ mask
    return { place, at }
  }
  const ofChecksum = Math.log2(difference)
  if (Number.isInteger(ofChecksum))
    return turn(value, value.at + 3 - (ofChecksum >> 3), 1 << (ofChecksum & 7))
  const content = value.end - value.at - CHECKSUM_BYTES
  const turned = turnedBit(difference, key.end - key.at + content)
  if (!turned) return undefined
  const { behind, mask } = turned
  return behind < content
    ? turn(value, value.end - 1 - behind, mask)
    : turn(key, key.end - 1 - (behind - content), mask)
}

/** Throws for a row that has another checksum, unless one bit explains it: then the bytes and `repairs` have it back. */
export const checkRow = (
  title: string,
  seed: number,
  { key, value }: { key: Place; value: Place },
  repairs: Repair[],
): void => {
  if (value.end - value.at < CHECKSUM_BYTES) throw new Damage(`a row of ${title} is too short`)
  const ofKey = checksum(key.bytes, seed, key.at, key.end)
  const expected = checksum(value.bytes, ofKey, value.at + CHECKSUM_BYTES, value.end)
  const stored = value.bytes.readUInt32BE(value.at)
  if (stored === expected) return
  const turned = turnBack({ key, value }, (stored ^ expected) >>> 0)
  if (!turned) throw new Damage(`a row of ${title} has another checksum`)
  const { place, at } = turned
  repairs.push({ at: place.fileAt + at, byte: place.bytes[at] ?? 0, title })
}
