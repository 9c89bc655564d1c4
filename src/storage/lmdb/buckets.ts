/**
 * Token buckets of the one process on the embedded store. Those that take days to fill say what an owner has stored, so they
 * outlive a restart: they are written behind, a few seconds late, which is what a crash may give back.
 */
import { createHash } from 'node:crypto'
import {
  type BucketSize,
  type Buckets,
  createBucketMemory,
  createBuckets,
} from '../../platform/budgets/token-buckets.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { number } from '../bytes.ts'
import type { Bytes } from './checked-rows.ts'
import type { Env } from './env.ts'

const LASTING_BUCKET_S = 86_400
const WRITE_DELAY_MS = 5_000

/** No address stands in a key. */
const keyOf = (name: string): string => createHash('sha256').update(name).digest('base64url').slice(0, 27)

export const createLmdbBuckets = (env: Env, clock: Clock): Buckets & AsyncDisposable => {
  const table: Bytes = env.bytes('buckets')
  const fullAt = createBucketMemory()
  for (const { key, value } of table.getRange({})) fullAt.put(key.toString(), value.readDoubleBE())
  const buckets = createBuckets(clock, fullAt)
  let changed = new Set<string>()
  let timer: Disposable | undefined

  const write = async (): Promise<void> => {
    const names = changed
    changed = new Set()
    timer?.[Symbol.dispose]()
    timer = undefined
    const now = clock.now()
    await env.transaction(() => {
      for (const name of names) {
        const at = fullAt.get(name)
        if (at === undefined || at <= now) table.remove(Buffer.from(name))
        else table.put(Buffer.from(name), number(at))
      }
    })
  }
  // What a full disk does not take is written with the next change.
  const writeLater = () => {
    timer ??= clock.after(WRITE_DELAY_MS, () => void write().catch(() => {}))
  }

  return {
    take(names, size: BucketSize, tokens) {
      if (size.seconds < LASTING_BUCKET_S) return buckets.take(names, size, tokens)
      const keys = names.map(keyOf)
      for (const key of keys) changed.add(key)
      writeLater()
      return buckets.take(keys, size, tokens)
    },
    async [Symbol.asyncDispose]() {
      if (changed.size > 0) await write().catch(() => {})
    },
  }
}
