/**
 * The embedded store's content as records, and back (`../../transfer/transfer.ts`). Reading walks the tables; writing uses the
 * rooms' verbs where those are exact, and puts rows otherwise.
 *
 * A snapshot is one read transaction: LMDB keeps the pages that it sees for as long as it lasts, and no writer waits.
 */
import type { Watcher } from '../../../notify/store/store.ts'
import { name } from '../../bytes.ts'
import { readersOfRows } from '../../transfer/kv-readers.ts'
import type { Readers, Records, Transfer, Writers } from '../../transfer/transfer.ts'
import { type Transferred, writesByVerbs } from '../../transfer/writes.ts'
import type { ReadView, Rows } from '../checked-rows.ts'
import type { Env } from '../env.ts'
import type { LmdbKv } from '../kv/engine.ts'
import { knownRequest, rememberRequest } from '../notify/accounts.ts'
import type { NotifyParts } from '../notify/store.ts'
import type { Tables } from '../notify/tables.ts'
import { createSentTransfer } from './delivery-records.ts'
import { createRelayTransfer } from './relay.ts'
import { walk } from './walk.ts'

const NOTE_KEY = name('note')

/** The watcher, where another account's record has it, too, and this one is found. */
const contestedBy = (
  tables: Tables,
  view: ReadView,
  identityKey: string,
  accountKey: string,
): Watcher | undefined => {
  const watchers = tables.accounts.get(name(accountKey), view)?.record.watchers
  return watchers?.find((watcher) => watcher.identityKey === identityKey)
}

/** Watchers of these accounts that another account's record has, too, and by which that one is found. */
const contestedIn = (tables: Tables, view: ReadView, accounts: readonly Records['account'][]) => {
  const found: Records['contested'][] = []
  for (const { accountKey, record } of accounts) {
    for (const { identityKey } of record.watchers) {
      const owner = tables.watchers.get(name(identityKey), view)
      if (owner === undefined || owner === accountKey) continue
      const watcher = contestedBy(tables, view, identityKey, owner)
      if (watcher) found.push({ accountKey: owner, watcher })
    }
  }
  return found
}

const notifyReaders = (
  tables: Tables,
  view: ReadView,
): Pick<Readers, 'account' | 'contested' | 'request' | 'outbox'> => {
  const accounts = walk(tables.accounts, view, (at, { record }) => ({
    accountKey: at.toString(),
    record,
  }))
  return {
    account: accounts,
    contested: {
      async *read(from) {
        for await (const { records, cursor } of accounts.read(from)) {
          yield { records: contestedIn(tables, view, records), cursor }
        }
      },
      size: async () => undefined,
    },
    request: walk(tables.requests, view, (at, expiresAt, now) =>
      expiresAt > now ? { id: at.toString(), expiresAt } : undefined,
    ),
    outbox: walk(tables.outbox, view, (at, entry, now) =>
      entry.expiresAt > now ? { place: at.readDoubleBE(), entry } : undefined,
    ),
  }
}

export const createLmdbTransfer = (
  { env, kv }: { env: Env; kv: LmdbKv },
  rooms: Transferred,
  parts: NotifyParts,
): Transfer => {
  const notes: Rows<string> = env.rows('transfer')
  const { tables, outbox } = parts
  const sent = createSentTransfer(env, parts)
  const mailboxes = createRelayTransfer(env, rooms.relay)

  const readers = (view: ReadView): Readers => ({
    ...notifyReaders(tables, view),
    ...sent.read(view),
    ...mailboxes.read(view),
    ...readersOfRows(view.transaction ? kv.rowsAt(view.transaction) : kv),
  })

  const write: Writers = {
    ...writesByVerbs(rooms),
    ...sent.write,
    request: {
      async write(records) {
        for (const { id } of records) name(id)
        await env.transaction(() => {
          for (const request of records) {
            if (!knownRequest(tables, request)) rememberRequest(tables, request)
          }
        })
        return []
      },
    },
    outbox: {
      async write(records) {
        for (const { entry } of records) name(entry.id)
        await env.transaction(() => outbox.restore(records))
        return []
      },
    },
    ...mailboxes.write,
  }

  return {
    read: readers({}),
    write,
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
