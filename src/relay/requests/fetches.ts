import type { Clock } from '../../platform/runtime/clock.ts'
import type { AckBatcher, Seen } from '../delivery/ack-batcher.ts'
import { deliveredForm } from '../delivery/outgoing.ts'
import type { TopicCursor } from '../delivery/topic-cursor.ts'
import type { RelayLimits } from '../limits.ts'
import type { RelayStore, StoredMessage } from '../store.ts'
import type { Caller, Reply } from './caller.ts'

/** Of a message in an answer to a fetch: its members' names, topic, times and tag. */
const MESSAGE_OVERHEAD_BYTES = 256

/** Answers with what waits on the topics. It is acknowledged then, unless `keep`. */
export type Fetch = (
  caller: Caller,
  request: { topics: readonly string[]; keep?: boolean | undefined },
  reply: Reply,
) => Promise<void>

/** How far a fetch read a topic. */
interface Position {
  cursor: TopicCursor
  seq: number
}

/** What goes into one answer. */
interface Collected {
  messages: StoredMessage[]
  bytes: number
}

/** Adds what is not in flight on the same connection; false when the answer is full. */
const collect = (
  collected: Collected,
  page: readonly StoredMessage[],
  position: Position | undefined,
  maxBytes: number,
): boolean => {
  for (const message of page) {
    if (!position?.cursor.isHandled(message.id)) {
      const size = message.message.length + message.attestation.length + MESSAGE_OVERHEAD_BYTES
      if (collected.messages.length > 0 && collected.bytes + size > maxBytes) return false
      collected.bytes += size
      collected.messages.push(message)
    }
    if (position) position.seq = message.seq
  }
  return true
}

export const createFetch = (deps: {
  store: Pick<RelayStore, 'pending'>
  clock: Clock
  limits: Pick<RelayLimits, 'fetchMessages' | 'fetchBytes'>
  ackBatcher: Pick<AckBatcher, 'whenDurable'>
  /** Acknowledges for the client on all its connections. */
  acknowledged(clientId: string, topic: string, id: string, seen?: Seen): void
}): Fetch => {
  const { store, clock, limits, ackBatcher } = deps

  /** Reads one topic; false when the answer is full. */
  const readTopic = async (
    clientId: string,
    topic: string,
    position: Position | undefined,
    collected: Collected,
  ): Promise<boolean> => {
    for (let after = 0; ; ) {
      const limit = limits.fetchMessages - collected.messages.length
      const maxBytes = limits.fetchBytes - collected.bytes
      if (limit <= 0 || maxBytes <= 0) return false
      const page = await store.pending(clientId, topic, { after, limit, maxBytes, now: clock.now() })
      if (page.messages.length === 0 && page.hasMore) return false
      if (!collect(collected, page.messages, position, limits.fetchBytes)) return false
      if (!page.hasMore) return true
      after = page.messages.at(-1)?.seq ?? after
    }
  }

  /** What waits on the topics, as far as one answer holds. */
  const read = async (clientId: string, topics: readonly string[], positions: readonly Position[]) => {
    const collected: Collected = { messages: [], bytes: 0 }
    await ackBatcher.whenDurable(clientId)
    for (const [at, topic] of topics.entries()) {
      const isWhole = await readTopic(clientId, topic, positions[at], collected)
      if (!isWhole) return { messages: collected.messages, hasMore: true }
    }
    return { messages: collected.messages, hasMore: false }
  }

  const fetchNow: Fetch = async ({ clientId, delivery }, { topics, keep = false }, reply) => {
    const cursors = delivery?.fetching(topics) ?? []
    const positions = cursors.map((cursor) => ({ cursor, seq: 0 }))
    try {
      const { messages, hasMore } = await read(clientId, topics, positions)
      const isAnswered = reply.answer({ messages: messages.map(deliveredForm), hasMore })
      if (!isAnswered || keep) return delivery?.abandoned(cursors)
      for (const message of messages) deps.acknowledged(clientId, message.topic, message.id, message)
      delivery?.fetched(positions)
    } catch (error) {
      delivery?.abandoned(cursors)
      throw error
    }
  }

  return (caller, { topics, keep }, reply) => {
    // A connection that takes nothing more must not keep its address busy meanwhile.
    const run = async () => {
      await reply.enter(topics.length)
      await fetchNow(caller, { topics: [...new Set(topics)], keep }, reply)
    }
    return caller.connection ? caller.connection.runInOrder(run) : run()
  }
}
