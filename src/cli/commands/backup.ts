import { createWriteStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { readAdminAccess } from '../../server/config/data-dir.ts'
import { StartError } from '../../server/config/start-error.ts'
import { backupBytes, checkBackup } from '../../storage/transfer/backup.ts'
import { ACCESS_FLAGS, JSON_FLAG, print, printJson, serverOf } from '../admin-client.ts'
import { type Args, defineCommand, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import {
  openStore,
  STORE_LOCATION_HINT,
  type StoreLocation,
  secretOf,
  storeLocationOr,
} from '../store-location.ts'
import { asFailure } from './migrate.ts'

const flags = {
  to: { type: 'string', valueHint: 'FILE', description: 'The file that is written, or replaced' },
  from: {
    type: 'string',
    valueHint: STORE_LOCATION_HINT,
    description: 'The store [REDIS_URL, or the one in BELFRY_DATA]',
  },
  ...JSON_FLAG,
  server: ACCESS_FLAGS.server,
  token: ACCESS_FLAGS.token,
} as const satisfies Args

/** What a running server gives of its store. */
const fromServer = async (server: { url: string; token: string }): Promise<Readable> => {
  const { url, token } = server
  const answer = await fetch(`${url}/admin/backup`, { headers: { authorization: `Bearer ${token}` } }).catch(
    (cause: unknown) => {
      throw new CommandFailure(`No server answers at ${url}.`, { cause })
    },
  )
  if (answer.status !== 200 || !answer.body) throw new CommandFailure(`The server answered ${answer.status}`)
  return Readable.from(answer.body)
}

/** Writes beside the file, reads that again, and only then puts it in its place. */
const write = async (file: string, bytes: Readable) => {
  const draft = `${file}.${process.pid}.part`
  try {
    await pipeline(bytes, createWriteStream(draft, { mode: 0o600 })).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new CommandFailure(`The backup could not be written: ${reason}`, { cause })
    })
    const handle = await open(draft, 'r')
    await handle.sync()
    await handle.close()
    const { counts } = await checkBackup(draft).catch(asFailure)
    await rename(draft, file)
    return Object.values(counts).reduce((all, count) => all + count, 0)
  } finally {
    await rm(draft, { force: true })
  }
}

const fromStore = async (place: StoreLocation, file: string): Promise<number> => {
  const source = await openStore(place, 'source')
  try {
    return await write(file, backupBytes(source.stores.transfer.snapshot(), Date.now()))
  } finally {
    await source[Symbol.asyncDispose]()
  }
}

export const backup = defineCommand({
  args: flags,
  examples: ['backup --to belfry.backup', 'backup --to belfry.backup --from redis://127.0.0.1:6379'],
  async run(typed) {
    const { to: file, from, server } = typed.one
    if (file === undefined) throw new UsageError('--to is missing: the file')
    const done = (records: number, source: string, secret: string) => {
      if (typed.on.has('json')) return printJson({ records, source, file })
      print(
        `${records} records of ${source} are in ${file}.`,
        `The secret is not among them: keep ${secret}, too. Without it they are of no use.`,
      )
    }
    if (server !== undefined) {
      const running = serverOf(typed)
      return done(await write(file, await fromServer(running)), running.url, 'the one of that server')
    }
    const place = storeLocationOr('from', from)
    try {
      done(await fromStore(place, file), place.name, secretOf(place))
    } catch (error) {
      // A server runs on it: then that one reads its store.
      const running =
        error instanceof StartError && place.kind === 'lmdb' ? readAdminAccess(place.data) : undefined
      if (!running) throw error
      done(await write(file, await fromServer(running)), `the server at ${running.url}`, secretOf(place))
    }
  },
})
