/** A storage in a browser's IndexedDB: one transaction a write, and strict durability where the browser knows it. */
import * as z from 'zod'
import type { KeyValues } from './storage.ts'

const TABLE = 'values'
const Name = z.string()

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

/**
 * Opens a storage in the browser's IndexedDB.
 *
 * @param name of the database
 * @returns the storage
 * @example
 * const sync = await openSync({ url, storage: await openIndexedDbStorage() })
 */
export const openIndexedDbStorage = async (name = 'belfry-sync'): Promise<KeyValues & Disposable> => {
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => void opening.result.createObjectStore(TABLE)
  const db = await done(opening)
  return {
    async load() {
      const table = db.transaction(TABLE).objectStore(TABLE)
      const [names, values] = await Promise.all([done(table.getAllKeys()), done(table.getAll())])
      return names.map((one, at): [string, string] => [Name.parse(one), Name.parse(values[at])])
    },
    write: (changes) =>
      new Promise((resolve, reject) => {
        const transaction = db.transaction(TABLE, 'readwrite', { durability: 'strict' })
        const table = transaction.objectStore(TABLE)
        for (const [one, value] of changes) {
          if (value === undefined) table.delete(one)
          else table.put(value, one)
        }
        transaction.oncomplete = () => resolve()
        transaction.onabort = () => reject(transaction.error)
      }),
    [Symbol.dispose]: () => db.close(),
  }
}
