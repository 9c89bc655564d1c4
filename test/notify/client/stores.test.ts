/** Where a device stores its state: sealed, whole or not at all, and never a new device in silence. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { IDBFactory } from 'fake-indexeddb'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { fileStore } from '../../../src/notify/client/stores/file.ts'
import {
  asyncStorageStore,
  type ClearableStore,
  indexedDbStore,
  localStorageStore,
  openWallet,
  type SealKey,
  type WalletState,
} from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })
const newSeal = (): SealKey => ({ key: randomBytes(32) })

const stateOf = (seed: string, seen: string[] = []): WalletState => ({
  version: 1,
  account: newOwner().account,
  ...{ clientSeed: seed.repeat(32), identitySeed: seed.repeat(32), watchKey: seed.repeat(32) },
  ...{ registeredFor: null, server: null, subscriptions: [], seen },
})

let folder: string
let items: Map<string, string>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'belfry-store-'))
  items = new Map()
  vi.stubGlobal('indexedDB', new IDBFactory())
  vi.stubGlobal('localStorage', {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
    removeItem: (name: string) => void items.delete(name),
  })
})
afterEach(async () => {
  vi.unstubAllGlobals()
  await rm(folder, { recursive: true, force: true })
})

const within = async <T>(name: string, work: (table: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
  const asked = <R>(request: IDBRequest<R>) =>
    new Promise<R>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  const database = await asked(indexedDB.open(name))
  const result = await asked(work(database.transaction('wallet', 'readwrite').objectStore('wallet')))
  database.close()
  return result
}

interface Kind {
  name: string
  /** The same place, as the next start finds it. */
  open(seal: SealKey): ClearableStore
  read(): Promise<string>
  write(text: string): Promise<void>
}

const asyncStorage = {
  getItem: async (name: string) => items.get(name) ?? null,
  setItem: async (name: string, value: string) => void items.set(name, value),
  removeItem: async (name: string) => void items.delete(name),
}
const inItems = {
  read: async () => items.get('belfry-wallet') ?? '',
  write: async (text: string) => void items.set('belfry-wallet', text),
}
const path = () => join(folder, 'deep', 'state')
const inDatabase = {
  read: async () => String(await within('belfry-wallet', (table) => table.get('state'))),
  write: async (text: string) => void (await within('belfry-wallet', (table) => table.put(text, 'state'))),
}
const KINDS: Kind[] = [
  { name: 'AsyncStorage', open: (seal) => asyncStorageStore(asyncStorage, { seal }), ...inItems },
  { name: 'localStorage', open: () => localStorageStore(), ...inItems },
  { name: 'localStorage, under a given key', open: (seal) => localStorageStore({ seal }), ...inItems },
  { name: 'IndexedDB', open: () => indexedDbStore(), ...inDatabase },
  { name: 'IndexedDB, under a given key', open: (seal) => indexedDbStore({ seal }), ...inDatabase },
  {
    name: 'a file',
    open: (seal) => fileStore(path(), { seal }),
    read: () => readFile(path(), 'utf8'),
    write: (text) => writeFile(path(), text),
  },
]

describe.each(KINDS)('a store in $name', ({ open, read, write }) => {
  test('has nothing at first, then what was saved last, and nothing again', async () => {
    const seal = newSeal()
    expect(await open(seal).load()).toBeUndefined()
    await open(seal).save(stateOf('a0'))
    const latest = stateOf('a1', ['first'])
    await open(seal).save(latest)
    expect(await open(seal).load()).toEqual(latest)
    await open(seal).clear()
    expect(await open(seal).load()).toBeUndefined()
  })

  test('ends with the latest of many at once', async () => {
    const seal = newSeal()
    const store = open(seal)
    const states = Array.from({ length: 20 }, (_, at) => stateOf('a2', Array.from({ length: at }, String)))
    await Promise.all(states.map((state) => store.save(state)))
    expect((await open(seal).load())?.seen).toHaveLength(19)
  })

  test('shows nothing of it, and says so when it was altered', async () => {
    const seal = newSeal()
    await open(seal).save(stateOf('a3'))
    const sealed = await read()
    expect(sealed).toMatch(/^1\.(key|device)\.[\w+/]+=*$/)
    expect(sealed).not.toContain('a3a3a3')
    const at = sealed.length - 9
    const other = sealed[at] === 'A' ? 'B' : 'A'
    for (const altered of [
      sealed.slice(0, at) + other + sealed.slice(at + 1),
      sealed.slice(0, -20),
      sealed.replace(/^1/, '2'),
      sealed.replace(/\.(key|device)\./, (its) => (its === '.key.' ? '.device.' : '.key.')),
      JSON.stringify(stateOf('a3')),
      '',
    ]) {
      await write(altered)
      await expect(open(seal).load()).rejects.toEqual(code('state_unreadable'))
    }
    await write(sealed)
    expect(await open(seal).load()).toMatchObject({ clientSeed: 'a3'.repeat(32) })
  })
})

