import type { NotifyStore, OutboxEntry, OutboxLease } from '../../../notify/store/store.ts'
import { endOf, name, number } from '../../bytes.ts'
import { ifWhole } from '../../damaged-row.ts'
import type { Env } from '../env.ts'
import { createHeap } from '../heap.ts'
import type { Tables } from './tables.ts'

export interface Outbox
  extends Pick<NotifyStore, 'takeOutbox' | 'returnOutbox' | 'outboxSize' | 'onOutbox' | 'outboxEntries'> {
  /** Adds entries, within a transaction; an id that exists is left as it is. */
  add(entries: readonly OutboxEntry[]): void
  /** Adds an entry that is leased, within a transaction. Its id is made here. */
  addLeased<E extends Omit<OutboxEntry, 'id'>>(entry: E, lease: OutboxLease): E & { id: string }
  /** Puts entries of another store into their places, within a transaction; bears repetition. None may be leased. */
  restore(entries: readonly { place: number; entry: OutboxEntry }[]): void
  /**
   * Runs a transaction that may remove entries; `remove` returns whether the entry was there. From then on no worker
   * takes what is removed; reads see it until the commit.
   */
  write<T>(work: (remove: (id: string) => boolean) => T): Promise<T>
  /** Whether no worker holds the entry at `now`. */
  isFree(id: string, now: number): boolean
  /** Tells the listeners, after the transaction. */
  ring(): void
}

const PAGE_SIZE = 500

const openOutbox = (env: Env, tables: Tables) => {
  const { outbox, outboxIds } = tables
  const listeners = new Set<() => void>()
  const lastNumber = 0
  const position = 0
  const held = new Map<number, { freeAt: number; isReturned: boolean }>()
  /** Removed by transactions that are not committed yet. */
  const leaving = new Set<number>()
  // What these heaps hold may be out of date: an item counts only while `held` (or the table) agrees with it.
  const waiting = createHeap<{ n: number; freeAt: number }>((a, b) => a.freeAt < b.freeAt)
  const free = createHeap<number>((a, b) => a < b)
  return { env, tables, outbox, outboxIds, listeners, lastNumber, position, held, leaving, waiting, free }
}
type OutboxState = ReturnType<typeof openOutbox>

const hold = (state: OutboxState, n: number, freeAt: number, isReturned = false) => {
  state.held.set(n, { freeAt, isReturned })
  state.waiting.push({ n, freeAt })
}

const append = (state: OutboxState, entry: OutboxEntry): number => {
  state.lastNumber += 1
  state.outbox.put(number(state.lastNumber), entry)
  state.outboxIds.put(name(entry.id), state.lastNumber)
  return state.lastNumber
}

const entryVerbs = (
  state: OutboxState,
): Pick<Outbox, 'add' | 'addLeased' | 'restore' | 'outboxEntries' | 'outboxSize' | 'write'> => ({
  add(entries) {
    for (const entry of entries) if (state.outboxIds.get(name(entry.id)) === undefined) append(state, entry)
  },

  addLeased(entry, { worker, until }) {
    const added = { ...entry, id: `batch:${worker}:${state.lastNumber + 1}` }
    hold(state, append(state, added), until)
    return added
  },

  restore(entries) {
    for (const { place, entry } of entries) {
      const id = name(entry.id)
      if (state.outboxIds.get(id) !== undefined) continue
      // Two of an engine that counts in several places may have the same one.
      let n = place
      while (state.outbox.get(number(n)) !== undefined) n += 1
      state.outbox.put(number(n), entry)
      state.outboxIds.put(id, n)
      state.lastNumber = Math.max(state.lastNumber, n)
    }
  },

  async *outboxEntries() {
    for (let from: Buffer | undefined; ; ) {
      const start = from && endOf(from)
      const page = [...state.outbox.getRange(start ? { start, limit: PAGE_SIZE } : { limit: PAGE_SIZE })]
      yield* page.map(({ value }) => value)
      from = page.at(-1)?.key
      if (page.length < PAGE_SIZE) return
    }
  },

  outboxSize: async () => state.outbox.size(),

  async write(work) {
    const removed: number[] = []
    const remove = (id: string) => {
      const n = state.outboxIds.get(name(id))
      if (n === undefined) return false
      state.outboxIds.remove(name(id))
      state.outbox.remove(number(n))
      removed.push(n)
      state.leaving.add(n)
      return true
    }
    try {
      const result = await state.env.transaction(() => work(remove))
      for (const n of removed) state.held.delete(n)
      return result
    } catch (error) {
      // They exist still; takes that ran meanwhile have passed them over.
      for (const n of removed) if (n <= state.position && !state.held.has(n)) state.free.push(n)
      throw error
    } finally {
      for (const n of removed) state.leaving.delete(n)
    }
  },
})

