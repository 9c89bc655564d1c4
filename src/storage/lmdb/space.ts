/** How full the disk is that holds the store, and why it takes no write. */
import { statfsSync } from 'node:fs'
import type { Space, StoreSpace } from '../../platform/budgets/watermark.ts'
import type { Bytes } from './checked-rows.ts'
import type { Env } from './env.ts'
import { MIN_FREE_BYTES } from './write-check.ts'

/** About the largest message, so that what succeeds is no lucky small write. */
const PROBE_BYTES = 256 * 1024
const PROBE_KEY = Buffer.from('probe')

const NO_SPACE = 'No space is left on the device that holds the store'

/** LMDB could not write the head of its file, and gives up. */
export const LOST =
  'The device that holds the store failed in the middle of a write: give it room or replace it, then start the server again'

/** By errno, and by LMDB's own codes below -30000. */
const REASONS: Record<number, string> = {
  5: 'The device that holds the store fails (input/output error)',
  27: 'The file of the store may not grow further (file size limit)',
  28: NO_SPACE,
  30: 'The file system that holds the store is read-only: where its device failed or is full, give that room, then mount it again and start the server again',
  122: 'The disk quota of the file system that holds the store is used up',
  [-30792]: 'The memory map of the store cannot grow',
  [-30795]: LOST,
}

const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined

/** A look at the file system costs some microseconds and never waits for the disk. */
const sizeOf = (path: string): { totalBytes: number; freeBytes: number } => {
  const { blocks, bavail, bsize } = statfsSync(path)
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize }
}

/** Why a commit failed, as a sentence without its full stop. */
export const failedCommitReason = (cause: unknown, path: string): string => {
  const code = codeOf(cause)
  // A short write, which LMDB reports as an input/output error.
  if (code === 5 && sizeOf(path).freeBytes < MIN_FREE_BYTES) return NO_SPACE
  const own = code === undefined ? undefined : REASONS[code]
  return own ?? `The store cannot be written (${cause instanceof Error ? cause.message : 'unknown error'})`
}

export const createLmdbSpace = (env: Env, path: string): StoreSpace => {
  const probe: Bytes = env.bytes('probe')

  return {
    async measure(): Promise<Space> {
      const { totalBytes, freeBytes } = sizeOf(path)
      // What was removed leaves pages in the file, which are written before it grows.
      return { kind: 'disk', totalBytes, freeBytes: Math.min(totalBytes, freeBytes + env.reusableBytes()) }
    },
    async tryWrite() {
      await env.transaction(() => probe.put(PROBE_KEY, Buffer.alloc(PROBE_BYTES)))
      await env.transaction(() => probe.remove(PROBE_KEY))
    },
    onFailedWrite: (listener) => env.onFailedCommit((cause) => listener(failedCommitReason(cause, path))),
  }
}