describe('a key that is another one', () => {
  test.each(KINDS.filter(({ name }) => /given|AsyncStorage|file/.test(name)))(
    'opens nothing in $name',
    async ({ open }) => {
      await open(newSeal()).save(stateOf('b0'))
      await expect(open(newSeal()).load()).rejects.toEqual(code('state_unreadable'))
      expect(() => open({ key: randomBytes(16) })).toThrow(TypeError)
    },
  )

  test('of a browser cannot be read, and its state is not opened without it', async () => {
    await Promise.all([indexedDbStore().save(stateOf('b1')), localStorageStore().save(stateOf('b2'))])
    const key: unknown = await within('belfry-wallet', (table) => table.get('key'))
    if (!(key instanceof CryptoKey)) throw new Error('It is no key')
    expect(key.extractable).toBe(false)
    await expect(crypto.subtle.exportKey('raw', key)).rejects.toThrow()
    expect(await localStorageStore().load()).toMatchObject({ clientSeed: 'b2'.repeat(32) })
    await within('belfry-wallet', (table) => table.delete('key'))
    for (const store of [indexedDbStore(), localStorageStore()])
      await expect(store.load()).rejects.toEqual(code('state_unreadable'))
  })
})

test('what is sealed and is no state is not taken for one', async () => {
  const seal = newSeal()
  const wrong: object = { ...stateOf('c0'), version: 9 }
  const store = asyncStorageStore(asyncStorage, { seal })
  // It is what another version might have left.
  await store.save(Object.assign(stateOf('c0'), wrong))
  await expect(store.load()).rejects.toEqual(code('bad_params'))
})

test('a save that fails rejects, and the next one is tried all the same', async () => {
  const seal = newSeal()
  let isFull = true
  const full = {
    ...asyncStorage,
    async setItem(name: string, value: string) {
      if (isFull) throw new Error('the storage is full')
      items.set(name, value)
    },
  }
  const store = asyncStorageStore(full, { seal })
  await expect(store.save(stateOf('d0'))).rejects.toThrow('full')
  isFull = false
  await store.save(stateOf('d1'))
  expect(await store.load()).toMatchObject({ clientSeed: 'd1'.repeat(32) })
})

describe('a file', () => {
  test('is for its owner alone, and what a crash left beside it is nothing', async () => {
    const seal = newSeal()
    await fileStore(path(), { seal }).save(stateOf('e0'))
    expect((await stat(path())).mode & 0o777).toBe(0o600)
    await writeFile(`${path()}.next`, (await readFile(path(), 'utf8')).slice(0, 40))
    expect(await fileStore(path(), { seal }).load()).toMatchObject({ clientSeed: 'e0'.repeat(32) })
  })

  test('has the state of the last save that was answered, or the one after it, when its process is killed', async () => {
    const key = randomBytes(32)
    for (const saves of [3, 11]) {
      let last = 0
      let left = saves
      const writer = spawn(
        process.execPath,
        [
          ...['--import', 'tsx', '--conditions=source', 'test/notify/client/state-writer.ts'],
          ...[path(), key.toString('hex')],
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      for await (const line of createInterface({ input: writer.stdout })) {
        last = Number(line)
        left -= 1
        if (left === 0) writer.kill('SIGKILL')
      }
      const state = await fileStore(path(), { seal: { key } }).load()
      expect([last, last + 1]).toContain(state?.seen.length)
    }
  })
})

describe('a wallet with a store', () => {
  let world: ClientWorld
  beforeAll(async () => {
    world = await startClientWorld()
  })
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]()
  })

  test('is the same device after a restart, and none at all when the state cannot be opened', async () => {
    const domain = 'stored.test'
    const [type = ''] = await world.app(domain)
    const { account, sign } = world.newOwner()
    let signed = 0
    const options = (store: ClearableStore) => ({
      ...{ url: world.url, account, store, domain: 'wallet.test', allApps: true, trustServer: true },
      sign: async (text: string) => {
        signed++
        return sign(text)
      },
    })
    const first = await openWallet(options(indexedDbStore()))
    await first.subscribe(domain)
    await first.close()

    const send = (title: string) => world.dapp(domain).notify({ type, title, body: 'body' }, [account])
    await send('while it was away')
    const second = await openWallet(options(indexedDbStore()))
    const titles: string[] = []
    second.on('message', ({ notification }) => void titles.push(notification.title))
    await eventually(() => expect(titles).toEqual(['while it was away']))
    await second.watch()
    expect(second.identityKey).toBe(first.identityKey)
    expect(signed).toBe(1)
    await second.close()

    await within('belfry-wallet', (table) => table.delete('key'))
    await expect(openWallet(options(indexedDbStore()))).rejects.toEqual(code('state_unreadable'))
    const stranger = { ...options(localStorageStore()), account: world.newOwner().account }
    await localStorageStore().save({ ...first.export() })
    await expect(openWallet(stranger)).rejects.toEqual(code('account_mismatch'))

    await indexedDbStore().clear()
    const anew = await openWallet(options(indexedDbStore()))
    expect(anew.identityKey).not.toBe(first.identityKey)
    await anew.close()
  })
})
