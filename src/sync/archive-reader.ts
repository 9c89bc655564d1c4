/** How a replica reads from an archive what the relay does not have any more. */
import { ProtocolError } from '../protocol/errors.ts'
import type { StoreKey } from './keys.ts'
import type { SyncRecord } from './state.ts'
import type { Journal } from './storage.ts'
import type { Store, StoreTable } from './store-table.ts'
import { openRecord } from './wire.ts'

/** What a replica asks of an archive; `archive/client` has it. */
export interface History {
  /** The topics are those that may be compacted; there may be `MAX_COMPACTED_STORES`. */
  register(tags: readonly number[], topics: readonly StoreKey[]): Promise<void>
  /** Oldest first, from `origin` on, itself included; undefined when that is not there. */
  messages(
    topic: string,
    origin?: string,
  ): Promise<{ messages: { message: string; id: string }[]; next: string | undefined } | undefined>
  /** Drops what devices with this key have published before that message. */
  compact(topic: StoreKey, before: string): Promise<void>
}

/** Called with a record that the replica has taken over, once that is durable. */
export type EmitUpdate = (store: Store, key: string, record: SyncRecord) => void

/** Reads a store's archive from a message id, or from the beginning. Resolves with the number of messages. */
export type ReadArchive = (store: Store, from?: string) => Promise<number>

/** What it returns reads on to the end, and rejects when the replica was closed before. */
export const createArchiveReader = (deps: {
  history: History | undefined
  journal: Journal
  table: StoreTable
  emit: EmitUpdate
  signal: AbortSignal
}): ReadArchive => {
  const { history, journal, table, emit, signal } = deps
  return async (store, from) => {
    let count = 0
    let origin = from
    while (history) {
      // Half of it must not look like all of it.
      if (signal.aborted) throw new ProtocolError('unavailable', 'the replica was closed')
      const page = await history.messages(store.topic, origin)
      if (!page && origin === undefined) break
      if (!page) {
        // The message was dropped, or is too old. Records that replace it come after it.
        origin = undefined
        count = 0
        continue
      }
      const updates: [string, SyncRecord][] = []
      for (const { message } of page.messages) {
        const change = openRecord(message, store.key)
        if (change && table.apply(store, change.key, change.record)) updates.push([change.key, change.record])
      }
      count += page.messages.length
      store.row.cursor = page.messages.at(-1)?.id ?? store.row.cursor
      table.noteRow(store)
      await journal.saved()
      for (const [key, record] of updates) emit(store, key, record)
      if (page.next === undefined) break
      origin = page.next
    }
    return count
  }
}
