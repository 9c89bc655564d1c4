import type { Head } from '../store.ts'

/**
 * What waits on a topic whose payers take turns. Names of messages only: their texts stay in the store. It holds no more
 * than the topic does.
 */
export interface Turns {
  readonly size: number
  /** One that is known already is left where it is. */
  add(head: Head): void
  /** Takes out who is next, a message of each payer in turn, as far as there is room; one message always has. */
  take(room: { limit: number; maxBytes: number }): Head[]
  /** Those that were taken last, and found no room, are next in their order again. */
  putBack(heads: readonly Head[]): void
  clear(): void
}

/** Heads that are gone from a queue before it is cut. */
const COMPACT_AT_LENGTH = 1_024

interface Queue {
  heads: Head[]
  /** Of the first one that waits. */
  at: number
}

export const createTurns = (): Turns => {
  /** By payer, in the order of their turns. */
  const queues = new Map<string, Queue>()
  const known = new Set<number>()
  /** In whose queue a publisher waits, and with how many: they stay in order although their payer changes. */
  const publishers = new Map<string, { payer: string; count: number }>()

  const enter = ({ seq, publisher, payer }: Head): Queue => {
    known.add(seq)
    const place = publishers.get(publisher) ?? { payer, count: 0 }
    place.count += 1
    publishers.set(publisher, place)
    const queue = queues.get(place.payer) ?? { heads: [], at: 0 }
    queues.set(place.payer, queue)
    return queue
  }
  const leave = ({ seq, publisher }: Head): void => {
    known.delete(seq)
    const place = publishers.get(publisher)
    if (!place) return
    place.count -= 1
    if (place.count === 0) publishers.delete(publisher)
  }

  return {
    get size() {
      return known.size
    },
    add(head) {
      if (!known.has(head.seq)) enter(head).heads.push(head)
    },
    take({ limit, maxBytes }) {
      const taken: Head[] = []
      let bytes = 0
      while (taken.length < limit) {
        const [first] = queues
        if (!first) break
        const [payer, queue] = first
        const head = queue.heads[queue.at]
        if (head && taken.length > 0 && bytes + head.size > maxBytes) break
        queues.delete(payer)
        if (!head) continue
        queue.at += 1
        if (queue.at === COMPACT_AT_LENGTH) {
          queue.heads.splice(0, COMPACT_AT_LENGTH)
          queue.at = 0
        }
        if (queue.at < queue.heads.length) queues.set(payer, queue)
        leave(head)
        bytes += head.size
        taken.push(head)
      }
      return taken
    },
    putBack(heads) {
      for (const head of heads.toReversed()) {
        const queue = enter(head)
        if (queue.at === 0) queue.heads.unshift(head)
        else queue.heads[--queue.at] = head
      }
    },
    clear() {
      queues.clear()
      known.clear()
      publishers.clear()
    },
  }
}
