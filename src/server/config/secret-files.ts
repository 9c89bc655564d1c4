/**
 * The secret in the data directory. No command deletes one that may still be needed: the former secret is renamed when
 * nothing is sealed with it any more, and removed by a start that comes `RETIRED_SECRET_KEPT_MS` later.
 */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { flushDirectory, renameDurably, writeDurably } from './durable-file.ts'
import { codeOf, StartError } from './start-error.ts'

export interface Secrets {
  secret: Uint8Array
  /** Another one that opens what is kept. */
  previous?: Uint8Array
}

/** Below this a secret can be guessed. */
const MIN_SECRET_LENGTH = 16
/** How long a secret that is not needed any more is kept: a backup of that time may need it. */
export const RETIRED_SECRET_KEPT_MS = 30 * 86_400_000

const secretFile = (dir: string) => join(dir, 'secret')
const previousFile = (dir: string) => join(dir, 'secret.previous')
/** The number is when it was put away, unix s. */
const KEPT_SECRET = /^secret\.previous\.(\d+)$/

const readSecret = (file: string): Uint8Array | undefined => {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new StartError([`The file ${file} cannot be read: ${codeOf(error)}.`], { cause: error })
  }
  if (text.length < MIN_SECRET_LENGTH) {
    throw new StartError([
      `The file ${file} does not hold a secret (${text.length} characters): put back the one that the store beside it was sealed with.`,
    ])
  }
  return Buffer.from(text, 'utf8')
}

const newSecret = (randomBytes: (length: number) => Uint8Array): string =>
  Buffer.from(randomBytes(32)).toString('base64url')

/** Whether the directory holds one. Throws `StartError` for a file that is none. */
export const hasSecret = (dir: string): boolean => readSecret(secretFile(dir)) !== undefined
/** Whether something is still sealed with the one before, as far as is known. */
export const hasPreviousSecret = (dir: string): boolean => existsSync(previousFile(dir))

/**
 * The configured secrets, else those of the directory. An empty directory gets one, on disk before this returns.
 * `hasStore`: there is something that was sealed, so a secret that is missing is not made up. Throws `StartError`.
 */
export const loadSecrets = (
  dir: string,
  configured: { secret?: string | undefined; previousSecret?: string | undefined },
  { randomBytes, hasStore }: { randomBytes: (length: number) => Uint8Array; hasStore: boolean },
): Secrets => {
  const bytes = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'utf8'))
  const file = secretFile(dir)
  if (configured.secret === undefined && readSecret(file) === undefined) {
    if (hasStore) {
      throw new StartError([
        `There is a store in ${dir} and no secret: put the file secret back that it was sealed with, or give that secret in BELFRY_SECRET.`,
      ])
    }
    writeDurably(file, newSecret(randomBytes))
  }
  const secret = bytes(configured.secret) ?? readSecret(file)
  if (!secret) throw new StartError([`The file ${file} does not hold a secret.`])
  const previous =
    bytes(configured.previousSecret) ??
    (configured.secret === undefined ? readSecret(previousFile(dir)) : undefined)
  return { secret, ...(previous && { previous }) }
}

/**
 * Makes a new secret for the next start, and keeps the present one beside it. Throws `StartError` when there is no
 * present one, or the one before it is still needed.
 */
export const replaceSecret = (dir: string, randomBytes: (length: number) => Uint8Array): void => {
  const file = secretFile(dir)
  const present = readSecret(file)
  if (!present) throw new StartError([`There is no secret in ${dir}: no server has made one there.`])
  const before = readSecret(previousFile(dir))
  // Where they are the same, this was cut off in the middle.
  if (before && !Buffer.from(before).equals(present)) {
    throw new StartError(['The last change of the secret is not finished: run belfry reseal first.'])
  }
  writeDurably(previousFile(dir), Buffer.from(present).toString('utf8'))
  writeDurably(file, newSecret(randomBytes))
}

/** Whether the next start in this directory would take this secret. */
export const isSecretOf = (dir: string, secret: Uint8Array): boolean => {
  const kept = readSecret(secretFile(dir))
  return kept !== undefined && Buffer.from(kept).equals(secret)
}

/**
 * Nothing is sealed with the one before any more: it is put away under the time. Answers whether there was one, and
 * touches nothing unless `secret` is the one of the next start.
 */
export const retirePreviousSecret = (dir: string, secret: Uint8Array, nowMs: number): boolean => {
  if (!isSecretOf(dir, secret)) return false
  const file = previousFile(dir)
  if (readSecret(file) === undefined) return false
  chmodSync(file, 0o600)
  renameDurably(file, `${file}.${Math.floor(nowMs / 1000)}`)
  return true
}

/** Removes what was put away long ago. */
export const removeRetiredSecrets = (dir: string, nowMs: number): void => {
  const old = readdirSync(dir).filter((name) => {
    const putAwayAt = KEPT_SECRET.exec(name)?.[1]
    return putAwayAt !== undefined && Number(putAwayAt) * 1000 + RETIRED_SECRET_KEPT_MS < nowMs
  })
  for (const name of old) rmSync(join(dir, name), { force: true })
  if (old.length > 0) flushDirectory(dir)
}
