/**
 * Stores of records with a shape: JSON of one schema, each under a key that follows from the record itself. Checked when
 * it is written, and when it is read, because other software writes to the same store.
 */
import * as z from 'zod'
import { ProtocolError } from '../protocol/errors.ts'
import type { Replica } from './replica.ts'

export interface StoreDefinition<T> {
  name: string
  schema: z.ZodType<T>
  keyOf: (record: T) => string
}

export interface TypedStore<T> {
  readonly name: string
  /** Undefined when there is none, or none of this shape under its own key. */
  get(key: string): T | undefined
  /** Those that are as they should be. */
  all(): T[]
  /** Under its key. Throws `bad_params` for another shape. False when it is there as it is. */
  set(record: T): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** Undefined: deleted, or not as it should be. */
  onChange(listener: (key: string, record: T | undefined) => void): Disposable
}

type Stores = Pick<Replica, 'create' | 'set' | 'delete' | 'value' | 'entries' | 'on' | 'off'>

/**
 * Opens a store of records with a schema, and creates it where the device does not follow it yet.
 *
 * @param replica what `openSync` resolves with
 * @param definition name, schema, and the key of a record
 * @param owner the account, CAIP-10
 * @returns the store
 * @throws `ProtocolError` `not_found` for an account that is not registered
 * @example
 * const threads = await openTypedStore(sync, CHAT_STORES.threads, { account })
 * for (const thread of threads.all()) show(thread)
 */
export const openTypedStore = async <T>(
  replica: Stores,
  { name, schema, keyOf }: StoreDefinition<T>,
  { account }: { account: string },
): Promise<TypedStore<T>> => {
  const where = { account, store: name }
  await replica.create(where)

  const read = (key: string, text: string | undefined): T | undefined => {
    if (text === undefined) return undefined
    try {
      const parsed = schema.safeParse(JSON.parse(text))
      return parsed.success && keyOf(parsed.data) === key ? parsed.data : undefined
    } catch {
      return undefined
    }
  }

  return {
    name,
    get: (key) => read(key, replica.value({ ...where, key })),
    all: () =>
      replica.entries(where).flatMap(([key, text]) => {
        const record = read(key, text)
        return record === undefined ? [] : [record]
      }),
    async set(record) {
      const parsed = schema.safeParse(record)
      if (!parsed.success) throw new ProtocolError('bad_params', z.prettifyError(parsed.error))
      return replica.set({ ...where, key: keyOf(parsed.data), value: JSON.stringify(parsed.data) })
    },
    delete: (key) => replica.delete({ ...where, key }),
    onChange(listener) {
      const heard: Parameters<Stores['on']>[1] = ({ store, account: of, update: { key, value } }) => {
        if (store === name && of === account) listener(key, read(key, value))
      }
      replica.on('sync_update', heard)
      return { [Symbol.dispose]: () => replica.off('sync_update', heard) }
    },
  }
}
