/**
 * The notify server's store in LMDB; `notify-tables` draws the tables.
 *
 * Every write is one transaction, and LMDB runs transactions one after the other: reading, comparing and writing
 * within one is atomic without further ado. A transaction that throws is not rolled back by the engine, so names are
 * checked before it begins and refusals are decided before its first write.
 */

import type { NotifyStore } from '../../notify/store.ts'
import type { Env } from './env.ts'
import { createLmdbAccounts } from './notify-accounts.ts'
import { createLmdbApps } from './notify-apps.ts'
import { createLmdbClicks } from './notify-clicks.ts'
import { createCopies } from './notify-copies.ts'
import { createLmdbHistory } from './notify-history.ts'
import { createLmdbOutbox } from './notify-outbox.ts'
import { createLmdbSweep } from './notify-sweep.ts'
import { openTables } from './notify-tables.ts'
import { createLmdbWebhooks } from './notify-webhooks.ts'

/** What the notify server's store is made of; a transfer writes through the same. */
export const createNotifyParts = (env: Env) => {
  const tables = openTables(env)
  return { tables, outbox: createLmdbOutbox(env, tables), copies: createCopies(tables) }
}
export type NotifyParts = ReturnType<typeof createNotifyParts>

export const createLmdbNotify = (env: Env, { tables, outbox, copies }: NotifyParts): NotifyStore => {
  const { takeOutbox, completeOutbox, returnOutbox, outboxSize, onOutbox } = outbox
  return {
    ...createLmdbApps(env, tables),
    ...createLmdbAccounts(env, tables, outbox),
    ...createLmdbHistory(env, tables, outbox, copies),
    ...createLmdbWebhooks(env, tables),
    ...createLmdbClicks(env, tables),
    takeOutbox,
    completeOutbox,
    returnOutbox,
    outboxSize,
    onOutbox,
    sweep: createLmdbSweep(env, tables),
  }
}
