/**
 * Whether the file system takes writes, asked before the engine is: a write of the engine that the file system refuses
 * outright may end the process, because the engine puts its message into memory that is too short for it.
 */
import { statfsSync, utimesSync } from 'node:fs'

/** Below this nothing is written: what other programs, and the commits of one turn, may take meanwhile. */
export const MIN_FREE_BYTES = 1024 * 1024
/** An answer holds for so long, ms. */
const ANSWER_TTL_MS = 50
const ENOSPC = 28

/** With the number of the system's error, as the engine's own errors have it. */
class WriteRefused extends Error {
  readonly code: number
  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const errnoOf = (error: unknown): number | undefined =>
  error instanceof Error && 'errno' in error && typeof error.errno === 'number'
    ? Math.abs(error.errno)
    : undefined

const ask = (path: string): Error | undefined => {
  const { bavail, bsize } = statfsSync(path)
  if (bavail * bsize < MIN_FREE_BYTES) return new WriteRefused('no space is left on the device', ENOSPC)
  const now = new Date()
  try {
    // A file system that became read-only after an error says so of a change alone.
    utimesSync(path, now, now)
  } catch (error) {
    return new WriteRefused('the file system takes no writes', errnoOf(error) ?? 0, { cause: error })
  }
  return undefined
}

/** Returns why nothing can be written in the directory, as it stood a moment ago. */
export const createWriteCheck = (path: string): (() => Error | undefined) => {
  let askedAt = Number.NEGATIVE_INFINITY
  let answer: Error | undefined
  return () => {
    const now = performance.now()
    if (now - askedAt < ANSWER_TTL_MS) return answer
    answer = ask(path)
    askedAt = now
    return answer
  }
}
