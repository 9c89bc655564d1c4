/** How full the disk is that holds the store, and why it takes no write. */
import { statfsSync } from 'node:fs'
import type { Space, StoreSpace } from '../../platform/watermark.ts'
import { BYTES, type Bytes } from './bytes.ts'
import type { Env } from './env.ts'

/** About the largest message, so that what succeeds is no lucky small write. */
const PROBE_BYTES = 256 * 1024
const PROBE_KEY = Buffer.from('probe')

/** Below this a short write, which LMDB reports as an input/output error, is a full disk. */
const NOTHING_LEFT_BYTES = 1024 * 1024

const NO_SPACE = 'No space is left on the device that holds the store'

/** By errno, and by LMDB's own codes below -30000. */
const REASONS: Record<number, string> = {
  5: 'The device that holds the store fails (input/output error)',
  27: 'The file of the store may not grow further (file size limit)',
  28: NO_SPACE,
  30: 'The file system that holds the store is read-only',
  122: 'The disk quota of the file system that holds the store is used up',
  [-30792]: 'The memory map of the store cannot grow',
  [-30795]:
    'The device that holds the store failed in the middle of a write: give it room or replace it, then start the server again',
}

const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined

/** A look at the file system costs some microseconds and never waits for the disk. */
const sizeOf = (path: string): { totalBytes: number; freeBytes: number } => {
  const { blocks, bavail, bsize } = statfsSync(path)
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize }
}

export const createLmdbSpace = (env: Env, path: string): StoreSpace => {
  const probe: Bytes = env.openDB({ name: 'probe', ...BYTES })

  const reasonOf = (cause: unknown): string => {
    const code = codeOf(cause)
    if (code === 5 && sizeOf(path).freeBytes < NOTHING_LEFT_BYTES) return NO_SPACE
    const own = code === undefined ? undefined : REASONS[code]
    return own ?? `The store cannot be written (${cause instanceof Error ? cause.message : 'unknown error'})`
  }

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
    onFailedWrite: (listener) => env.onFailedCommit((cause) => listener(reasonOf(cause))),
  }
}
