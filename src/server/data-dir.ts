/**
 * The data directory and what lies in it beside the store.
 *
 * | file         | mode | what                                                        |
 * |--------------|------|-------------------------------------------------------------|
 * | `secret`     | 0600 | the secret, made at the first start; absent with BELFRY_SECRET |
 * | `lock`       | 0600 | which process uses the directory                            |
 * | `admin.json` | 0600 | `{url, token}` for the command line, while a server runs    |
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { codeOf, StartFailure } from './failure.ts'

const OWNER_ONLY = 0o600

/** Creates the directory. Throws `StartFailure`. */
export const prepareDataDir = (dir: string): void => {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new StartFailure([`The data directory ${dir} cannot be used: ${codeOf(error)}.`], { cause: error })
  }
}

// ── lock ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * When a process began, in the kernel's words: tells a process from a later one with the same number, which is what a
 * container that was killed finds. Undefined where the system does not say, or the process is gone.
 */
const beginningOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field, the name, is in brackets and may hold anything; the 22nd is the beginning.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

const lockHolder = z.object({ pid: z.number().int().positive(), beginning: z.string().optional() })

const isRunning = (pid: number, beginning: string | undefined): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as somebody else.
    if (codeOf(error) !== 'EPERM') return false
  }
  const now = beginningOf(pid)
  return now === undefined || beginning === undefined || now === beginning
}

const holderOf = (text: string): z.infer<typeof lockHolder> | undefined => {
  try {
    return lockHolder.parse(JSON.parse(text))
  } catch {
    // Its writer died in the middle.
    return undefined
  }
}

/** Takes the directory for this process until disposed. Throws `StartFailure` while another one runs on it. */
export const lockDataDir = (dir: string): Disposable => {
  const file = join(dir, 'lock')
  const mine = JSON.stringify({ pid: process.pid, beginning: beginningOf(process.pid) })
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: OWNER_ONLY })
      return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        throw new StartFailure([`The data directory ${dir} cannot be written to: ${codeOf(error)}.`], {
          cause: error,
        })
      }
    }
    const holder = holderOf(readFileSync(file, 'utf8'))
    if (attempt > 3 || (holder && isRunning(holder.pid, holder.beginning))) {
      throw new StartFailure([
        `The data directory ${dir} is used by another running process${holder ? ` (${holder.pid})` : ''}.`,
      ])
    }
    rmSync(file, { force: true })
  }
}

// ── secret ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The configured secret, else the one of the directory, which is made when it is not there. Throws `StartFailure`. */
export const loadSecret = (
  dir: string,
  configured: string | undefined,
  randomBytes: (length: number) => Uint8Array,
): Uint8Array => {
  if (configured !== undefined) return Buffer.from(configured, 'utf8')
  const file = join(dir, 'secret')
  try {
    writeFileSync(file, Buffer.from(randomBytes(32)).toString('base64url'), { flag: 'wx', mode: OWNER_ONLY })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  const text = readFileSync(file, 'utf8').trim()
  if (text.length < 16) throw new StartFailure([`The file ${file} does not hold a secret.`])
  return Buffer.from(text, 'utf8')
}

// ── admin file ──────────────────────────────────────────────────────────────────────────────────────────────────────

const adminAccess = z.object({ url: z.string(), token: z.string() })
export type AdminAccess = z.infer<typeof adminAccess>

const adminFile = (dir: string) => join(dir, 'admin.json')

/** Lets the local command line in until disposed. */
export const writeAdminAccess = (dir: string, access: AdminAccess): Disposable => {
  const file = adminFile(dir)
  // Renamed into place, so that nobody reads half of it.
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(access)}\n`, { mode: OWNER_ONLY })
  renameSync(draft, file)
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
