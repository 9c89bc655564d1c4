/**
 * What of the notify server's store is not over the port, in LMDB; `notify-tables` draws the tables.
 *
 * Every write is one transaction, and LMDB runs transactions one after the other: reading, comparing and writing
 * within one is atomic without further ado. A transaction that throws is not rolled back by the engine, so names are
 * checked before it begins and refusals are decided before its first write.
 */

import type { NotifyStore } from '../../../notify/store/store.ts'
import type { NotifyRows } from '../../room-stores.ts'
import type { Env } from '../env.ts'
import { createLmdbAccounts } from './accounts.ts'
import { createCopies } from './copies.ts'
import { createLmdbFanOut } from './fan-out.ts'
import { createLmdbHistory } from './history.ts'
import { createLmdbOutbox } from './outbox.ts'
import { createLmdbProjects } from './projects.ts'
import { createReceiptRows } from './receipt-rows.ts'
import { createLmdbReceipts } from './receipts.ts'
import { createLmdbRotation } from './rotation.ts'
import { createLmdbSweep } from './sweep.ts'
import { openTables } from './tables.ts'

/** What the notify server's store is made of; a transfer writes through the same. */
export const createNotifyParts = (env: Env) => {
  const tables = openTables(env)
  const rows = { copies: createCopies(tables), receipts: createReceiptRows(tables) }
  return { tables, outbox: createLmdbOutbox(env, tables), rows }
}
export type NotifyParts = ReturnType<typeof createNotifyParts>

export const createLmdbNotify = (
  env: Env,
  { tables, outbox, rows }: NotifyParts,
): Omit<NotifyStore, keyof NotifyRows> => {
  const { takeOutbox, returnOutbox, outboxSize, onOutbox, outboxEntries } = outbox
  return {
    ...createLmdbProjects(tables),
    ...createLmdbAccounts(env, tables, outbox),
    ...createLmdbFanOut(env, tables, rows, outbox),
    ...createLmdbHistory(env, tables, rows, outbox),
    ...createLmdbReceipts(env, tables, rows, outbox),
    takeOutbox,
    returnOutbox,
    outboxSize,
    onOutbox,
    outboxEntries,
    ...createLmdbRotation(env, tables),
    sweep: createLmdbSweep(env, tables),
  }
}
