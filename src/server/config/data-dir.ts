/**
 * The data directory and what lies in it beside the store.
 *
 * | file         | mode | what                                                        |
 * |--------------|------|-------------------------------------------------------------|
 * | `secret`     | 0600 | the secret, made at the first start; absent with BELFRY_SECRET |
 * | `secret.previous` | 0600 | the one before it, until nothing is sealed with that any more |
 * | `secret.previous.<unix s>` | 0600 | that one, put away then and kept for 30 days |
 * | `lock`, `lock.sock` | 0600 | which process uses the directory                     |
 * | `admin.json` | 0600 | `{url, token}` for the command line, while a server runs    |
 */
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import * as z from 'zod'
import { flushDirectory, writeDurably } from './durable-file.ts'
import { codeOf, reasonOf, StartError } from './start-error.ts'

const isDirectory = (path: string): boolean => {
  try {
    if (statSync(path).isDirectory()) return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
  throw Object.assign(new Error(`${path} is a file`), { code: 'ENOTDIR' })
}

/** Node's own `recursive` never ends where the kernel makes no directories, as in /proc. */
const makeDirectory = (path: string): void => {
  if (isDirectory(path)) return
  const parent = dirname(path)
  if (parent !== path) makeDirectory(parent)
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  flushDirectory(parent)
}

/** Creates the directory, on disk when this returns. Throws `StartError`. */
export const prepareDataDir = (dir: string): void => {
  try {
    makeDirectory(resolve(dir))
  } catch (error) {
    throw new StartError([`The data directory ${dir} cannot be used: ${reasonOf(error)}.`], {
      cause: error,
    })
  }
}

// ── admin file ──────────────────────────────────────────────────────────────────────────────────────────────────────

const adminAccess = z.object({ url: z.string(), token: z.string() })
export type AdminAccess = z.infer<typeof adminAccess>

const adminFile = (dir: string) => join(dir, 'admin.json')

/** Lets the local command line in until disposed. */
export const writeAdminAccess = (dir: string, access: AdminAccess): Disposable => {
  const file = adminFile(dir)
  writeDurably(file, `${JSON.stringify(access)}\n`)
  return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
}

/** Undefined when no server has left any. */
export const readAdminAccess = (dir: string): AdminAccess | undefined => {
  try {
    return adminAccess.parse(JSON.parse(readFileSync(adminFile(dir), 'utf8')))
  } catch {
    return undefined
  }
}
