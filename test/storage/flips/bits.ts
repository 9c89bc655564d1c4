/** Bits of files that follow from a number, so that a failure can be repeated. */
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs'
import { createRandom } from '../sigkill/random.ts'

const PAGE_BYTES = 4_096
/** Of a page, what the engine goes by: its header and the places of its first nodes. */
const HEAD_BYTES = 96
/** Of each of the first two pages, what says where everything is. */
const META = { pages: 2, from: 16, to: 168 }

export interface Bit {
  at: number
  bit: number
}

/** Anywhere in a file; every third one where the engine looks first, and every tenth one where it begins. */
export const bitOf = (seed: number, bytes: number): Bit => {
  const random = createRandom(seed)
  const bit = random(8)
  if (seed % 10 === 0)
    return { at: random(META.pages) * PAGE_BYTES + META.from + random(META.to - META.from), bit }
  if (seed % 3 === 0) return { at: random(bytes / PAGE_BYTES) * PAGE_BYTES + random(HEAD_BYTES), bit }
  return { at: random(bytes), bit }
}

export const flip = (file: string, { at, bit }: Bit): void => {
  const handle = openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  readSync(handle, byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ (1 << bit)
  writeSync(handle, byte, 0, 1, at)
  closeSync(handle)
}

/** Turns so many bits wherever the text stands in the file, and answers in how many places; what maps the file sees it at once. */
export const turnText = (file: string, text: string, bits = 1): number => {
  const bytes = readFileSync(file)
  let places = 0
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) {
    for (let nth = 0; nth < bits; nth++) flip(file, { at: at + nth, bit: 0 })
    places += 1
  }
  return places
}

export const bytesOf = (file: string): number => statSync(file).size
