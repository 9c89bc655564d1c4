/** Small file systems of a test's own: a disk that is full is made, not pretended. */
import { execFile } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
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

export interface SparseVolume extends Volume {
  /** Mounts it again, with the device as it is, as an operator or a restart of the machine does. */
  remount(): Promise<void>
}

/**
 * Blocks are as large as what tmpfs takes room for: a smaller one may lie in a page that a full device has already, for the sake
 * of its neighbour, and a write to it would be taken.
 */
const FORMAT = ['-q', '-F', '-b', '4096', '-m', '0', '-E', 'lazy_itable_init=0']

/**
 * A file system in a sparse file of a device that has less room than the file promises. `fill` and `free` are those of the
 * device: the file system has room left, and its writes fail all the same.
 */
export const mountSparse = async ({
  imageMib,
  deviceMib,
  hasJournal,
}: {
  imageMib: number
  deviceMib: number
  /** With one, the file system becomes read-only when the device does not take it; without, single writes fail. */
  hasJournal: boolean
}): Promise<SparseVolume> => {
  const features = hasJournal ? [] : ['-O', '^has_journal']
  const device = await mountTmpfs(deviceMib)
  const [image, path] = [join(device.path, 'image'), mkdtempSync(join(tmpdir(), 'belfry-sparse-'))]
  const mount = () => asRoot('mount', '-o', 'loop', image, path)
  try {
    writeFileSync(image, '')
    truncateSync(image, imageMib * 1024 * 1024)
    await asRoot('mkfs.ext4', ...FORMAT, ...features, image)
    await mount()
  } catch (error) {
    await device[Symbol.asyncDispose]()
    throw error
  }
  return {
    path,
    fill: device.fill,
    free: device.free,
    async remount() {
      await asRoot('umount', path)
      await mount()
    },
    async [Symbol.asyncDispose]() {
      await asRoot('umount', '-l', path)
      rmSync(path, { recursive: true, force: true })
      await device[Symbol.asyncDispose]()
    },
  }
}
