/**
 * A request takes effect once. The relay may deliver a message again, and a copy of its JWT may arrive in another message.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyStore, RequestId } from '../store/store.ts'

/** A JWT counts once: whoever has read it could have it carried out again, and receive the answer. */
export const usedBefore = () => new ProtocolError('jwt_invalid', 'it was used before')

interface Repeatable {
  requestId: RequestId
  /** The JWT was made within the last second or so. */
  isFresh: boolean
}

export interface RepetitionCheck {
  /** True for a message that took effect before. Throws `jwt_invalid` for its JWT in another message. */
  isDone(request: Repeatable): Promise<boolean>
  /**
   * As `isDone`, for requests that may come twice within one second with another one between them (subscribe, delete,
   * subscribe). Published clients sign whole seconds and nothing else that differs, so both carry one JWT. A fresh one
   * counts again if it changes something: `assertChange` refuses a mere repetition.
   */
  check(request: Repeatable): Promise<{
    isDone: boolean
    requestId: RequestId
    assertChange(changes: boolean): void
  }>
}

export const createRepetitionCheck = ({
  store,
  clock,
}: {
  store: Pick<NotifyStore, 'wasCommitted'>
  clock: Clock
}): RepetitionCheck => {
  /** Which part of the request took effect before: this very message, its JWT in another one, or neither. */
  const repeatedPart = async ({
    requestId: { id, token },
  }: Repeatable): Promise<'message' | 'token' | undefined> => {
    if (await store.wasCommitted(id, clock.now())) return 'message'
    return token !== undefined && (await store.wasCommitted(token, clock.now())) ? 'token' : undefined
  }

  return {
    async isDone(request) {
      const repeated = await repeatedPart(request)
      if (repeated === 'token') throw usedBefore()
      return repeated === 'message'
    },

    async check(request) {
      const repeated = await repeatedPart(request)
      if (repeated === 'token' && !request.isFresh) throw usedBefore()
      const { token: _, ...withoutToken } = request.requestId
      return {
        isDone: repeated === 'message',
        requestId: repeated === 'token' ? withoutToken : request.requestId,
        assertChange(changes) {
          if (repeated === 'token' && !changes) throw usedBefore()
        },
      }
    },
  }
}
