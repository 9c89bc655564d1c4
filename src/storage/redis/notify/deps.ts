import type { AccountRecord } from '../../../notify/store/store.ts'
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Ask } from '../call-batcher.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { type Layout, PARTITIONS, partitionOf } from './rows/layout.ts'

/** What the parts of the notify store share. */
export interface NotifyDeps {
  redis: RedisConnection
  channels: Channels
  clock: Clock
  ask: Ask
  layout: Layout
  partitions: PartitionCache
}

/** What we wrote ourselves; undefined for null. */
export const parsed = <T>(json: string | null | undefined): T | undefined => {
  if (json === null || json === undefined) return undefined
  const value: T = JSON.parse(json)
  return value
}

/** A first word and what follows it: `<version or time> <JSON>`. */
export const split = (text: string): [word: string, rest: string] => {
  const at = text.indexOf(' ')
  return [text.slice(0, at), text.slice(at + 1)]
}

/**
 * In which partition a subscription lies. It follows from its account, which is read
 * before a history is: so it is cached, and only what the cache has lost is searched in all partitions. An entry never
 * becomes wrong, since a subscription never changes its account.
 */
export interface PartitionCache {
  learn(accountKey: string, record: Pick<AccountRecord, 'subscriptions'>): void
  put(subscriptionId: string, p: number): void
  /** Undefined when it has no history. */
  find(subscriptionId: string): Promise<number | undefined>
}

export const createPartitionCache = ({
  redis,
  ask,
  layout,
}: Pick<NotifyDeps, 'redis' | 'ask' | 'layout'>) => {
  const known = createBoundedMap<number>(50_000)
  const partitions: PartitionCache = {
    learn(accountKey, { subscriptions }) {
      if (subscriptions.length === 0) return
      const p = partitionOf(accountKey)
      for (const { id } of subscriptions) known.put(id, p)
    },
    put: known.put,
    async find(subscriptionId) {
      const p = known.get(subscriptionId)
      if (p !== undefined) return p
      const there = await Promise.all(
        Array.from({ length: PARTITIONS }, (_, at) =>
          ask(() => redis.client.exists(layout.partition(at).copies(subscriptionId)[0])),
        ),
      )
      const found = there.indexOf(1)
      if (found === -1) return undefined
      known.put(subscriptionId, found)
      return found
    },
  }
  return partitions
}
