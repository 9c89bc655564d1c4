import type { Notification } from '../../../notify/store/store.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Ask } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { type Layout, TTL_MARGIN_MS } from '../notify/rows/layout.ts'

/** What one script call takes. */
const MAX_CALL_RECORDS = 200

/** What reads and writes of a transfer share. */
export interface TransferDeps {
  redis: RedisConnection
  ask: Ask
  layout: Layout
  clock: Pick<Clock, 'now'>
  /** The notification that was sent under the reference at that instant, if it is kept. */
  notificationOf(reference: string, sentAt: number): Promise<Notification | undefined>
}

/** Calls of at most `MAX_CALL_RECORDS` records, each of one partition. */
export const calls = <R>(
  records: readonly R[],
  partition: (record: R) => number,
): { p: number; some: R[] }[] =>
  [...groupBy(records, partition)].flatMap(([p, all]) => {
    const parts: { p: number; some: R[] }[] = []
    for (let at = 0; at < all.length; at += MAX_CALL_RECORDS)
      parts.push({ p, some: all.slice(at, at + MAX_CALL_RECORDS) })
    return parts
  })

/** How long the keys of something must live, ms from now, that came into being then. */
export const ttlOf = ({ clock }: Pick<TransferDeps, 'clock'>, expiresAt: number, createdAt: number): number =>
  Math.max(expiresAt - createdAt, expiresAt - clock.now(), 0) + TTL_MARGIN_MS.copy
