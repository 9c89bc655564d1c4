/**
 * The file of an embedded store before it is opened: made whole in one step, looked at, for its owner only.
 *
 * A new store is made beside its place and takes it when it is on disk, its format number included. So a file that is
 * empty or cut short is never a store that was just begun.
 */
import { existsSync } from 'node:fs'
import { chmod, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Database } from 'lmdb'
import { name } from '../bytes.ts'
import { checkStoreFormat, STORE_FORMAT, StoreRefused } from '../store-format.ts'
import { ROWS } from './bytes.ts'
import { type Env, openEnv } from './env.ts'
import { checkStoreFile, type FileCheck } from './file-check/check.ts'

const FORMAT_KEY = name('format')

const flush = async (path: string): Promise<void> => {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Where there are no second names, the rename may take the place of a store that another process has just made. */
const moveInto = async (from: string, to: string): Promise<void> => {
  try {
    await link(from, to)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    await rename(from, to)
  }
}

const formatTable = (env: Env): Database<number, Buffer> => env.openDB({ name: 'store', ...ROWS })

const makeStore = async (path: string): Promise<void> => {
  const draft = `${path}.new`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  const env = openEnv(draft)
  const table = formatTable(env)
  await env.transaction(() => void table.put(FORMAT_KEY, STORE_FORMAT))
  await env.close()
  await flush(join(draft, 'data.mdb'))
  await moveInto(join(draft, 'data.mdb'), join(path, 'data.mdb'))
  await flush(path)
  await rm(draft, { recursive: true, force: true })
  await flush(dirname(path))
}

/**
 * Makes the store when there is none, and looks at the one that there is. Throws `StoreRefused` when the engine cannot
 * work with it.
 */
export const prepareStoreFile = async (
  path: string,
  { timeoutMs, now }: { timeoutMs: number; now: () => number },
): Promise<FileCheck> => {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const file = join(path, 'data.mdb')
  if (!existsSync(file)) await makeStore(path)
  const check = await checkStoreFile(file, { timeoutMs, now })
  if (check.damage !== undefined) {
    throw new StoreRefused(
      `The store ${file} is damaged (${check.damage}): move ${path} away and put a backup in its place with belfry restore.`,
    )
  }
  await chmod(path, 0o700)
  await chmod(file, 0o600)
  if (existsSync(join(path, 'lock.mdb'))) await chmod(join(path, 'lock.mdb'), 0o600)
  return check
}

/** Throws `StoreRefused` when the store has the number of another format. */
export const checkFormat = (env: Env): void => {
  const stored: unknown = formatTable(env).get(FORMAT_KEY)
  // What has no number is from before there were numbers, which is the first format.
  checkStoreFormat(stored ?? 1)
}
