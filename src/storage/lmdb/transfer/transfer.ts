/**
 * The embedded store's content as records, and back (`../../transfer/transfer.ts`). Reading walks the tables; writing uses the
 * rooms' verbs where those are exact, and puts rows otherwise.
 *
 * A snapshot is one read transaction: LMDB keeps the pages that it sees for as long as it lasts, and no writer waits.
 */
import type { Clock } from '../../../platform/runtime/clock.ts'
import { name } from '../../bytes.ts'
import { readRooms, writeRooms } from '../../transfer/rooms.ts'
import type { Readers, Transfer } from '../../transfer/transfer.ts'
import type { Transferred } from '../../transfer/writes.ts'
import { ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'
import type { LmdbKv } from '../kv/engine.ts'
import { createRelayTransfer } from './relay.ts'
import type { ReadView } from './walk.ts'

const NOTE_KEY = name('note')

export const createLmdbTransfer = (
  { env, kv, clock }: { env: Env; kv: LmdbKv; clock: Pick<Clock, 'now'> },
  rooms: Transferred,
): Transfer => {
  const notes: Rows<string> = env.openDB({ name: 'transfer', ...ROWS })
  const mailboxes = createRelayTransfer(env, rooms.relay)

  const readers = (view: ReadView): Readers => ({
    ...mailboxes.read(view),
    ...readRooms(view.transaction ? kv.rowsAt(view.transaction) : kv),
  })

  return {
    read: readers({}),
    write: { ...writeRooms(rooms, { kv, clock }), ...mailboxes.write },
    snapshot() {
      const view = env.snapshot()
      const { transaction } = view
      return { ...readers({ transaction }), [Symbol.dispose]: () => view[Symbol.dispose]() }
    },
    async note() {
      return notes.get(NOTE_KEY)
    },
    async setNote(note) {
      await env.transaction(
        () => void (note === undefined ? notes.remove(NOTE_KEY) : notes.put(NOTE_KEY, note)),
      )
    },
  }
}
