import type { NotifyStore, OutboxEntry } from '../../../notify/store/store.ts'
import { endOf, name, number } from '../bytes.ts'
import type { Env } from '../env.ts'
import { createHeap } from '../heap.ts'
import type { Tables } from './tables.ts'

export interface Outbox
  extends Pick<NotifyStore, 'takeOutbox' | 'returnOutbox' | 'outboxSize' | 'onOutbox' | 'outboxOf'> {
  /** Adds entries, within a transaction; an id that is there already is left as it is. */
  add(entries: readonly OutboxEntry[]): void
  /** Puts entries of another store into their places, within a transaction; bears repetition. Nobody may have taken any. */
  restore(entries: readonly { place: number; entry: OutboxEntry }[]): void
  /**
   * Runs a transaction that may remove entries; `remove` answers whether the entry was there. What is removed is taken
   * by nobody from that moment on: reads see it until the commit.
   */
  write<T>(work: (remove: (id: string) => boolean) => T): Promise<T>
  /** Whether no worker holds the entry at `now`. */
  isFree(id: string, now: number): boolean
  /** Tells the listeners, after the transaction. */
  ring(): void
}

const PAGE = 500

/**
 * The outbox: entries by insertion number.
 *
 * Leases are in memory on purpose. LMDB serves one process, its workers end with it, and then every entry is free at
 * once: a lease on disk would only delay delivery after a restart, and cost a write per take. So a take is a read:
 * `position` is how far entries have been taken at all; `held` are the taken ones that are not completed, each with
 * the time from which it is free again. Those return through two heaps (by time, then by number), so a take costs what
 * it takes, however many entries wait or are held.
 */
export const createLmdbOutbox = (env: Env, tables: Tables): Outbox => {
  const { outbox, outboxIds } = tables
  const listeners = new Set<() => void>()
  let lastNumber = 0
  for (const at of outbox.getKeys({ reverse: true, limit: 1 })) lastNumber = at.readDoubleBE()
  let position = 0
  const held = new Map<number, { freeAt: number; isReturned: boolean }>()
  /** Removed by transactions that are not committed yet. */
  const leaving = new Set<number>()
  // What these heaps hold may be out of date: an item counts only while `held` (or the table) agrees with it.
  const waiting = createHeap<{ n: number; freeAt: number }>((a, b) => a.freeAt < b.freeAt)
  const free = createHeap<number>((a, b) => a < b)

  const hold = (n: number, freeAt: number, isReturned = false) => {
    held.set(n, { freeAt, isReturned })
    waiting.push({ n, freeAt })
  }

  return {
    add(entries) {
      for (const entry of entries) {
        const id = name(entry.id)
        if (outboxIds.get(id) !== undefined) continue
        lastNumber += 1
        outbox.put(number(lastNumber), entry)
        outboxIds.put(id, lastNumber)
      }
    },

    restore(entries) {
      for (const { place, entry } of entries) {
        const id = name(entry.id)
        if (outboxIds.get(id) !== undefined) continue
        // Two of an engine that counts in several places may have the same one.
        let n = place
        while (outbox.get(number(n)) !== undefined) n += 1
        outbox.put(number(n), entry)
        outboxIds.put(id, n)
        lastNumber = Math.max(lastNumber, n)
      }
    },

    // There is no index by account: an operator asks, and rarely.
    async *outboxOf() {
      for (let from: Buffer | undefined; ; ) {
        const start = from && endOf(from)
        const page = [...outbox.getRange(start ? { start, limit: PAGE } : { limit: PAGE })]
        yield* page.map(({ value }) => value)
        from = page.at(-1)?.key
        if (page.length < PAGE) return
      }
    },

    ring() {
      for (const listener of listeners) listener()
    },

    async takeOutbox({ limit, now, until }) {
      for (let next = waiting.peek(); next && next.freeAt <= now; next = waiting.peek()) {
        waiting.pop()
        if (held.get(next.n)?.freeAt !== next.freeAt) continue
        held.delete(next.n)
        free.push(next.n)
      }
      const taken: OutboxEntry[] = []
      // What comes back was inserted before anything that was never taken.
      while (taken.length < limit) {
        const n = free.pop()
        if (n === undefined) break
        if (held.has(n) || leaving.has(n)) continue
        const entry = outbox.get(number(n))
        if (!entry) continue
        hold(n, until)
        taken.push(entry)
      }
      if (taken.length < limit) {
        const start = endOf(number(position))
        for (const { key: at, value } of outbox.getRange({ start, limit: limit - taken.length })) {
          position = at.readDoubleBE()
          if (leaving.has(position)) continue
          hold(position, until)
          taken.push(value)
        }
      }
      return taken
    },

    async write(work) {
      const removed: number[] = []
      const remove = (id: string) => {
        const n = outboxIds.get(name(id))
        if (n === undefined) return false
        outboxIds.remove(name(id))
        outbox.remove(number(n))
        removed.push(n)
        leaving.add(n)
        return true
      }
      try {
        const result = await env.transaction(() => work(remove))
        for (const n of removed) held.delete(n)
        return result
      } catch (error) {
        // They are there still; whoever came by in the meantime has passed them over.
        for (const n of removed) if (n <= position && !held.has(n)) free.push(n)
        throw error
      } finally {
        for (const n of removed) leaving.delete(n)
      }
    },

    isFree(id, now) {
      const n = outboxIds.get(name(id))
      const holding = n === undefined ? undefined : held.get(n)
      return n !== undefined && (!holding || holding.isReturned || holding.freeAt <= now)
    },

    async returnOutbox(ids, at) {
      for (const id of ids) {
        const n = outboxIds.get(name(id))
        if (n !== undefined && held.has(n)) hold(n, at, true)
      }
    },

    async outboxSize() {
      // Kept by LMDB at the root of the table: no counting.
      const { entryCount = 0 }: { entryCount?: number } = outbox.getStats()
      return entryCount
    },

    onOutbox(listener) {
      const call = () => listener()
      listeners.add(call)
      return { [Symbol.dispose]: () => void listeners.delete(call) }
    },
  }
}
