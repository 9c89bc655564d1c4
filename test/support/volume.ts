/** Small file systems of a test's own: a disk that is full is made, not pretended. */
import { execFile } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Volume extends AsyncDisposable {
  readonly path: string
  /** Fills it with a file of somebody else's until so many bytes are left. */
  fill(leaveBytes?: number): void
  /** Removes that file. */
  free(): void
}

const asRoot = async (command: string, ...args: string[]): Promise<string> => {
  const { stdout } = await run(command, args).catch((cause: unknown) => {
    throw new Error(`This test needs to be root, to mount a small file system (${command})`, { cause })
  })
  return stdout.trim()
}

const ballastOf = (path: string): Pick<Volume, 'fill' | 'free'> => {
  const file = join(path, 'ballast')
  return {
    fill(leaveBytes = 0) {
      const handle = openSync(file, 'a')
      try {
        for (const size of [64 * 1024, 4 * 1024]) {
          for (;;) {
            const { bavail, bsize } = statfsSync(path)
            if (bavail * bsize - leaveBytes < size) break
            writeSync(handle, Buffer.alloc(size, 1))
          }
        }
      } finally {
        closeSync(handle)
      }
    },
    free: () => rmSync(file, { force: true }),
  }
}

/** Memory as a disk: full is full. */
export const mountTmpfs = async (mib: number): Promise<Volume> => {
  const path = mkdtempSync(join(tmpdir(), 'belfry-volume-'))
  await asRoot('mount', '-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path)
  return {
    path,
    ...ballastOf(path),
    async [Symbol.asyncDispose]() {
      await asRoot('umount', '-l', path)
      rmSync(path, { recursive: true, force: true })
    },
  }
}
