/** The stores of this package that need nothing of Node: for browsers and for React Native. */
import { readWalletState } from '../wallet/state.ts'
import { sealedByDevice } from './device-key.ts'
import { keyInDatabase, stateInDatabase } from './indexed-db.ts'
import { type SealKey, sealedUnder } from './seal.ts'
import { type ClearableStore, sealedStore, type TextSlot } from './wallet-store.ts'

export interface StoreOptions {
  /** Tells wallets of one page apart. Default: `belfry-wallet`. */
  name?: string
  /** Seals under this key. Default: a key of this browser, which no script can read; it stays in IndexedDB. */
  seal?: SealKey
}

const DEFAULT_NAME = 'belfry-wallet'

const browserStore = (slot: TextSlot, name: string, seal: SealKey | undefined): ClearableStore =>
  sealedStore(slot, seal ? sealedUnder(seal) : sealedByDevice(keyInDatabase(name)), readWalletState)

/**
 * Stores a wallet's state in the IndexedDB of a browser, sealed.
 *
 * @param options `name` of the database, and `seal` where the key is to be another one than this browser's.
 * @returns the store.
 * @throws {TypeError} when `seal.key` has not 32 bytes.
 * @example
 * const wallet = await openWallet({ ...options, store: indexedDbStore() })
 */
export const indexedDbStore = ({ name = DEFAULT_NAME, seal }: StoreOptions = {}): ClearableStore =>
  browserStore(stateInDatabase(name), name, seal)

/**
 * Stores a wallet's state in `localStorage`, sealed. The key of this browser is in IndexedDB all the same.
 *
 * @param options `name` of the item, and `seal` where the key is to be another one than this browser's.
 * @returns the store; a save rejects where the storage is full.
 * @throws {TypeError} when `seal.key` has not 32 bytes.
 * @example
 * const wallet = await openWallet({ ...options, store: localStorageStore({ name: 'my-wallet' }) })
 */
export const localStorageStore = ({ name = DEFAULT_NAME, seal }: StoreOptions = {}): ClearableStore =>
  browserStore(
    {
      load: async () => localStorage.getItem(name) ?? undefined,
      save: async (text) => localStorage.setItem(name, text),
      clear: async () => localStorage.removeItem(name),
    },
    name,
    seal,
  )

/** What is used of `@react-native-async-storage/async-storage`, and of whatever looks like it. */
export interface AsyncStorage {
  getItem(name: string): Promise<string | null | undefined>
  setItem(name: string, value: string): Promise<unknown>
  removeItem(name: string): Promise<unknown>
}

/**
 * Stores a wallet's state in an `AsyncStorage`, sealed under a key that the application has from a safe place.
 *
 * @param storage replaces an item as a whole, or not at all.
 * @param options `seal`: the key, of a Keychain or SecureStore; `name` of the item.
 * @returns the store.
 * @throws {TypeError} when `seal.key` has not 32 bytes.
 * @example
 * const store = asyncStorageStore(AsyncStorage, { seal: { key: await keyOfKeychain() } })
 */
export const asyncStorageStore = (
  storage: AsyncStorage,
  { name = DEFAULT_NAME, seal }: StoreOptions & { seal: SealKey },
): ClearableStore =>
  sealedStore(
    {
      load: async () => (await storage.getItem(name)) ?? undefined,
      save: async (text) => void (await storage.setItem(name, text)),
      clear: async () => void (await storage.removeItem(name)),
    },
    sealedUnder(seal),
    readWalletState,
  )
