/**
 * The embedded store of a data directory, as the server and the commands open it.
 *
 * `store.json` says that there has been a store: it is on disk before anything is kept for somebody. Without the store
 * beside it the start is refused, so that a lost volume is not served as a new one.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { openLmdb } from '../../storage/lmdb/open.ts'
import { STORE_FORMAT, StoreRefused } from '../../storage/store-format.ts'
import type { Stores } from '../../storage/stores.ts'
import { writeDurably } from '../config/durable-file.ts'
import { reasonOf, StartError } from '../config/start-error.ts'

const storeDir = (dir: string) => join(dir, 'store')
const markFile = (dir: string) => join(dir, 'store.json')

export const hasStore = (dir: string): boolean => existsSync(join(storeDir(dir), 'data.mdb'))

/** What an engine refuses is a sentence for the operator, not a defect. */
export const asStartError = (error: unknown): never => {
  if (error instanceof StoreRefused) throw new StartError([error.message], { cause: error })
  throw error
}

/**
 * Opens the store for this process, which holds the lock of the directory. `isNew`: an empty place may get a store even
 * where there has been one. Throws `StartError`.
 */
export const openEmbedded = async (
  dir: string,
  { isNew = false, log, clock }: { isNew?: boolean; log?: Log; clock?: Clock } = {},
): Promise<Stores> => {
  if (!isNew && existsSync(markFile(dir)) && !hasStore(dir)) {
    throw new StartError([
      `The store of ${dir} is gone, and there has been one: put it back, or put a backup in its place with belfry restore, or remove ${markFile(dir)} to begin anew.`,
    ])
  }
  const stores = await openLmdb({ path: storeDir(dir), ...(log && { log }), ...(clock && { clock }) }).catch(
    (error: unknown) => {
      if (!(error instanceof StoreRefused) && error instanceof Error && 'code' in error) {
        throw new StartError([`The store of ${dir} cannot be opened: ${reasonOf(error)}.`], {
          cause: error,
        })
      }
      return asStartError(error)
    },
  )
  if (!existsSync(markFile(dir))) writeDurably(markFile(dir), `${JSON.stringify({ format: STORE_FORMAT })}\n`)
  return stores
}
