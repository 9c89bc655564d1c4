import { randomBytes } from 'node:crypto'
import type { Kv } from '../../../storage/kv.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { TakenPlace } from '../../../storage/kv.ts'
import type { AccountRecord, Notification } from '../records.ts'
import type { ReceiptPlace } from './entries.ts'

/** A map that forgets: it has what was put last, at least so many entries, and at most twice as many. */
export interface Recent<V> {
  get(key: string): V | undefined
  put(key: string, value: V): void
}
/** Whole generations go: the first key of a map of which many were removed is found by walking over all of them. */
export const createRecent = <V>(minEntries: number): Recent<V> => {
  let [young, old] = [new Map<string, V>(), new Map<string, V>()]
  return {
    get: (key) => young.get(key) ?? old.get(key),
    put(key, value) {
      young.set(key, value)
      if (young.size >= minEntries) [young, old] = [new Map(), young]
    },
  }
}

/**
 * A row of the outbox that was taken here: where it is until it is gone, and where its receipts are: the relay reports soon,
 * and mostly here, what was sent from here.
 */
export interface TakenRow {
  partition: string
  handle: TakenPlace['handle'] | undefined
  receipts: ReceiptPlace | undefined
}

export interface VerbDeps {
  kv: Kv
  clock: Pick<Clock, 'now'>
  /** The next place in the order of the outbox, which grows within this process. */
  nextPlace(): number
  /** A random one: it is new. */
  newChunkName(): Buffer
  /** By the ids of its entries. */
  taken: Recent<TakenRow>
  /** Notifications that are kept, by their reference in hex. What is kept until an instant never changes. */
  kept: Recent<Notification>
  /** Accounts as they were last read: a commit follows a read, and a version never comes twice. */
  accounts: Recent<{ version: number; record: AccountRecord }>
  ring(): void
}

const RANDOM_BYTES = 6 * 500
/** Random bytes cost less by the hundred. */
export const createNames = (length: number): (() => Buffer) => {
  let [bytes, at] = [Buffer.alloc(0), 0]
  return () => {
    if (at + length > bytes.length) [bytes, at] = [randomBytes(RANDOM_BYTES), 0]
    at += length
    return bytes.subarray(at - length, at)
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
