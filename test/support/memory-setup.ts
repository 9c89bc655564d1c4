/**
 * Temporary files of a run are in memory, where there is room: a test that waits for a disk shows nothing. What a disk
 * loses in a power cut is the business of tests that have one of their own (power-cut.ts). Not where TMPDIR is set.
 */
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
/** Stores of LMDB are sparse; this is more than all tests that run together have written. */
const MIN_FREE_BYTES = 4 * 1024 ** 3

let directory: string | undefined

const hasRoom = async (): Promise<boolean> => {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }))
  return bavail * bsize >= MIN_FREE_BYTES
}

export const setup = async (): Promise<void> => {
  if (process.env.TMPDIR || !(await hasRoom())) return
  directory = await mkdtemp(join(MEMORY, 'belfry-'))
  // Paths look like others, for tests that look for paths in answers.
  process.env.TMPDIR = join(directory, 'tmp')
  await mkdir(process.env.TMPDIR)
}

export const teardown = async (): Promise<void> => {
  if (directory) await rm(directory, { recursive: true, force: true })
}
