import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { MailboxLimits } from '../../src/relay/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { sharedCluster, sharedRedis, stopShared } from './redis.ts'

/** Stores on a place of their own, which is removed when they are disposed of. */
export interface TestStores extends AsyncDisposable {
  /** The stores as they are open now. */
  readonly relay: Stores['relay']
  readonly keys: Stores['keys']
  readonly notify: Stores['notify']
  readonly agenda: Stores['agenda']
  readonly transfer: Stores['transfer']
  readonly leases: Stores['leases']
  ping(): Promise<void>
  /** Closes the stores and opens what they kept: what a restart of the server does. */
  reopen(): Promise<void>
}

export interface Engine {
  name: string
  open(options?: { mailbox?: MailboxLimits }): Promise<TestStores>
}

const lmdb: Engine = {
  name: 'LMDB',
  async open(options = {}) {
    const path = await mkdtemp(join(tmpdir(), 'belfry-store-'))
    let stores = await openLmdb({ path, ...options })
    return {
      get relay() {
        return stores.relay
      },
      get keys() {
        return stores.keys
      },
      get notify() {
        return stores.notify
      },
      get agenda() {
        return stores.agenda
      },
      get transfer() {
        return stores.transfer
      },
      get leases() {
        return stores.leases
      },
      ping: () => stores.ping(),
      async reopen() {
        await stores[Symbol.asyncDispose]()
        stores = await openLmdb({ path, ...options })
      },
      async [Symbol.asyncDispose]() {
        await stores[Symbol.asyncDispose]()
        await rm(path, { recursive: true, force: true })
      },
    }
  },
}

/** Each store has a prefix of its own on a server that the whole file shares. */
let prefixes = 0
const redis = (name: string, server: () => Promise<{ url: string }>): Engine => ({
  name,
  async open(options = {}) {
    const { url } = await server()
    prefixes += 1
    const own = { url, prefix: `belfry-test-${process.pid}-${prefixes}:`, ...options }
    let stores = await openRedis(own)
    return {
      get relay() {
        return stores.relay
      },
      get keys() {
        return stores.keys
      },
      get notify() {
        return stores.notify
      },
      get agenda() {
        return stores.agenda
      },
      get transfer() {
        return stores.transfer
      },
      get leases() {
        return stores.leases
      },
      ping: () => stores.ping(),
      async reopen() {
        await stores[Symbol.asyncDispose]()
        stores = await openRedis(own)
      },
      [Symbol.asyncDispose]: () => stores[Symbol.asyncDispose](),
    }
  },
})

/** Every engine that the contract suites hold to the same sentences. */
export const engines: readonly Engine[] = [
  lmdb,
  redis('Redis', sharedRedis),
  redis('a Redis Cluster', sharedCluster),
]

afterAll(stopShared)
