/**
 * The embedded store: one directory, one LMDB environment, one process.
 *
 * Every promise of a store resolves after the data reached the disk; transactions that are asked for while one is
 * being written become durable together, in order. After `[Symbol.asyncDispose]` calls are refused with `unavailable`.
 */
import { join } from 'node:path'
import { type Clock, systemClock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { MailboxLimits } from '../../relay/store.ts'
import { createWatchStore } from '../../relay/store-watches.ts'
import { createGate, guardKv, guardTransfer } from '../gate.ts'
import { createNotifyRows, createRoomStores, ROOM_TABLES } from '../room-stores.ts'
import { StoreRefused } from '../store-format.ts'
import type { Stores } from '../stores.ts'
import { createLmdbBuckets } from './buckets.ts'
import { openEnv } from './env.ts'
import { type FileCheck, repairStoreFile } from './file-check/check.ts'
import { createLmdbHealth } from './health.ts'
import { createLmdbKv } from './kv/engine.ts'
import { createLmdbNotify, createNotifyParts } from './notify/store.ts'
import { createLmdbRelayAdmin } from './relay/admin.ts'
import { createLmdbRelay } from './relay/store.ts'
import { createLmdbSpace, failedCommitReason, LOST } from './space.ts'
import { checkFormat, prepareStoreFile } from './store-file.ts'
import { createLmdbTransfer } from './transfer/transfer.ts'

/** A file of which not everything can be looked at in this time is opened all the same. */
const CHECK_TIMEOUT_MS = 30_000

export interface OpenLmdbOptions {
  path: string
  mailbox?: MailboxLimits
  log?: Log
  /** Default: the system's. */
  clock?: Clock
}

/** What cannot be written at the beginning is a sentence for the operator. */
const refuseFailedCommit = (path: string) => (error: unknown) => {
  if (!(error instanceof ProtocolError) || error.code !== 'unavailable') throw error
  throw new StoreRefused(`The store ${path} cannot be used: ${failedCommitReason(error.cause, path)}.`, {
    cause: error,
  })
}

/** Throws `StoreRefused` for a file that is damaged where it was looked at. */
const checkFile = async ({ path, log }: OpenLmdbOptions): Promise<FileCheck> => {
  const begun = performance.now()
  const check = await prepareStoreFile(path, {
    timeoutMs: CHECK_TIMEOUT_MS,
    now: () => performance.now(),
  }).catch(refuseFailedCommit(path))
  const took = { pages: check.pages, ms: Math.round(performance.now() - begun) }
  if (check.isComplete) log?.debug(took, 'The store was looked at')
  else log?.warn(took, 'The store is too large to be looked at in time; the rest of it was not')
  if (check.isBehind)
    log?.warn(
      {},
      'The last commit is not in the meta pages of the store: it failed, or the device did; the one before it counts',
    )
  return check
}

/** Turns back bits of rows that had turned. This process is the only one that has the store. */
const repair = ({ path, log }: OpenLmdbOptions, check: FileCheck): void => {
  if (!repairStoreFile(join(path, 'data.mdb'), check)) return
  for (const { title, at } of check.repairs)
    log?.warn(
      { at },
      `A bit of a row of ${title} had turned on the disk, and was turned back: look after the device`,
    )
}

/** Throws `StoreRefused` for a store that may not be served from. */
export const openLmdb = async (options: OpenLmdbOptions): Promise<Stores> => {
  const check = await checkFile(options)
  const env = openEnv(options.path, (err) => options.log?.error({ err }, err.message))
  // Leases and claims are in memory, so two processes on one directory would deliver everything twice. LMDB knows its
  // readers and forgets the dead ones: no lock file that outlives a crash.
  const others = env.others()
  if (others.length > 0) {
    await env.close()
    throw new StoreRefused(`The data directory ${options.path} is in use by process ${others.join(', ')}.`)
  }
  try {
    repair(options, check)
    checkFormat(env)
  } catch (error) {
    await env.close()
    throw error
  }
  const gate = createGate()
  const engine = createLmdbKv(env, ROOM_TABLES)
  const kv = guardKv(gate, engine)
  const clock = options.clock ?? systemClock
  const parts = createNotifyParts(env)
  const rooms = {
    ...createRoomStores(kv, clock),
    relay: gate.guard({ ...createLmdbRelay(env, options.mailbox), ...createWatchStore(kv, clock) }),
    notify: { ...createNotifyRows(kv), ...gate.guard(createLmdbNotify(env, parts)) },
  }
  const transfer = guardTransfer(gate, createLmdbTransfer({ env, kv: engine }, rooms, parts))
  const buckets = createLmdbBuckets(env, clock)
  const relayAdmin = gate.guard(createLmdbRelayAdmin(env))
  const { health } = gate.guard({ health: createLmdbHealth(env, options.path) })
  const space = gate.guard(createLmdbSpace(env, options.path))
  // It opens what it measures, which must be before this process enters.
  await space.measure()
  env.enter()
  const lost = env.lost.then(() => {
    void gate.close('the store must be opened again')
    return LOST
  })
  let closing: Promise<void> | undefined
  return {
    ...rooms,
    kv,
    transfer,
    buckets,
    space,
    health,
    relayAdmin,
    lost,
    ping: rooms.relay.ping,
    // At the opening.
    claimFormat: async () => {},
    [Symbol.asyncDispose]: () => {
      closing ??= gate
        .close()
        .then(() => buckets[Symbol.asyncDispose]())
        .then(() => env.close())
      return closing
    },
  }
}
