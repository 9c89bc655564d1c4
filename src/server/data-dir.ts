/**
 * The data directory and what lies in it beside the store.
 *
 * | file         | mode | what                                                        |
 * |--------------|------|-------------------------------------------------------------|
 * | `secret`     | 0600 | the secret, made at the first start; absent with BELFRY_SECRET |
 * | `secret.previous` | 0600 | the one before it, until nothing is sealed with that any more |
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

export interface Secrets {
  secret: Uint8Array
  /** Another one that opens what is kept. */
  previous?: Uint8Array
}

const previousFile = (dir: string) => join(dir, 'secret.previous')

const readSecret = (file: string): Uint8Array | undefined => {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
  if (text.length < 16) throw new StartFailure([`The file ${file} does not hold a secret.`])
  return Buffer.from(text, 'utf8')
}

/** The configured secrets, else those of the directory, which get one when there is none. Throws `StartFailure`. */
export const loadSecrets = (
  dir: string,
  configured: { secret?: string | undefined; previousSecret?: string | undefined },
  randomBytes: (length: number) => Uint8Array,
): Secrets => {
  const bytes = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'utf8'))
  const file = join(dir, 'secret')
  if (configured.secret === undefined) {
    try {
      writeFileSync(file, newSecret(randomBytes), { flag: 'wx', mode: OWNER_ONLY })
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
  }
  const secret = bytes(configured.secret) ?? readSecret(file)
  if (!secret) throw new StartFailure([`The file ${file} does not hold a secret.`])
  const previous =
    bytes(configured.previousSecret) ??
    (configured.secret === undefined ? readSecret(previousFile(dir)) : undefined)
  return { secret, ...(previous && { previous }) }
}

const newSecret = (randomBytes: (length: number) => Uint8Array): string =>
  Buffer.from(randomBytes(32)).toString('base64url')

/** Renamed into place when it is on disk, so that whoever reads, after a crash too, finds the old file or the new one. */
const replaceFile = (file: string, text: string): void => {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, text, { mode: OWNER_ONLY, flush: true })
  renameSync(draft, file)
}

/**
 * Makes a new secret for the next start, and keeps the present one beside it. Throws `StartFailure` when there is no
 * present one, or the one before it is still needed.
 */
export const replaceSecret = (dir: string, randomBytes: (length: number) => Uint8Array): void => {
  const file = join(dir, 'secret')
  const present = readSecret(file)
  if (!present) throw new StartFailure([`There is no secret in ${dir}: no server has made one there.`])
  const before = readSecret(previousFile(dir))
  // Where they are the same, this was cut off in the middle.
  if (before && !Buffer.from(before).equals(present)) {
    throw new StartFailure(['The last change of the secret is not finished: run belfry reseal first.'])
  }
  replaceFile(previousFile(dir), Buffer.from(present).toString('utf8'))
  replaceFile(file, newSecret(randomBytes))
}

/** Nothing is sealed with the one before any more. Answers whether there was one. */
export const forgetPreviousSecret = (dir: string): boolean => {
  const isThere = readSecret(previousFile(dir)) !== undefined
  rmSync(previousFile(dir), { force: true })
  return isThere
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
