/** Small files that are there after a power cut: the bytes are flushed, then the name, then the directory of the name. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { codeOf } from './start-error.ts'

const OWNER_ONLY_MODE = 0o600

/** Systems and file systems on which a directory is not opened, or not flushed, answer one of these. */
const NOT_POSSIBLE = ['EACCES', 'EPERM', 'EISDIR', 'EINVAL', 'ENOTSUP']

/** What was created, renamed or removed in the directory stays so. Does nothing where the system has no such call. */
export const flushDirectory = (dir: string): void => {
  let handle: number | undefined
  try {
    handle = openSync(dir, 'r')
    fsyncSync(handle)
  } catch (error) {
    if (!NOT_POSSIBLE.includes(codeOf(error) ?? '')) throw error
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** Whoever reads the file, after a crash too, finds all of the former text or all of this one. Mode 0600. */
export const writeDurably = (file: string, text: string): void => {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, text, { mode: OWNER_ONLY_MODE, flush: true })
  renameSync(draft, file)
  flushDirectory(dirname(file))
}

/** Gives the file another name in its directory. */
export const renameDurably = (from: string, to: string): void => {
  renameSync(from, to)
  flushDirectory(dirname(to))
}
