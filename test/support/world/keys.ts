import { keysRoutes } from '../../../src/keys/http.ts'
import { createKeyRegistry, type KeyRegistryOptions } from '../../../src/keys/service.ts'
import { capturedLog } from '../capture/log.ts'
import { capture } from '../capture/record.mjs'
import { manualClock } from '../clock.ts'
import { lmdb } from '../stores.ts'

/** The registry on a store of its own, asked through its HTTP routes. */
export const startRegistry = async (options: KeyRegistryOptions = {}, startAt?: number) => {
  const stores = await lmdb.open()
  const clock = manualClock(startAt)
  const registry = createKeyRegistry({ store: stores.keys, clock, log: capturedLog }, options)
  const app = keysRoutes({ registry, log: capturedLog, newId: () => 'an-id' })
  const ask = async (method: string, at: string, body?: unknown) => {
    const response = await app.request(at, {
      method,
      ...(body !== undefined && {
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
    const text = await response.text()
    if (!response.ok) capture('errors', text)
    return { status: response.status, body: JSON.parse(text), headers: response.headers }
  }
  return {
    registry,
    app,
    clock,
    store: stores.keys,
    ask,
    async [Symbol.asyncDispose]() {
      await stores[Symbol.asyncDispose]()
    },
  }
}
