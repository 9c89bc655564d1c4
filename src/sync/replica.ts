/**
 * A replica of the stores that all devices of an account share, over a relay that sees nothing of them. Node and browsers.
 *
 * What it guarantees:
 * - `set` and `delete` resolve when the change is durable on this device. The new record and the message that tells the
 *   other devices are one write of the storage. The message is published in the background, in the order of the calls,
 *   also after a restart, until the relay has it.
 * - Replicas that have read the same records hold the same, in whatever order the records came (`state`). A record of
 *   this device is later than all that this device has read, however wrong its clock is.
 * - A message of the relay is acknowledged when its record is durable.
 * - With an archive, a replica that joins late, or was away for longer than the relay keeps messages, reads everything
 *   there (`archive`). It also keeps the archive short: where it has far more messages than there are records, the
 *   replica publishes all records anew, and drops the messages before them that devices with this library have
 *   published. Records keep their ids, so other devices see no change.
 *
 * The storage holds the signature, from which every key follows: it is as secret as a private key.
 *
 * | name in the storage | value |
 * |---|---|
 * | `reg/<account>` | its signature |
 * | `store/<topic>` | account, name, how far the archive is read, messages that may be there |
 * | `rec/<topic>/<key>` | `[id, value or null]` |
 * | `out/<number>` | a message that the relay does not have yet |
 */
import { invariant } from '../platform/invariant.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { payloadId } from '../protocol/jsonrpc.ts'
import { createArchiveReader, type EmitUpdate, type History } from './archive-reader.ts'
import { createCatchUp } from './catch-up.ts'
import { createCompaction } from './compaction.ts'
import { type StoreKey, syncMessage } from './keys.ts'
import { createOutbox, OUTBOX_PREFIX, type Outbox, type Publish } from './outbox.ts'
import type { SyncRecord } from './state.ts'
import { createJournal, type Journal, type KeyValues } from './storage.ts'
import { createStoreTable, type Store, type StoreTable, valuesBelow, type Where } from './store-table.ts'
import { openRecord, sealRecord } from './wire.ts'

export type { History } from './archive-reader.ts'

/** What a replica needs of a relay; `relay/client` has it. */
export interface Transport {
  /** Resolves when the relay has the message; until then it may be tried for as long as it likes. */
  publish(publish: Publish): Promise<void>
  subscribe(topics: readonly string[]): Promise<void>
}

export interface ReplicaDeps {
  storage: KeyValues
  transport: Transport
  /** Keys of the stores of whoever signed so: `storeKeys`. */
  keysOf: (signature: string) => (store: string) => StoreKey
  /** Without it a replica knows what comes while it is there, and what the relay still has. */
  history?: History
  clock: Clock
  log: Log
  randomBytes: (length: number) => Uint8Array
}

/** `value` is absent where the key was deleted. */
export interface SyncUpdate {
  /** Name of the store. */
  store: string
  topic: string
  account: string
  update: { id: number; key: string; value?: string }
}

type Listener = (update: SyncUpdate) => void

export interface Replica extends Disposable {
  /** What the account must sign, once. */
  getMessage(of: { account: string }): Promise<string>
  register(of: { account: string; signature: string }): Promise<void>
  isRegistered(of: { account: string }): Promise<boolean>
  /** Begins to follow the store; an earlier content is there at once. Throws `not_found` for an account that is not registered. */
  create(where: Where): Promise<void>
  /** False when that is the value already. */
  set(change: Where & { key: string; value: string }): Promise<boolean>
  /** False when there is no value. */
  delete(change: Where & { key: string }): Promise<boolean>
  /** By topic, as published clients have it. */
  getStores(of: { account: string }): Promise<Record<string, Record<string, string>>>
  value(at: Where & { key: string }): string | undefined
  entries(where: Where): [key: string, value: string][]
  on(event: 'sync_update', listener: Listener): void
  once(event: 'sync_update', listener: Listener): void
  off(event: 'sync_update', listener: Listener): void
  /** A message of the relay; resolves when it may be acknowledged. */
  received(message: { topic: string; message: string }): Promise<void>
  /** There is a connection (again): reads what the archive has by now. */
  connected(): void
  /** Resolves when the archive was read to its end, as it was at some time after the call. At once without one. */
  caughtUp(): Promise<void>
  /** Resolves when the relay has every change of this device. */
  published(): Promise<void>
  /** All records, deletions too, as text: equal for replicas that hold the same. */
  export(where: Where): string
}

/** An archive with fewer messages than this is left alone. */
const COMPACT_ABOVE_MESSAGES = 2_000

interface UpdateEvents extends Pick<Replica, 'on' | 'once' | 'off'> {
  emit(store: Store, key: string, record: SyncRecord): void
}

