/**
 * What the inbox keeps on this device, in IndexedDB: the account and the state of its wallet, messages, and read marks that the
 * server does not have yet. Of an app the newest messages are kept; all of it ends with `forget`.
 */
import type { Notification } from '../../../sdk/wallet.ts'

/** A notification with the domain of its app. */
export interface Message extends Omit<Notification, 'answered'> {
  domain: string
  /** Id of the action that the account answered with; null: an answer is there that this device does not know. */
  answered?: string | null
}

/** Where a message stands among others: newest first, and by id where the time is the same. */
export type Place = Pick<Message, 'sentAt' | 'id' | 'domain'>

/** `account`: who; `wallet`: state of the wallet; `apps`: what apps say of themselves; `device`: at the push room; `session`: key. */
export type Setting = 'account' | 'wallet' | 'apps' | 'device' | 'language' | 'session'

/** A message as it is stored now. */
export interface Stored {
  message: Message
  /** It was here before it came: of a page of the history, or of a start that ended too soon. */
  wasKnown: boolean
}

export interface Database {
  setting(name: Setting): Promise<unknown>
  setSetting(name: Setting, value: unknown): Promise<void>
  /** Stores the state of the wallet and the messages that came to it, both or neither. What is read stays read. */
  setWallet(state: unknown, messages: readonly Message[]): Promise<Stored[]>
  message(domain: string, id: string): Promise<Message | undefined>
  /** In place of those with the same ids, whose answers stay. Resolves with the messages as they are now. */
  put(messages: readonly Message[]): Promise<Message[]>
  /**
   * Newest first, those that come behind a place.
   *
   * @param query `domain`: of this app only; `matches`: only these; `limit`: at most so many.
   */
  page(query: PageQuery): Promise<Message[]>
  /** The oldest message of an app, and how many there are. */
  oldest(domain: string): Promise<{ message: Message | undefined; count: number }>
  /** Removes all but the newest messages of an app. */
  keepNewest(domain: string, count: number): Promise<void>
  /** Removes the messages of an app that are older than a place; all of them without one. */
  removeOlder(domain: string, than?: Place): Promise<void>
  /** Read marks that the server does not have yet. */
  marks(): Promise<{ domain: string; id: string }[]>
  putMarks(domain: string, ids: readonly string[]): Promise<void>
  removeMarks(domain: string, ids: readonly string[]): Promise<void>
  /** Removes everything. */
  forget(): Promise<void>
}

export interface PageQuery {
  domain?: string | undefined
  behind?: Place | undefined
  matches?: ((message: Message) => boolean) | undefined
  limit: number
}

const NAME = 'belfry-inbox'
const VERSION = 1

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

const completed = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onerror = () => reject(transaction.error)
    transaction.onabort = () => reject(transaction.error)
  })

const open = (): Promise<IDBDatabase> => {
  const request = indexedDB.open(NAME, VERSION)
  request.onupgradeneeded = () => {
    const { result } = request
    result.createObjectStore('settings')
    const messages = result.createObjectStore('messages', { keyPath: ['domain', 'id'] })
    messages.createIndex('byTime', ['sentAt', 'id', 'domain'])
    messages.createIndex('byApp', ['domain', 'sentAt', 'id'])
    result.createObjectStore('marks', { keyPath: ['domain', 'id'] })
  }
  return done(request)
}

/** Behind all keys that begin with the same parts: an array is greater than every text and number. */
const LAST: IDBValidKey = []

const rangeOf = ({ domain, behind }: Pick<PageQuery, 'domain' | 'behind'>): IDBKeyRange | undefined => {
  if (domain === undefined)
    return behind && IDBKeyRange.upperBound([behind.sentAt, behind.id, behind.domain], true)
  const upper = behind ? [domain, behind.sentAt, behind.id] : [domain, LAST]
  return IDBKeyRange.bound([domain], upper, false, true)
}

/** Calls `each` with the messages of a range, newest first, until it returns false. */
const walk = (
  store: IDBObjectStore,
  query: Pick<PageQuery, 'domain' | 'behind'>,
  each: (message: Message, cursor: IDBCursor) => boolean,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const index = store.index(query.domain === undefined ? 'byTime' : 'byApp')
    const request = index.openCursor(rangeOf(query), 'prev')
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const cursor = request.result
      if (cursor && each(cursor.value, cursor)) cursor.continue()
      else resolve()
    }
  })

