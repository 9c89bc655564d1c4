/** Very many subscribers, put into a store while no server runs. Nobody listens for them. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createVault } from '../../src/notify/apps/vault.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { startRedis } from '../support/redis.ts'
import { temporaryHome } from '../support/story.ts'

const AT_ONCE = 5_000
const THIRTY_DAYS = 30 * 86_400_000

/** Subscribes `count` accounts to one type of an app, on the store of servers with this BELFRY_SECRET. */
export const fill = async (
  stores: Pick<Stores, 'notify'>,
  secret: string,
  { domain, type, count }: { domain: string; type: string; count: number },
): Promise<void> => {
  const key = createVault(Buffer.from(secret)).seal(new Uint8Array(randomBytes(32)))
  const createdAt = Date.now()
  const enrol = () => {
    const accountKey = `eip155:0x${randomBytes(20).toString('hex')}`
    const subscription = {
      id: crypto.randomUUID(),
      ...{ domain, scope: [type], key, createdAt },
      topic: randomBytes(32).toString('hex'),
      expiresAt: createdAt + THIRTY_DAYS,
      account: accountKey.replace('eip155:', 'eip155:1:'),
    }
    const record = { subscriptions: [subscription], watchers: [] }
    return stores.notify.commit({ accountKey, expectedVersion: 0, record, outbox: [] })
  }
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, enrol))
  }
}

/** Where a server runs whose store is filled before. */
interface Place extends AsyncDisposable {
  env: { BELFRY_SECRET: string; REDIS_URL?: string }
  dataDir: string
  /** While no server runs. */
  open(): Promise<Stores>
}

const embedded = async (): Promise<Place> => {
  const home = await temporaryHome()
  return {
    env: { BELFRY_SECRET: randomBytes(24).toString('hex') },
    dataDir: home.path,
    open: () => openLmdb({ path: join(home.path, 'store') }),
    [Symbol.asyncDispose]: () => home[Symbol.asyncDispose](),
  }
}

const onRedis = async (): Promise<Place> => {
  const home = await temporaryHome()
  const redis = await startRedis({ appendonly: true })
  return {
    env: { BELFRY_SECRET: randomBytes(24).toString('hex'), REDIS_URL: redis.url },
    dataDir: home.path,
    open: () => openRedis({ url: redis.url }),
    async [Symbol.asyncDispose]() {
      await redis[Symbol.asyncDispose]()
      await home[Symbol.asyncDispose]()
    },
  }
}

/** The engines, by name. */
export const PLACES: [string, () => Promise<Place>][] = [
  ['the embedded store', embedded],
  ['Redis', onRedis],
]
