/** Script calls over many partitions. */
import type { RedisConnection } from './connection.ts'

/**
 * Calls a script for each of the partitions' shares of some work, or once for all of them where slots do not count: 64
 * calls cost both ends several times what one does that does the same.
 */
export const inCalls = async <S, A>(
  { spansSlots }: Pick<RedisConnection, 'spansSlots'>,
  shares: readonly S[],
  call: (some: readonly S[]) => Promise<readonly A[]>,
): Promise<A[]> => {
  if (shares.length === 0) return []
  const answers = await Promise.all(spansSlots ? [call(shares)] : shares.map((share) => call([share])))
  return answers.flat()
}

/** What a partition has for a worker. */
export interface Offer<P> {
  partition: P
  count: number
  /** The place of its first one in the order. */
  first: number
}

/** Takes are spread over so many partitions, if there are so many that have something. */
const MIN_TAKE_PARTITIONS = 8
/** Of one partition in one take. */
export const MAX_TAKE = 1_000

/** How many of each partition to take: from where the first ones are, from several at once, `least` of each where it can be. */
export const takePlan = <P>(offers: readonly Offer<P>[], limit: number, least = 1): [P, number][] => {
  const sorted = offers.filter(({ count }) => count > 0).sort((a, b) => a.first - b.first)
  const spread = Math.ceil(limit / Math.max(1, Math.min(MIN_TAKE_PARTITIONS, sorted.length)))
  const share = Math.max(spread, least)
  const plan = new Map<P, number>()
  let open = limit
  for (const atMost of [share, limit]) {
    for (const { partition, count } of sorted) {
      const already = plan.get(partition) ?? 0
      const more = Math.min(Math.min(count, atMost, MAX_TAKE) - already, open)
      if (more <= 0) continue
      plan.set(partition, already + more)
      open -= more
    }
  }
  return [...plan]
}