const leaseVerbs = (state: OutboxState): Pick<Outbox, 'takeOutbox' | 'isFree' | 'returnOutbox'> => ({
  async takeOutbox({ limit, now, until }) {
    for (let next = state.waiting.peek(); next && next.freeAt <= now; next = state.waiting.peek()) {
      state.waiting.pop()
      if (state.held.get(next.n)?.freeAt !== next.freeAt) continue
      state.held.delete(next.n)
      state.free.push(next.n)
    }
    const taken: OutboxEntry[] = []
    // What comes back was inserted before anything that was never taken.
    while (taken.length < limit) {
      const n = state.free.pop()
      if (n === undefined) break
      if (state.held.has(n) || state.leaving.has(n)) continue
      const entry = ifWhole(() => state.outbox.get(number(n)))
      if (!entry) continue
      hold(state, n, until)
      taken.push(entry)
    }
    if (taken.length < limit) {
      const start = endOf(number(state.position))
      // Behind one that is damaged others wait.
      for (const { key: at, value } of state.outbox.getSoundRange({ start, limit: limit - taken.length })) {
        state.position = at.readDoubleBE()
        if (!value || state.leaving.has(state.position) || state.held.has(state.position)) continue
        hold(state, state.position, until)
        taken.push(value)
      }
    }
    return taken
  },

  isFree(id, now) {
    const n = state.outboxIds.get(name(id))
    const holding = n === undefined ? undefined : state.held.get(n)
    return n !== undefined && (!holding || holding.isReturned || holding.freeAt <= now)
  },

  async returnOutbox(ids, at) {
    for (const id of ids) {
      const n = state.outboxIds.get(name(id))
      if (n !== undefined && state.held.has(n)) hold(state, n, at, true)
    }
  },
})

const listenerVerbs = (state: OutboxState): Pick<Outbox, 'ring' | 'onOutbox'> => ({
  ring() {
    for (const listener of state.listeners) listener()
  },

  onOutbox(listener) {
    const call = () => listener()
    state.listeners.add(call)
    return { [Symbol.dispose]: () => void state.listeners.delete(call) }
  },
})

/**
 * The outbox: entries by insertion number.
 *
 * Leases are in memory on purpose. LMDB serves one process, its workers end with it, and then every entry is free at
 * once: a lease on disk would only delay delivery after a restart, and cost a write per take. So a take is a read:
 * `position` is how far entries have been taken at all; `held` are those that were taken, or added for a worker, and are
 * not completed, each with the time from which it is free again. Those return through two heaps (by time, then by number), so a take costs what
 * it takes, however many entries wait or are held.
 */
export const createLmdbOutbox = (env: Env, tables: Tables): Outbox => {
  const state = openOutbox(env, tables)
  for (const at of state.outbox.getKeys({ reverse: true, limit: 1 })) state.lastNumber = at.readDoubleBE()
  return {
    ...entryVerbs(state),
    ...leaseVerbs(state),
    ...listenerVerbs(state),
  }
}
