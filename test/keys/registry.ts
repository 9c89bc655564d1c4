import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keysRoutes } from '../../src/keys/http.ts'
import { createKeyRegistry, type KeyRegistryOptions } from '../../src/keys/service.ts'
import { silent } from '../../src/platform/telemetry.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import { manualClock } from '../support/clock.ts'

/** The registry on a store of its own, asked through its HTTP routes. */
export const startRegistry = async (options: KeyRegistryOptions = {}) => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-keys-'))
  const stores = await openLmdb({ path })
  const clock = manualClock()
  const registry = createKeyRegistry({ store: stores.keys, clock, log: silent }, options)
  const app = keysRoutes({ registry, log: silent, newId: () => 'an-id' })
  const ask = async (method: string, at: string, body?: unknown) => {
    const response = await app.request(at, {
      method,
      ...(body !== undefined && {
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
    return { status: response.status, body: await response.json(), headers: response.headers }
  }
  return {
    registry,
    app,
    clock,
    store: stores.keys,
    ask,
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]()
      await rm(path, { recursive: true })
    },
  }
}
