/** What the verbs of the store share: what this process remembers, and how places in the outbox are written. */
import { randomBytes } from 'node:crypto'
import type { BoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Kv, ReadAnswer, ReadRequest } from '../../../storage/kv.ts'
import { CHUNK_NAME_BYTES } from '../packed/heads.ts'
import { TIME_BYTES } from '../packed/ids.ts'
import type { ReceiptPlace } from '../packed/line-rows.ts'
import type { AccountRecord, Notification } from '../records.ts'

/** A part of a verb. */
export type Steps<R> = Generator<readonly ReadRequest[], R, readonly ReadAnswer[]>

/**
 * An entry that was taken here: until when, and where it is, because whoever has taken it completes it soon. Where receipts are
 * is of use longer: the relay reports soon, and mostly here, what was sent from here.
 */
export interface TakenEntry {
  partition: string
  /** Undefined for an entry that is no copy. */
  receipts: ReceiptPlace | undefined
  until: number
}

export interface VerbDeps {
  kv: Kv
  clock: Pick<Clock, 'now'>
  /** The next place in the order of the outbox, which grows within this process. */
  nextPlace(): number
  /** In the order in which they are made, in this process and mostly among all. */
  newChunkName(): Buffer
  /** By the ids of entries. */
  taken: BoundedMap<TakenEntry>
  /** Notifications that are kept, by their reference in hex. What is kept until an instant never changes. */
  kept: BoundedMap<Notification>
  /** Accounts as they were last read: a commit follows a read, and a version never comes twice. */
  accounts: BoundedMap<{ version: number; record: AccountRecord }>
  /** Tells listeners that the outbox has more. */
  ring(): void
}

/** Microseconds of a place, of which two chunks of one process never have the same 16. */
const CHUNK_TICKS = 16
const RANDOM_BYTES = 2 * 500

/** Random bytes cost less by the hundred. */
export const createChunkNames = (nextPlace: () => number): (() => Buffer) => {
  let [random, at, last] = [Buffer.alloc(0), 0, 0]
  return () => {
    if (at + 2 > random.length) [random, at] = [randomBytes(RANDOM_BYTES), 0]
    last = Math.max(last + 1, Math.floor(nextPlace() / CHUNK_TICKS))
    const name = Buffer.allocUnsafe(CHUNK_NAME_BYTES)
    name.writeUIntBE(last, 0, TIME_BYTES)
    name.set(random.subarray(at, at + 2), TIME_BYTES)
    at += 2
    return name
  }
}

/** A place in the outbox: its last byte says how many entries stand there. */
export const weighed = (place: number, entries: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUIntBE(Math.floor(place / 2 ** 32), 0, 3)
  bytes.writeUInt32BE(Math.floor(place) % 2 ** 32, 3)
  bytes[7] = entries
  return bytes
}
export const withWeight = (key: Buffer, entries: number): Buffer => {
  const next = Buffer.from(key)
  next[7] = entries
  return next
}
export const placeIn = (key: Buffer): number => key.readUIntBE(0, 3) * 2 ** 32 + key.readUInt32BE(3)

export const placeBytes = (place: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleBE(place)
  return bytes
}

export const groupBy = <T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}
