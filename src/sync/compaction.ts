/**
 * How a replica keeps its archive short: it writes a store's records anew, and drops the messages before them.
 *
 * No record of another device is lost: the first record that is written anew marks a position, and what is before that
 * position is read once more before it is dropped.
 */
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { messageIdOf } from '../protocol/topic.ts'
import type { History, ReadArchive } from './archive-reader.ts'
import type { Publish } from './outbox.ts'
import type { SyncRecord } from './state.ts'
import type { Store, StoreTable } from './store-table.ts'
import { sealRecord } from './wire.ts'

/** An archive that has this many times as many messages as the store has records is written anew. */
const COMPACT_FACTOR = 4
/** Stores of one device of which the archive is kept short; an archive remembers no more topics of a client. */
const MAX_COMPACTED_STORES = 32
/** Long enough to reach the archive. Devices that are away have the original message in their mailbox. */
const COMPACTED_TTL_S = 3_600

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
