/** What lies on this machine: the secret, the data directory, its disk, the embedded store, the ports. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join, resolve } from 'node:path'
import { reserveOf } from '../../platform/budgets/watermark.ts'
import { MIB_BYTES } from '../../platform/units.ts'
import type { Config } from '../../server/config/config.ts'
import { hasPreviousSecret, hasSecret } from '../../server/config/secret-files.ts'
import { METRICS_PORT } from '../../server/config/settings/operations.ts'
import { reasonOf, StartError } from '../../server/config/start-error.ts'
import { closeServer, listen } from '../../server/http.ts'
import { hasStore } from '../../server/stores/embedded.ts'
import { CommandFailure } from '../command-failure.ts'
import { openStore, storeLocationOr } from '../store-location.ts'
import { readableBytes } from '../usage.ts'
import { type Finding, failed, ok, skipped, warning } from './finding.ts'
import { sealedWith } from './sealed.ts'

const OTHERS_MODE = 0o077

const isOpenToOthers = (path: string): boolean => (statSync(path).mode & OTHERS_MODE) !== 0

/** What the operator is told of a mistake that a start would be refused for. */
const sentenceOf = (error: unknown): string => {
  if (error instanceof StartError || error instanceof CommandFailure) return error.message
  return `${reasonOf(error)}.`
}

export const secretOnDisk = ({ data, secret, previousSecret, redisUrl }: Config): Finding[] => {
  const file = join(data, 'secret')
  const pending: Finding[] =
    previousSecret !== undefined || hasPreviousSecret(data)
      ? [
          warning(
            'secret',
            'The former secret is still needed: run belfry reseal until it says that it may go.',
          ),
        ]
      : []
  if (secret !== undefined) return [ok('secret', 'BELFRY_SECRET is set.'), ...pending]
  try {
    if (!hasSecret(data)) {
      return redisUrl === undefined && hasStore(data)
        ? [
            failed(
              'secret',
              `There is a store in ${data} and no secret: put the file ${file} back, or set BELFRY_SECRET.`,
            ),
          ]
        : [ok('secret', 'There is none yet: the first start makes one.')]
    }
  } catch (error) {
    return [failed('secret', sentenceOf(error))]
  }
  return [
    ...(isOpenToOthers(file)
      ? [warning('secret', `Other users may read ${file}: chmod 600 it.`)]
      : [ok('secret', `It is in ${file}.`)]),
    ...(redisUrl === undefined
      ? []
      : [
          warning(
            'secret',
            'BELFRY_SECRET is not set: other processes on this Redis need the secret of this directory.',
          ),
        ]),
    ...pending,
  ]
}

/** The directory, or the nearest one above it that exists. */
const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)))

export const dataDirectory = ({ data }: Config): Finding[] => {
  const place = existing(resolve(data))
  try {
    accessSync(place, constants.W_OK | constants.X_OK)
  } catch (error) {
    return [failed('data', `The data directory ${data} cannot be used: ${reasonOf(error)}.`)]
  }
  if (place !== resolve(data)) return [ok('data', `${data} is not there yet: the first start makes it.`)]
  if (!statSync(place).isDirectory())
    return [failed('data', `${data} is a file: name a directory in BELFRY_DATA.`)]
  return [ok('data', `${data} can be written to.`)]
}

export const diskSpace = async ({ data, diskReserve, redisUrl, watermark }: Config): Promise<Finding[]> => {
  if (redisUrl !== undefined) return [skipped('disk', 'The store is a Redis.')]
  const { bsize, blocks, bavail } = await statfs(existing(resolve(data)))
  const space = { kind: 'disk', totalBytes: bsize * blocks, freeBytes: bsize * bavail } as const
  const reserve = reserveOf(space, {
    memoryRatio: watermark / 100,
    diskBytes: diskReserve === undefined ? undefined : diskReserve * MIB_BYTES,
  })
  const says = `${readableBytes(space.freeBytes)} of ${readableBytes(space.totalBytes)} are free; ${readableBytes(reserve)} must be`
  if (space.freeBytes < reserve) {
    return [
      failed(
        'disk',
        `${says}, or nothing new of strangers is kept: make room, or lower BELFRY_DISK_RESERVE.`,
      ),
    ]
  }
  return space.freeBytes < 2 * reserve ? [warning('disk', `${says}.`)] : [ok('disk', `${says}.`)]
}

/** Opens it, which looks at every row, unless a server has it open. */
export const embeddedStore = async (config: Config, isServed: boolean): Promise<Finding[]> => {
  const { data, redisUrl } = config
  if (redisUrl !== undefined) return []
  if (isServed)
    return [skipped('store', 'The running server has it open, and says below whether it can be used.')]
  if (!hasStore(data)) {
    return existsSync(join(data, 'store.json'))
      ? [
          failed(
            'store',
            `The store of ${data} is gone: put it back, or put a backup in its place with belfry restore.`,
          ),
        ]
      : [ok('store', 'There is none yet: the first start makes one.')]
  }
  try {
    const store = await openStore(storeLocationOr('store', `lmdb:${data}`), 'source')
    try {
      await store.stores.ping()
      await store.stores.claimFormat()
      return [
        ok('store', `${join(data, 'store')} opens, and has the format of this version.`),
        ...(await sealedWith(store.stores, config, `The store of ${data}`)),
      ]
    } finally {
      await store[Symbol.asyncDispose]()
    }
  } catch (error) {
    return [failed('store', sentenceOf(error))]
  }
}

const portIsFree = async (port: number, host: string | undefined): Promise<string | undefined> => {
  const server = createServer()
  try {
    await listen(server, port, host)
    return undefined
  } catch (error) {
    return sentenceOf(error)
  } finally {
    await closeServer(server)
  }
}

export const ports = async ({ port, host, metrics }: Config, isServed: boolean): Promise<Finding[]> => {
  if (isServed) return [skipped('ports', 'The running server has them.')]
  const trouble = await portIsFree(port, host)
  const main = trouble === undefined ? ok('ports', `Port ${port} is free.`) : failed('ports', trouble)
  if (metrics === 'off' || metrics === 'shared') return [main]
  const place = typeof metrics === 'object' ? metrics : { host: '127.0.0.1', port: metrics ?? METRICS_PORT }
  const taken = await portIsFree(place.port, place.host)
  if (taken === undefined) return [main, ok('ports', `Port ${place.port}, of the metrics, is free.`)]
  // Nobody asked for this very port.
  return [
    main,
    metrics === undefined
      ? warning('ports', `${taken} The metrics will have another one.`)
      : failed('ports', taken),
  ]
}
