import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { MailboxLimits } from '../../src/relay/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { sharedCluster, sharedRedis, stopShared } from './redis.ts'

/** Stores on a place of their own, which is removed when they are disposed of. Always those that are open now. */
export interface TestStores extends Stores {
  /** Closes the stores and opens what they kept: what a restart of the server does. */
  reopen(): Promise<void>
}

const reopenable = async (open: () => Promise<Stores>, remove = async () => {}): Promise<TestStores> => {
  let stores = await open()
  const own = {
    async reopen() {
      await stores[Symbol.asyncDispose]()
      stores = await open()
    },
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]()
      await remove()
    },
  }
  return new Proxy({ ...stores, ...own }, { get: (_, name) => Reflect.get(name in own ? own : stores, name) })
}

export interface Engine {
  name: string
  open(options?: { mailbox?: MailboxLimits }): Promise<TestStores>
}

const lmdb: Engine = {
  name: 'LMDB',
  async open(options = {}) {
    const path = await mkdtemp(join(tmpdir(), 'belfry-store-'))
    return reopenable(
      () => openLmdb({ path, ...options }),
      () => rm(path, { recursive: true, force: true }),
    )
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
    return reopenable(() => openRedis(own))
  },
})

/** Every engine that the contract suites hold to the same sentences. */
export const engines: readonly Engine[] = [
  lmdb,
  redis('Redis', sharedRedis),
  redis('a Redis Cluster', sharedCluster),
]

afterAll(stopShared)