const createUpdateEvents = (): UpdateEvents => {
  const listeners = new Set<Listener>()
  return {
    emit({ topic, row: { account, name } }, key, { id, value }) {
      const update = { id, key, ...(value !== null && { value }) }
      for (const listener of [...listeners]) listener({ store: name, topic, account, update })
    },
    on: (_, listener) => void listeners.add(listener),
    once(_, listener) {
      const once: Listener = (update) => {
        listeners.delete(once)
        listener(update)
      }
      listeners.add(once)
    },
    off: (_, listener) => void listeners.delete(listener),
  }
}

type Records = Pick<Replica, 'set' | 'delete' | 'value' | 'entries' | 'export' | 'getStores' | 'received'>

const createRecords = (deps: {
  table: StoreTable
  journal: Journal
  outbox: Outbox
  emit: EmitUpdate
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): Records => {
  const { table, journal, outbox, emit, clock, randomBytes } = deps

  const write = async (store: Store, key: string, value: string | null): Promise<void> => {
    const id = Math.max(payloadId(clock.now(), randomBytes), store.state.highest + 1)
    const record = { id, value }
    const message = { topic: store.topic, ...sealRecord(store.key, key, record, randomBytes) }
    const isApplied = table.apply(store, key, record)
    invariant(isApplied, 'a record of this device is later than all that the store has')
    store.row.messages++
    const send = outbox.note(message)
    await journal.saved().finally(send)
    emit(store, key, record)
  }

  return {
    async set({ key, value, ...where }) {
      const store = table.get(where)
      if (store.state.value(key) === value) return false
      await write(store, key, value)
      return true
    },
    async delete({ key, ...where }) {
      const store = table.get(where)
      if (store.state.value(key) === undefined) return false
      await write(store, key, null)
      return true
    },
    value: ({ key, ...where }) => table.get(where).state.value(key),
    entries: (where) => [...table.get(where).state.entries()],
    export: (where) => table.get(where).state.export(),
    async getStores({ account }) {
      const own = table.all().filter(({ row }) => row.account === account)
      return Object.fromEntries(own.map(({ topic, state }) => [topic, Object.fromEntries(state.entries())]))
    },
    async received({ topic, message }) {
      const store = table.ofTopic(topic)
      const change = store && openRecord(message, store.key)
      if (!store || !change) return
      store.row.messages++
      if (!table.apply(store, change.key, change.record)) return
      await journal.saved()
      emit(store, change.key, change.record)
    },
  }
}

type Accounts = Pick<Replica, 'getMessage' | 'register' | 'isRegistered' | 'create'>

const createAccounts = (deps: {
  table: StoreTable
  journal: Journal
  follow: (topics: readonly string[]) => void
}): Accounts => {
  const { table, journal, follow } = deps
  return {
    getMessage: async ({ account }) => syncMessage(account),
    async register({ account, signature }) {
      table.register(account, signature)
      await journal.saved()
    },
    isRegistered: async ({ account }) => table.isRegistered(account),
    async create(where) {
      const key = table.keyOf(where)
      if (!key) throw new ProtocolError('not_found', 'the account is not registered')
      if (table.find(where)?.topic === key.topic) return
      table.create(where, key)
      await journal.saved()
      follow([key.topic])
    },
  }
}

export const createReplica = async (
  deps: ReplicaDeps,
  { compactAbove = COMPACT_ABOVE_MESSAGES }: { compactAbove?: number } = {},
): Promise<Replica> => {
  const { storage, transport, keysOf, history, clock, log, randomBytes } = deps
  const journal = createJournal(storage)
  const ending = new AbortController()
  const { signal } = ending
  const { emit, on, once, off } = createUpdateEvents()
  const publish = (message: Publish) => transport.publish(message)

  const values = [...(await storage.load())]
  const table = createStoreTable({ journal, keysOf }, values)
  const outbox = createOutbox({ publish, journal, clock, log }, valuesBelow(OUTBOX_PREFIX, values))
  const readArchive = createArchiveReader({ history, journal, table, emit, signal })
  const compaction = createCompaction(
    { history, publish, table, readArchive, log, randomBytes },
    { compactAbove },
  )
  const catchUp = createCatchUp({ history, outbox, table, readArchive, compaction, clock, log, signal })

  const follow = (topics: readonly string[]) => {
    const followed = transport.subscribe(topics).catch((err: unknown) => {
      if (!signal.aborted) log.warn({ err }, 'A store could not be followed')
    })
    void followed.then(catchUp.want)
  }
  if (table.size > 0) follow(table.all().map(({ topic }) => topic))
  catchUp.want()

  return {
    ...createAccounts({ table, journal, follow }),
    ...createRecords({ table, journal, outbox, emit, clock, randomBytes }),
    ...{ on, once, off },
    connected: catchUp.want,
    caughtUp: catchUp.done,
    published: () => outbox.empty(),
    [Symbol.dispose]() {
      ending.abort()
      outbox.stop()
      catchUp.stop()
    },
  }
}