/** Puts a message in place of the one that is there, if any. */
const replace = (
  store: IDBObjectStore,
  message: Message,
  next: (before: Message | undefined) => Message,
): Promise<Stored> =>
  new Promise((resolve, reject) => {
    const request: IDBRequest<Message | undefined> = store.get([message.domain, message.id])
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      const stored = next(request.result)
      store.put(stored)
      resolve({ message: stored, wasKnown: request.result !== undefined })
    }
  })

/** What is known of the answer stays. */
const withAnswer = (message: Message, before: Message | undefined): Message => {
  const answered = message.answered === undefined ? before?.answered : message.answered
  return { ...message, ...(answered !== undefined && { answered }) }
}

const createMessages = (database: IDBDatabase) => {
  const messages = (mode: IDBTransactionMode) =>
    database.transaction('messages', mode).objectStore('messages')
  const removeWhile = async (
    query: Pick<PageQuery, 'domain' | 'behind'>,
    keep: () => boolean,
  ): Promise<void> => {
    const store = messages('readwrite')
    await walk(store, query, (_, cursor) => {
      if (!keep()) cursor.delete()
      return true
    })
  }
  return {
    message: (domain: string, id: string): Promise<Message | undefined> =>
      done(messages('readonly').get([domain, id])),
    async put(all: readonly Message[]): Promise<Message[]> {
      if (all.length === 0) return []
      const store = messages('readwrite')
      const end = completed(store.transaction)
      const put = all.map((message) => replace(store, message, (before) => withAnswer(message, before)))
      const [stored] = await Promise.all([Promise.all(put), end])
      return stored.map(({ message }) => message)
    },
    async page({ domain, behind, matches = () => true, limit }: PageQuery): Promise<Message[]> {
      const found: Message[] = []
      await walk(messages('readonly'), { domain, behind }, (message) => {
        if (matches(message)) found.push(message)
        return found.length < limit
      })
      return found
    },
    async oldest(domain: string) {
      const index = messages('readonly').index('byApp')
      const range = rangeOf({ domain })
      const [count, cursor] = await Promise.all([done(index.count(range)), done(index.openCursor(range))])
      const message: Message | undefined = cursor?.value
      return { message, count }
    },
    keepNewest(domain: string, count: number) {
      let kept = 0
      return removeWhile({ domain }, () => ++kept <= count)
    },
    removeOlder: (domain: string, than?: Place) => removeWhile({ domain, behind: than }, () => false),
  }
}

const createMarks = (database: IDBDatabase) => {
  const change = async (work: (store: IDBObjectStore) => void): Promise<void> => {
    const transaction = database.transaction('marks', 'readwrite')
    work(transaction.objectStore('marks'))
    await completed(transaction)
  }
  return {
    marks: (): Promise<{ domain: string; id: string }[]> =>
      done(database.transaction('marks').objectStore('marks').getAll()),
    putMarks: (domain: string, ids: readonly string[]) =>
      change((store) => {
        for (const id of ids) store.put({ domain, id })
      }),
    removeMarks: (domain: string, ids: readonly string[]) =>
      change((store) => {
        for (const id of ids) store.delete([domain, id])
      }),
  }
}

export const openDatabase = async (): Promise<Database> => {
  const database = await open()
  return {
    setting: (name) => done<unknown>(database.transaction('settings').objectStore('settings').get(name)),
    async setSetting(name, value) {
      const transaction = database.transaction('settings', 'readwrite')
      transaction.objectStore('settings').put(value, name)
      await completed(transaction)
    },
    async setWallet(state, messages) {
      const transaction = database.transaction(['settings', 'messages'], 'readwrite')
      const end = completed(transaction)
      transaction.objectStore('settings').put(state, 'wallet')
      const store = transaction.objectStore('messages')
      const put = messages.map((message) =>
        replace(store, message, (before) =>
          withAnswer({ ...message, isRead: before?.isRead ?? message.isRead }, before),
        ),
      )
      const [stored] = await Promise.all([Promise.all(put), end])
      return stored
    },
    ...createMessages(database),
    ...createMarks(database),
    async forget() {
      const names = [...database.objectStoreNames]
      const transaction = database.transaction(names, 'readwrite')
      for (const name of names) transaction.objectStore(name).clear()
      await completed(transaction)
    },
  }
}
