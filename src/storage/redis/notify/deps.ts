import type { AccountRecord, Notification, OutboxEntry } from '../../../notify/store/store.ts'
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Ask } from '../call-batcher.ts'
import type { Channels } from '../channels.ts'
import { checkedText, textOfChecked } from '../checked-text.ts'
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

/** What is kept as JSON, and the name of its table. */
interface Kept {
  notifications: Notification
  outbox: OutboxEntry
}

export const written = <K extends keyof Kept>(table: K, value: Kept[K]): string =>
  checkedText(`notify.${table}`, JSON.stringify(value))

/** What we wrote ourselves; undefined for null. Throws `DamagedRow`. */
export const parsed = <K extends keyof Kept>(
  table: K,
  text: string | null | undefined,
): Kept[K] | undefined => {
  if (text === null || text === undefined) return undefined
  const value: Kept[K] = JSON.parse(textOfChecked(`notify.${table}`, text))
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
