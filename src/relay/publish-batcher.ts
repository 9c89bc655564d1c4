import { type StateBudget, storeIsFull } from '../platform/budgets/state-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { abbreviate } from './delivery/topic-cursor.ts'
import type { Drops } from './drops.ts'
import type { NewMessage, Publication, RelayStore } from './store.ts'

/** What one store call takes at most, so that one group does not hold up the answers for long. */
const GROUP_MESSAGES = 2_000
const GROUP_BYTES = 16 * 1024 * 1024

/** Called once, synchronously, when the messages are durable (or could not be stored). */
export type Done = (error?: unknown) => void

interface Request {
  messages: readonly NewMessage[]
  /** Who pays. */
  address: string
  done: Done
}

/**
 * Groups the publishes of all connections: while one group is being written the next one gathers, so the grouping grows
 * with the load and publish order is arrival order. When a group is stored, first every publisher is answered and only
 * then anything is forwarded: an answer of the peer that overtakes ours is lost in published clients.
 */
export interface Publisher {
  publish(messages: readonly NewMessage[], address: string, done: Done): void
  idle(): Promise<void>
}

export const createPublisher = (
  deps: {
    store: Pick<RelayStore, 'publish'>
    state: Pick<StateBudget, 'charge' | 'isClosed' | 'lifeOf'>
    drops: Drops
    clock: Clock
    log: Log
    meter: Meter
  },
  forward: (message: NewMessage, publication: Publication & { outcome: 'stored' }, address: string) => void,
  /**
   * What else must be durable before a publisher is answered; undefined when nothing must. Where it rejects the
   * publishers of the group are refused and try again; what is stored is forwarded all the same.
   */
  before: (
    messages: readonly NewMessage[],
    publications: readonly Publication[],
    /** Who pays for each. */
    addresses: readonly string[],
  ) => Promise<unknown> | undefined = () => undefined,
): Publisher => {
  const { store, state, drops, clock, log, meter } = deps
  let waiting: Request[] = []
  let running: Promise<void> | undefined

  const takeGroup = (): Request[] => {
    let messages = 0
    let bytes = 0
    let count = 0
    for (const request of waiting) {
      messages += request.messages.length
      for (const message of request.messages) bytes += message.message.length
      if (count > 0 && (messages > GROUP_MESSAGES || bytes > GROUP_BYTES)) break
      count++
    }
    if (count === waiting.length) {
      const group = waiting
      waiting = []
      return group
    }
    return waiting.splice(0, count)
  }

  /** A retry that did its work. */
  const dropDuplicate = ({ topic, tag }: NewMessage) => {
    meter.count('relay_messages_dropped_total', { reason: 'duplicate' })
    log.debug({ topic: abbreviate(topic), tag }, 'A message was dropped: its topic has it already')
  }

  /** Charges the messages; what their owner has no room for is dropped. Keeps their order, also where a budget must be asked. */
  const affordable = async (
    group: readonly Request[],
  ): Promise<{ message: NewMessage; address: string }[]> => {
    const refused = new Set<NewMessage>()
    const asked: Promise<unknown>[] = []
    const all: { message: NewMessage; address: string }[] = []
    for (const { messages, address } of group) {
      for (const asWished of messages) {
        const { publishedAt, expiresAt } = asWished
        // While the store is nearly full it is kept for who is here, as the notify server is, instead of being dropped.
        const lifeMs = state.lifeOf(address, expiresAt - publishedAt)
        const isWhole = lifeMs === expiresAt - publishedAt
        const message = isWhole ? asWished : { ...asWished, expiresAt: publishedAt + lifeMs }
        all.push({ message, address })
        const bytes = message.message.length + message.attestation.length
        const answer = state.charge(address, bytes, lifeMs)
        if (answer === false) refused.add(message)
        if (typeof answer === 'boolean') continue
        // Without an answer the store itself will hardly have one; it is the one that says so.
        asked.push(answer.then((isPaid) => !isPaid && refused.add(message)).catch(() => {}))
      }
    }
    if (asked.length > 0) await Promise.all(asked)
    if (refused.size === 0) return all
    for (const { topic } of refused) drops('budget', topic)
    return all.filter(({ message }) => !refused.has(message))
  }

  const publishGroup = async (all: Request[]): Promise<void> => {
    const group: Request[] = []
    for (const request of all) {
      // Not dropped: once there is room a second attempt succeeds.
      if (state.isClosed(request.address)) request.done(storeIsFull())
      else group.push(request)
    }
    if (group.length === 0) return
    const paid = await affordable(group)
    const messages = paid.map(({ message }) => message)
    const began = clock.now()
    let publications: Publication[]
    try {
      publications = await store.publish(messages)
    } catch (error) {
      for (const request of group) request.done(error)
      return
    }
    meter.observe('relay_publish_seconds', (clock.now() - began) / 1000)
    const first = before(
      messages,
      publications,
      paid.map(({ address }) => address),
    )
    let failure: unknown
    if (first) {
      await first.catch((error: unknown) => {
        failure = error
      })
    }
    for (const request of group) request.done(failure)
    let stored = 0
    for (const [at, { message, address }] of paid.entries()) {
      const publication = publications[at]
      if (publication?.outcome === 'stored') {
        stored++
        if (publication.displaced) drops('full', message.topic, publication.displaced)
        forward(message, publication, address)
      } else if (publication?.outcome === 'full') drops('full', message.topic)
      else if (publication) dropDuplicate(message)
    }
    if (stored > 0) meter.count('relay_messages_published_total', undefined, stored)
  }

  const run = async (): Promise<void> => {
    // The rest of this tick joins the first group.
    await undefined
    while (waiting.length > 0) {
      // A defect in handing over one group must not stop the publishing of all others.
      await publishGroup(takeGroup()).catch((error: unknown) => {
        log.error({ err: error }, 'A stored message could not be forwarded')
      })
    }
    running = undefined
  }

  return {
    publish(messages, address, done) {
      waiting.push({ messages, address, done })
      running ??= run()
    },
    async idle() {
      while (running) await running
    },
  }
}
