/**
 * A queue for work that holds the core for milliseconds: a signature over secp256k1. One begins in each round of the event
 * loop, so that what came in meanwhile is served between two of them; owners take turns, so that one with a hundred in
 * the queue delays the next owner by one.
 */
import { ProtocolError } from '../../protocol/errors.ts'

export interface FairQueue {
  /** Resolves when it is the owner's turn. Throws `rate_limited` when too many of the owner wait. */
  next(owner: string): Promise<void>
}

/** Of one owner. An office that signs at once has tens. */
const MAX_WAITING = 256

export const createFairQueue = (): FairQueue => {
  /** Owners in the order of their turns. */
  const waiting = new Map<string, (() => void)[]>()

  const serve = (): void => {
    const [first] = waiting
    if (!first) return
    const [owner, [begin, ...others]] = first
    waiting.delete(owner)
    if (others.length > 0) waiting.set(owner, others)
    if (waiting.size > 0) setImmediate(serve)
    begin?.()
  }

  return {
    async next(owner) {
      const own = waiting.get(owner)
      if (own && own.length >= MAX_WAITING) throw new ProtocolError('rate_limited', 'too much at once')
      await new Promise<void>((resolve) => {
        if (own) own.push(resolve)
        else waiting.set(owner, [resolve])
        if (!own && waiting.size === 1) setImmediate(serve)
      })
    },
  }
}
