/**
 * A request takes effect once. The relay may deliver a message again, and a copy of its JWT may arrive in another message.
 *
 * The commit tells both, so nothing is read before it. Only when a request fails before its commit is it asked whether its
 * JWT took effect before: that is the fault then. (Of a message that comes again `requests/handler` asks the same.)
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyStore, RequestId } from '../store/store.ts'

/** A JWT counts once: whoever has read it could have it carried out again, and receive the answer. */
export const usedBefore = () => new ProtocolError('jwt_invalid', 'it was used before')

export interface Repeatable {
  requestId: RequestId
  /** The JWT was made within the last second or so. */
  isFresh: boolean
}

export interface RepetitionCheck {
  /** True for a message that took effect before. Throws `jwt_invalid` for its JWT in another message. */
  isDone(request: Repeatable): Promise<boolean>
  /** Carries out a request that counts once. A fault of it is `jwt_invalid` where its JWT took effect before. */
  once<T>(request: Repeatable, work: () => Promise<T>): Promise<T>
}

export const createRepetitionCheck = ({
  store,
  clock,
}: {
  store: Pick<NotifyStore, 'wasCommitted'>
  clock: Clock
}): RepetitionCheck => {
  const isUsed = async ({ requestId: { token } }: Repeatable): Promise<boolean> =>
    token !== undefined && (await store.wasCommitted(token, clock.now()))

  return {
    async isDone(request) {
      if (await store.wasCommitted(request.requestId.id, clock.now())) return true
      if (await isUsed(request)) throw usedBefore()
      return false
    },

    async once(request, work) {
      try {
        return await work()
      } catch (fault) {
        const isOfClient = fault instanceof ProtocolError && fault.http < 500
        if (isOfClient && (await isUsed(request))) throw usedBefore()
        throw fault
      }
    },
  }
}
