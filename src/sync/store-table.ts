/**
 * The stores of a replica in memory, and their rows in its storage. A change is noted in the journal, and is durable when
 * the caller's next `journal.saved()` resolves.
 */
import * as z from 'zod'
import { invariant } from '../platform/invariant.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { StoreKey } from './keys.ts'
import { StoreState, type SyncRecord } from './state.ts'
import type { Journal } from './storage.ts'

export interface Where {
  /** CAIP-10, as it was registered. */
  account: string
  store: string
}

const StoreRow = z.object({
  account: z.string(),
  name: z.string(),
  /** Id of the last message that was read in the archive. */
  cursor: z.string().optional(),
  /** Messages that may be in the archive, about. */
  messages: z.number(),
})
const RecordRow = z.tuple([z.number(), z.string().nullable()])

export interface Store extends StoreKey {
  row: z.infer<typeof StoreRow>
  state: StoreState
}

/** The values of a storage by name. */
export type StoredValues = readonly (readonly [name: string, value: string])[]

const REGISTRATION_PREFIX = 'reg/'
const STORE_PREFIX = 'store/'
const RECORD_PREFIX = 'rec/'
/** Hex digits. */
const TOPIC_LENGTH = 64

/** The values whose name begins with the prefix, by the rest of the name. */
export const valuesBelow = (prefix: string, values: StoredValues): [name: string, value: string][] =>
  values.flatMap(([name, value]): [string, string][] =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
  )

const mapKeyOf = ({ account, store }: Where): string => `${account}\0${store}`

export interface StoreTable {
  register(account: string, signature: string): void
  isRegistered(account: string): boolean
  /** Undefined where the account is not registered. */
  keyOf(name: Where): StoreKey | undefined
  create(name: Where, key: StoreKey): void
  find(name: Where): Store | undefined
  /** Throws `not_found`. */
  get(name: Where): Store
  ofTopic(topic: string): Store | undefined
  /** In the order of their creation. */
  all(): Store[]
  readonly size: number
  /** Notes the store's own row. */
  noteRow(store: Store): void
  /** Takes the record over. False when the store has a later one of that key. */
  apply(store: Store, key: string, record: SyncRecord): boolean
}

/** Throws for stored rows that cannot be read. */
export const createStoreTable = (
  { journal, keysOf }: { journal: Journal; keysOf: (signature: string) => (store: string) => StoreKey },
  values: StoredValues,
): StoreTable => {
  const keysByAccount = new Map<string, (store: string) => StoreKey>()
  const byTopic = new Map<string, Store>()
  const byName = new Map<string, Store>()

  const add = (store: Store): void => {
    byTopic.set(store.topic, store)
    byName.set(mapKeyOf({ account: store.row.account, store: store.row.name }), store)
  }
  const noteRow = ({ topic, row }: Store): void => {
    invariant(row.messages >= 0, 'the count of archived messages of a store is never negative')
    journal.note(STORE_PREFIX + topic, JSON.stringify(row))
  }

  for (const [account, signature] of valuesBelow(REGISTRATION_PREFIX, values)) {
    keysByAccount.set(account, keysOf(signature))
  }
  for (const [topic, text] of valuesBelow(STORE_PREFIX, values)) {
    const row = StoreRow.parse(JSON.parse(text))
    const key = keysByAccount.get(row.account)?.(row.name)
    if (key?.topic === topic) add({ ...key, row, state: new StoreState() })
  }
  for (const [name, text] of valuesBelow(RECORD_PREFIX, values)) {
    const [id, value] = RecordRow.parse(JSON.parse(text))
    byTopic.get(name.slice(0, TOPIC_LENGTH))?.state.apply(name.slice(TOPIC_LENGTH + 1), { id, value })
  }

  return {
    register(account, signature) {
      keysByAccount.set(account, keysOf(signature))
      journal.note(REGISTRATION_PREFIX + account, signature)
    },
    isRegistered: (account) => keysByAccount.has(account),
    keyOf: ({ account, store }) => keysByAccount.get(account)?.(store),
    create({ account, store: name }, key) {
      const store = { ...key, row: { account, name, messages: 0 }, state: new StoreState() }
      add(store)
      noteRow(store)
    },
    find: (name) => byName.get(mapKeyOf(name)),
    get(name) {
      const store = byName.get(mapKeyOf(name))
      if (!store) throw new ProtocolError('not_found', `the store ${name.store} was not created`)
      return store
    },
    ofTopic: (topic) => byTopic.get(topic),
    all: () => [...byTopic.values()],
    get size() {
      return byTopic.size
    },
    noteRow,
    apply(store, key, record) {
      if (!store.state.apply(key, record)) return false
      journal.note(`${RECORD_PREFIX}${store.topic}/${key}`, JSON.stringify([record.id, record.value]))
      return true
    },
  }
}
