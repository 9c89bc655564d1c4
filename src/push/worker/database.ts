/**
 * What a page leaves for its service worker, in IndexedDB: the keys of topics, how the relay is reached, and which notifications
 * were read there. Whoever can read it can read the notifications, as with everything else of the page's origin.
 */

/** A topic whose messages the worker may open. */
export interface WorkerTopic {
  topic: string
  /** Symmetric key, hex. */
  key: string
  /** Domain of the app. */
  domain: string
  /** did:key of the app: only what it signed is shown. */
  authenticationKey: string
}

/** How messages are fetched that did not fit into a push. */
export interface WorkerRelay {
  /** http or https URL of the relay. */
  url: string
  /** Ed25519 seed of the relay client, hex. */
  clientSeed: string
  projectId?: string
}

/** A notification that was read by a click. */
export interface ReadMark {
  id: string
  domain: string
  /** Id of the action that was clicked, for the page to answer with. */
  action?: string
}

const DATABASE = 'belfry-push'
const VERSION = 1
const RELAY = 'relay'

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

const open = (): Promise<IDBDatabase> => {
  const request = indexedDB.open(DATABASE, VERSION)
  request.onupgradeneeded = () => {
    request.result.createObjectStore('topics', { keyPath: 'topic' })
    request.result.createObjectStore('settings')
    request.result.createObjectStore('read', { keyPath: 'id' })
  }
  return done(request)
}

const within = async <T>(
  store: 'topics' | 'settings' | 'read',
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> => {
  const database = await open()
  try {
    return await done(work(database.transaction(store, mode).objectStore(store)))
  } finally {
    database.close()
  }
}

export const topicOfWorker = (topic: string): Promise<WorkerTopic | undefined> =>
  within('topics', 'readonly', (store) => store.get(topic))

export const relayOfWorker = (): Promise<WorkerRelay | undefined> =>
  within('settings', 'readonly', (store) => store.get(RELAY))

/** In place of the topics and the relay that were there. */
export const keepForWorker = async (
  topics: readonly WorkerTopic[],
  relay: WorkerRelay | undefined,
): Promise<void> => {
  const database = await open()
  try {
    const transaction = database.transaction(['topics', 'settings'], 'readwrite')
    const stored = transaction.objectStore('topics')
    stored.clear()
    for (const topic of topics) stored.put(topic)
    if (relay) transaction.objectStore('settings').put(relay, RELAY)
    else transaction.objectStore('settings').delete(RELAY)
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onerror = () => reject(transaction.error)
      transaction.onabort = () => reject(transaction.error)
    })
  } finally {
    database.close()
  }
}

export const noteRead = (mark: ReadMark): Promise<unknown> =>
  within('read', 'readwrite', (store) => store.put(mark))

export const readMarks = (): Promise<ReadMark[]> => within('read', 'readonly', (store) => store.getAll())

export const forgetRead = (id: string): Promise<unknown> =>
  within('read', 'readwrite', (store) => store.delete(id))
