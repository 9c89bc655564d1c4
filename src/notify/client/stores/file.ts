/**
 * The file entry point: `belfry/wallet/file`. A wallet's state in a file, for Node.
 *
 * A state is written beside the file, synced to the disk, and renamed over it: a crash leaves the old or the new one. For
 * one process at a time. Only its owner may read the file.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { readWalletState } from '../wallet/state.ts'
import { type SealKey, sealedUnder } from './seal.ts'
import { type ClearableStore, sealedStore } from './wallet-store.ts'

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(dirname(path), 'r')
  await folder.sync().finally(() => folder.close())
}

const replace = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const next = await open(`${path}.next`, 'w', 0o600)
  try {
    await next.writeFile(text)
    await next.sync()
  } finally {
    await next.close()
  }
  await rename(`${path}.next`, path)
  await syncFolder(path)
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

/**
 * Stores a wallet's state in a file, sealed under a key that the caller has from a safe place.
 *
 * @param path of the file; it is made, with its folders, where it is missing.
 * @param options `seal`: the key, 32 bytes.
 * @returns the store; it throws what the file system throws.
 * @throws {TypeError} when `seal.key` has not 32 bytes.
 * @example
 * const store = fileStore('/var/lib/wallet/state', { seal: { key: Buffer.from(process.env.WALLET_KEY, 'hex') } })
 */
export const fileStore = (path: string, { seal }: { seal: SealKey }): ClearableStore =>
  sealedStore(
    {
      async load() {
        try {
          return await readFile(path, 'utf8')
        } catch (error) {
          if (isMissing(error)) return undefined
          throw error
        }
      },
      save: (text) => replace(path, text),
      async clear() {
        await rm(path, { force: true })
        await rm(`${path}.next`, { force: true })
      },
    },
    sealedUnder(seal),
    readWalletState,
  )
