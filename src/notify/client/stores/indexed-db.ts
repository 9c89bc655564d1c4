/** A browser's database of one wallet: its sealed state, and the key of this browser. Each write is one transaction. */
import { newDeviceKey } from './device-key.ts'
import type { TextSlot } from './wallet-store.ts'

const TABLE = 'wallet'
const STATE = 'state'
const KEY = 'key'

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/** Opened for each transaction: a browser may close one that is left open, and other pages may want to remove it. */
const within = async <T>(
  name: string,
  mode: IDBTransactionMode,
  work: (table: IDBObjectStore) => Promise<T>,
): Promise<T> => {
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => void opening.result.createObjectStore(TABLE)
  const database = await done(opening)
  try {
    const transaction = database.transaction(TABLE, mode, { durability: 'strict' })
    const complete = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
    const [result] = await Promise.all([work(transaction.objectStore(TABLE)), complete])
    return result
  } finally {
    database.close()
  }
}

export const stateInDatabase = (name: string): TextSlot => ({
  async load() {
    const text: unknown = await within(name, 'readonly', (table) => done(table.get(STATE)))
    return typeof text === 'string' ? text : undefined
  },
  async save(text) {
    await within(name, 'readwrite', (table) => done(table.put(text, STATE)))
  },
  async clear() {
    await within(name, 'readwrite', (table) => done(table.delete(STATE)))
  },
})

/** The key of this browser, which is made once. Two pages that make one at once get the same. */
export const keyInDatabase = (name: string) => {
  const asKey = (value: unknown): CryptoKey | undefined => (value instanceof CryptoKey ? value : undefined)
  const find = () => within(name, 'readonly', async (table) => asKey(await done(table.get(KEY))))
  return async (make: boolean): Promise<CryptoKey | undefined> => {
    const found = await find()
    if (found || !make) return found
    const made = await newDeviceKey()
    return within(name, 'readwrite', async (table) => {
      const other = asKey(await done(table.get(KEY)))
      if (!other) await done(table.put(made, KEY))
      return other ?? made
    })
  }
}
