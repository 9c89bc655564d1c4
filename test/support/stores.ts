import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MailboxLimits } from '../../src/relay/store.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import type { Stores } from '../../src/storage/stores.ts'

/** Stores on a place of their own, which is removed when they are disposed of. Always those that are open now. */
export interface TestStores extends Stores {
  /** Closes the stores and opens what they kept: what a restart of the server does. */
  reopen(): Promise<void>
}

export const reopenable = async (
  open: () => Promise<Stores>,
  remove = async () => {},
): Promise<TestStores> => {
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

export const lmdb: Engine = {
  name: 'LMDB',
  async open(options = {}) {
    const path = await mkdtemp(join(tmpdir(), 'belfry-store-'))
    return reopenable(
      () => openLmdb({ path, ...options }),
      () => rm(path, { recursive: true, force: true }),
    )
  },
}
