/** MessagePack, as `cmsgpack.unpack` of Redis reads it: lists, whole numbers of 32 bits, and bytes. */

import { ZERO_MARK } from './rows.ts'

/** Of a list, of a number, of bytes. */
const MAX_HEAD_BYTES = 5
/** Bytes that are copied one by one, which is faster than a call into the engine. */
const SMALL_BYTES = 32

/** A class, because one is made for every batch: its methods are made once. */
export class Packing {
  #room: Buffer
  #at = 0

  /** `bytes`: about how many it will be. */
  constructor(bytes: number) {
    this.#room = Buffer.allocUnsafe(bytes)
  }

  #reserve(length: number): void {
    const least = this.#at + length
    if (least <= this.#room.length) return
    const room = Buffer.allocUnsafe(Math.max(least, 2 * this.#room.length))
    this.#room.copy(room, 0, 0, this.#at)
    this.#room = room
  }

  #head(type: number, value: number): void {
    this.#reserve(MAX_HEAD_BYTES)
    this.#room[this.#at] = type
    this.#at = this.#room.writeUInt32BE(value, this.#at + 1)
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#room[this.#at] = value
    this.#at += 1
  }

  /** Its items follow. */
  list(length: number): void {
    if (length < 16) this.#byte(0x90 | length)
    else this.#head(0xdd, length)
  }

  whole(value: number): void {
    if (value < 128) this.#byte(value)
    else this.#head(0xce, value)
  }

  /** Bytes that follow as `raw`. */
  begin(length: number): void {
    if (length < 32) this.#byte(0xa0 | length)
    else this.#head(0xdb, length)
  }

  raw(value: Buffer): void {
    this.#reserve(value.length)
    if (value.length > SMALL_BYTES) this.#room.set(value, this.#at)
    else for (let nth = 0; nth < value.length; nth++) this.#room[this.#at + nth] = value[nth] ?? 0
    this.#at += value.length
  }

  /** A key in the order of its set: see `rows.ts`. */
  escaped(key: Buffer): void {
    this.#reserve(2 * key.length)
    let at = this.#at
    for (let nth = 0; nth < key.length; nth++) {
      const byte = key[nth] ?? 0
      this.#room[at++] = byte
      if (byte === 0) this.#room[at++] = ZERO_MARK
    }
    this.#at = at
  }

  bytes(value: Buffer): void {
    this.begin(value.length)
    this.raw(value)
  }

  ascii(text: string): void {
    this.begin(text.length)
    this.#reserve(text.length)
    for (let nth = 0; nth < text.length; nth++) this.#room[this.#at + nth] = text.charCodeAt(nth)
    this.#at += text.length
  }

  /** What was packed. */
  get packed(): Buffer {
    return this.#room.subarray(0, this.#at)
  }
}
