import type { RequestId } from '../../../notify/store/store.ts'
import type { NotifyDeps } from './deps.ts'
import { type Partition, TTL_MARGIN_MS } from './rows/layout.ts'

/**
 * Ids of requests that were committed. The truth lies in the account's partition, where the commit is; a look-up says
 * in which one. An id belongs to one request of one account, so the latest word of the look-up is the right one.
 */
export const createRequests = ({
  redis,
  ask,
  layout,
  clock,
}: Pick<NotifyDeps, 'redis' | 'ask' | 'layout' | 'clock'>) => {
  const ttlOf = ({ expiresAt }: RequestId) => Math.max(expiresAt - clock.now(), 0) + TTL_MARGIN_MS.request

  /** When the request expires, or expired; undefined when it was never committed. */
  const expiryOf = async (id: string): Promise<number | undefined> => {
    const p = await ask(() => redis.client.get(layout.requestLookup(id)))
    if (p === null) return undefined
    const expiresAt = await ask(() => redis.client.get(layout.partition(Number(p)).request(id)))
    return expiresAt === null ? undefined : Number(expiresAt)
  }

  return {
    expiryOf,
    /**
     * Sends the look-up; it may travel beside the commit. Should it get lost, the commit still knows its repetition,
     * only later than `wasCommitted` would have.
     */
    point: async (p: number, request: RequestId | undefined): Promise<void> => {
      if (!request) return
      const { id, token } = request
      await Promise.all(
        (token === undefined ? [id] : [id, token]).map((one) =>
          ask(() => redis.client.set(layout.requestLookup(one), p, 'PX', ttlOf(request))),
        ),
      )
    },
    /** The two keys that scripts are told: of the request, and of its token (the same again when it has none). */
    keys: (at: Partition, request: RequestId | undefined): [string, string] =>
      request ? [at.request(request.id), at.request(request.token ?? request.id)] : [at.order, at.order],
    /** What scripts are told: when it expires and its ttl. */
    args: (request: RequestId | undefined): [string, number] =>
      request ? [`${request.expiresAt}`, ttlOf(request)] : ['', 0],
  }
}

export type Requests = ReturnType<typeof createRequests>
