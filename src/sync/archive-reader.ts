/**
 * How a replica uses an archive: it reads what the relay does not have any more, and keeps the archive short.
 *
 * Compaction loses no record of another device: the first record that is written anew marks a position, and what is before
 * that position is read once more before it is dropped.
 */
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { messageIdOf } from '../protocol/topic.ts'
import type { StoreKey } from './keys.ts'
import type { Outbox, Publish } from './outbox.ts'
import type { SyncRecord } from './state.ts'
import type { Journal } from './storage.ts'
import type { Store, StoreTable } from './store-table.ts'
import { openRecord, SYNC_TAGS, sealRecord } from './wire.ts'

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

const RETRY_DELAY_MS = 5_000
/** An archive that has this many times as many messages as the store has records is written anew. */
const COMPACT_FACTOR = 4
/** Stores of one device of which the archive is kept short; an archive remembers no more topics of a client. */
const MAX_COMPACTED_STORES = 32
/** Long enough to reach the archive. Devices that are away have the original message in their mailbox. */
const COMPACTED_TTL_S = 3_600

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

export interface Compaction {
  /** Stores whose archive is kept short: those that were created first. Messages of others stay until they are too old. */
  stores(): Store[]
  /** Whether the archive has far more messages than the store has records. */
  isDue(store: Store): boolean
  run(store: Store): Promise<void>
}

export const createCompaction = (
  deps: {
    history: History | undefined
    publish: (publish: Publish) => Promise<void>
    table: StoreTable
    readArchive: ReadArchive
    log: Log
    randomBytes: (length: number) => Uint8Array
  },
  { compactAbove }: { compactAbove: number },
): Compaction => {
  const { history, publish, table, readArchive, log, randomBytes } = deps
  const stores = () => table.all().slice(0, MAX_COMPACTED_STORES)
  const isDue = ({ row, state }: Store) =>
    row.messages > Math.max(compactAbove, COMPACT_FACTOR * state.records.size)

  const publishNow = async (store: Store, key: string, record: SyncRecord): Promise<string> => {
    const { message, tag } = sealRecord(store.key, key, record, randomBytes)
    await publish({ topic: store.topic, message, tag, ttl: COMPACTED_TTL_S })
    return messageIdOf(message)
  }

  return {
    stores,
    isDue,
    async run(store) {
      if (!history || !stores().includes(store)) return
      store.row.messages = await readArchive(store)
      const [first] = store.state.records
      if (!isDue(store) || !first) return
      const mark = await publishNow(store, ...first)
      await readArchive(store, store.row.cursor)
      // By the record, not by its id: of two records with one id another one may have won meanwhile.
      const rest = [...store.state.records].filter(([, record]) => record !== first[1])
      await Promise.all(rest.map(([key, record]) => publishNow(store, key, record)))
      await history.compact(store, mark).catch((error: unknown) => {
        // Another device compacted first, and wrote everything anew after our mark.
        if (!(error instanceof ProtocolError && error.code === 'not_found')) throw error
      })
      store.row.messages = store.state.records.size
      table.noteRow(store)
      log.info({ words: store.row.messages }, 'A store was written anew, and what was before it dropped')
    },
  }
}

export interface CatchUp {
  /** Reads what the archive has by now, in the background; a second call while it reads makes it read once more. */
  want(): void
  /** Resolves when a reading that began after the call has come to its end, or when the replica is closed. */
  done(): Promise<void>
  /** Resolves everything that waits. */
  stop(): void
}

/** The outbox starts when the archive has heard which tags to take in, or cannot be reached. */
export const createCatchUp = (deps: {
  history: History | undefined
  outbox: Pick<Outbox, 'start'>
  table: StoreTable
  readArchive: ReadArchive
  compaction: Compaction
  clock: Clock
  log: Log
  signal: AbortSignal
}): CatchUp => {
  const { history, outbox, table, readArchive, compaction, clock, log, signal } = deps
  let isWanted = false
  let isReading = false
  const waiting: (() => void)[] = []

  const readAll = async (archive: History): Promise<void> => {
    isReading = true
    while (isWanted && !signal.aborted) {
      isWanted = false
      const callers = waiting.splice(0)
      try {
        if (table.size > 0) await archive.register([SYNC_TAGS.set, SYNC_TAGS.delete], compaction.stores())
        outbox.start()
        for (const store of table.all()) {
          store.row.messages += await readArchive(store, store.row.cursor)
          if (compaction.isDue(store)) await compaction.run(store)
        }
        for (const resolve of callers) resolve()
      } catch (err) {
        // Publishing does not wait for the archive, which later takes in what the relay still has.
        outbox.start()
        waiting.push(...callers)
        isWanted = true
        if (signal.aborted) break
        log.warn({ err }, 'The archive could not be read; trying again')
        await pause(clock, RETRY_DELAY_MS, signal)
      }
    }
    isReading = false
    if (signal.aborted) for (const resolve of waiting.splice(0)) resolve()
  }

  const want = (): void => {
    if (!history) {
      outbox.start()
      return
    }
    isWanted = true
    if (!isReading) void readAll(history)
  }

  return {
    want,
    done() {
      if (!history) return Promise.resolve()
      const done = new Promise<void>((resolve) => waiting.push(resolve))
      want()
      return done
    },
    stop() {
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}
