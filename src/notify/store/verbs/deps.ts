import type { Kv } from '../../../storage/kv.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { TakenPlace } from '../../../storage/kv.ts'
import type { Notification } from '../records.ts'
import type { ReceiptPlace } from './entries.ts'
import type { KeptAccount } from './rows.ts'

/** A map of at most so many entries: beyond them the one that was put first is removed. */
export interface Recent<V> {
  get(key: string): V | undefined
  put(key: string, value: V): void
  remove(key: string): void
}
export const createRecent = <V>(maxEntries: number): Recent<V> => {
  const items = new Map<string, V>()
  return {
    get: (key) => items.get(key),
    put(key, value) {
      items.delete(key)
      items.set(key, value)
      if (items.size <= maxEntries) return
      for (const oldest of items.keys()) {
        items.delete(oldest)
        return
      }
    },
    remove: (key) => void items.delete(key),
  }
}

/** An entry that was taken here: where it is, and where its receipt is. */
export interface TakenEntry {
  place: TakenPlace
  receipt: ReceiptPlace | undefined
}

export interface VerbDeps {
  kv: Kv
  clock: Pick<Clock, 'now'>
  /** The next place in the order of the outbox, which grows within this process. */
  nextPlace(): number
  taken: Recent<TakenEntry>
  /** Where the receipts of copies are that were sent from here: the relay reports them soon, and mostly here. */
  receiptPlaces: Recent<ReceiptPlace>
  /** Notifications that are kept, by their reference in hex. What is kept until an instant never changes. */
  kept: Recent<Notification>
  /** Accounts as they were last read: a commit follows a read, and a version never comes twice. */
  accounts: Recent<KeptAccount>
  ring(): void
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
