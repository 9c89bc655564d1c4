/** Stores as the command line names them, for commands that open one themselves: no server runs on it then. */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { createReleaseStack } from '../platform/runtime/release-stack.ts'
import { readConfig } from '../server/config/config.ts'
import { prepareDataDir } from '../server/config/data-dir.ts'
import { lockDataDir } from '../server/config/data-lock.ts'
import { asStartError, openEmbedded } from '../server/stores/embedded.ts'
import { openCheckedRedis } from '../server/stores/redis.ts'
import { parseRedisUrl } from '../storage/redis/url.ts'
import type { Stores } from '../storage/stores.ts'
import { UsageError } from './command.ts'
import { CommandFailure } from './command-failure.ts'

export type StoreLocation =
  /** `data` is the directory with the secret, `store` the one of the engine within it. */
  { kind: 'lmdb'; name: string; data: string; store: string } | { kind: 'redis'; name: string; url: string }

export const STORE_LOCATION_HINT = 'lmdb:DIR|redis://HOST:PORT'

const hasStore = (dir: string): boolean => existsSync(join(dir, 'data.mdb'))

const lmdbPlace = (text: string): StoreLocation => {
  const given = resolve(text)
  const dir = existsSync(given) ? realpathSync(given) : given
  // The store itself, or the data directory around it.
  const isStore = hasStore(dir) && basename(dir) === 'store'
  const data = isStore ? dirname(dir) : dir
  return { kind: 'lmdb', name: `lmdb:${data}`, data, store: join(data, 'store') }
}

const redisPlace = (url: string): StoreLocation => {
  const { hosts, isCluster, db, tls } = parseRedisUrl(url)
  const list = hosts.map(({ host, port }) => `${host}:${port}`).join(',')
  // Without its password: the name is shown, and kept.
  const name = `redis${tls ? 's' : ''}${isCluster ? '+cluster' : ''}://${list}${db ? `/${db}` : ''}`
  return { kind: 'redis', name, url }
}

/** `lmdb:` and a data directory (or the store in it), or the URL of a Redis as in REDIS_URL. */
export const parseStoreLocation = (flag: string, text: string | undefined): StoreLocation => {
  if (text === undefined) throw new UsageError(`--${flag} is missing: ${STORE_LOCATION_HINT}`)
  if (/^lmdb:./.test(text)) return lmdbPlace(text.slice('lmdb:'.length))
  try {
    return redisPlace(text)
  } catch {
    throw new UsageError(
      `--${flag} must be lmdb:<data directory>, redis://host:port or redis+cluster://host:port,host:port`,
    )
  }
}

/** What the flag names; without it, what `belfry serve` would use here. */
export const storeLocationOr = (flag: string, text: string | undefined): StoreLocation => {
  if (text !== undefined) return parseStoreLocation(flag, text)
  const { config } = readConfig()
  return config.redisUrl === undefined ? lmdbPlace(config.data) : redisPlace(config.redisUrl)
}

export interface OpenStore extends AsyncDisposable {
  stores: Stores
}

/** Opens the store for this process alone (Redis: as one of many). Throws `StartError` while a server runs on it. */
export const openStore = async (place: StoreLocation, role: 'source' | 'target'): Promise<OpenStore> => {
  const owned = createReleaseStack()
  try {
    if (place.kind === 'redis') {
      const stores = owned.use(await openCheckedRedis({ url: place.url }))
      await stores.ping().catch((cause: unknown) => {
        throw new CommandFailure(`No Redis answers at ${place.name}.`, { cause })
      })
      await stores.claimFormat().catch(asStartError)
      return { stores, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
    }
    if (role === 'source' && !hasStore(place.store)) {
      throw new CommandFailure(`There is no store in ${place.data}.`)
    }
    if (role === 'target') prepareDataDir(place.data)
    owned.use(await lockDataDir(place.data))
    const stores = owned.use(await openEmbedded(place.data, { isNew: role === 'target' }))
    return { stores, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
  } catch (error) {
    await owned[Symbol.asyncDispose]().catch(() => {})
    throw error
  }
}

/** Where the secret is that the sealed values need: it is never copied. */
export const secretOf = (place: StoreLocation): string =>
  place.kind === 'lmdb' && existsSync(join(place.data, 'secret'))
    ? `the file ${join(place.data, 'secret')}`
    : 'the BELFRY_SECRET of its servers'
