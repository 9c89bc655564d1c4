/** How large the embedded store is. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { StoreHealth } from '../stores.ts'
import type { Env } from './env.ts'

export const createLmdbHealth =
  (env: Pick<Env, 'reusableBytes'>, path: string) => async (): Promise<StoreHealth> => ({
    engine: 'embedded',
    fileBytes: statSync(join(path, 'data.mdb')).size,
    /** Pages that are written again before the file grows. */
    reusableBytes: env.reusableBytes(),
  })
