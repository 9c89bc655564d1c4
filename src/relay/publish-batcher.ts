import { type StateBudget, storeIsFull } from '../platform/budgets/state-budget.ts'
import { invariant } from '../platform/invariant.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { abbreviate } from './delivery/outgoing.ts'
import type { Drops } from './drops.ts'
import type { NewMessage, Publication, RelayStore } from './store.ts'

/** One store call takes at most so much, so that one group does not hold up the answers for long. */
const MAX_GROUP_MESSAGES = 2_000
const MAX_GROUP_BYTES = 16 * 1024 * 1024

/** Called once, synchronously, when the messages are durable (or could not be stored). */
type Done = (error?: unknown) => void

interface PublishRequest {
  messages: readonly NewMessage[]
  /** Who pays. */
  address: string
  done: Done
}

interface PaidMessage {
  message: NewMessage
  address: string
}

/** Hands a message on that was just stored. */
export type Forward = (
  message: NewMessage,
  publication: Publication & { outcome: 'stored' },
  address: string,
) => void

/**
 * What else must be durable before a publisher is answered; undefined when nothing must. Where it rejects, the publishers
 * of the group are refused and try again; what is stored is forwarded all the same.
 */
type Before = (
  messages: readonly NewMessage[],
  publications: readonly Publication[],
  /** Who pays for each. */
  addresses: readonly string[],
) => Promise<unknown> | undefined

/**
 * Groups the publishes of all connections: while one group is being written the next one is collected, so the grouping
 * grows with the load and publish order is arrival order. When a group is stored, first every publisher is answered and
 * only then anything is forwarded: an answer of the peer that overtakes ours is lost in published clients.
 */
export interface Publisher {
  publish(messages: readonly NewMessage[], address: string, done: Done): void
  idle(): Promise<void>
}

interface PublisherDeps {
  store: Pick<RelayStore, 'publish'>
  state: Pick<StateBudget, 'charge' | 'isClosed' | 'lifeOf'>
  drops: Drops
  clock: Clock
  log: Log
  meter: Meter
}

/** How many of the requests that wait go into one group; one always does. */
const groupSizeOf = (waiting: readonly PublishRequest[]): number => {
  let messages = 0
  let bytes = 0
  let count = 0
  for (const request of waiting) {
    messages += request.messages.length
    for (const message of request.messages) bytes += message.message.length
    if (count > 0 && (messages > MAX_GROUP_MESSAGES || bytes > MAX_GROUP_BYTES)) break
    count++
  }
  return count
}

export const createPublisher = (
  deps: PublisherDeps,
  forward: Forward,
  before: Before = () => undefined,
): Publisher => {
  const { store, state, clock, log, meter } = deps
  let waiting: PublishRequest[] = []
  let running: Promise<void> | undefined

  const takeGroup = (): PublishRequest[] => {
    const count = groupSizeOf(waiting)
    if (count < waiting.length) return waiting.splice(0, count)
    const group = waiting
    waiting = []
    return group
  }

  const publishGroup = async (all: PublishRequest[]): Promise<void> => {
    const group: PublishRequest[] = []
    for (const request of all) {
      // Refused and not dropped: once there is room a second attempt succeeds.
      if (state.isClosed(request.address)) request.done(storeIsFull())
      else group.push(request)
    }
    if (group.length === 0) return
    const paid = await affordable(deps, group)
    const messages = paid.map(({ message }) => message)
    const beganAt = clock.now()
    let publications: Publication[]
    try {
      publications = await store.publish(messages)
      invariant(publications.length === messages.length, 'The store answers every message of a publish')
    } catch (error) {
      for (const request of group) request.done(error)
      return
    }
    meter.observe('relay_publish_seconds', (clock.now() - beganAt) / 1000)
    const addresses = paid.map(({ address }) => address)
    const first = before(messages, publications, addresses)
    const failure = first && (await failureOf(first))
    for (const request of group) request.done(failure)
    forwardAll(deps, paid, publications, forward)
  }

  const run = async (): Promise<void> => {
    // The rest of this tick joins the first group.
    await undefined
    while (waiting.length > 0) {
      // A defect in forwarding one group must not stop the publishing of all others.
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

/** Charges the messages; what their owner has no room for is dropped. Their order stays, also where a budget is asked. */
const affordable = async (
  { state, drops }: Pick<PublisherDeps, 'state' | 'drops'>,
  group: readonly PublishRequest[],
): Promise<PaidMessage[]> => {
  const refused = new Set<NewMessage>()
  const asked: Promise<unknown>[] = []
  const all: PaidMessage[] = []
  for (const { messages, address } of group) {
    for (const wanted of messages) {
      const { publishedAt, expiresAt } = wanted
      // While the store is nearly full a message is kept for clients that are connected, instead of being dropped.
      const lifeMs = state.lifeOf(address, expiresAt - publishedAt)
      const isWhole = lifeMs === expiresAt - publishedAt
      const message = isWhole ? wanted : { ...wanted, expiresAt: publishedAt + lifeMs }
      all.push({ message, address })
      const bytes = message.message.length + message.attestation.length
      const answer = state.charge(address, bytes, lifeMs)
      if (answer === false) refused.add(message)
      if (typeof answer === 'boolean') continue
      // A budget that does not answer refuses nothing: the store decides.
      asked.push(answer.then((isPaid) => !isPaid && refused.add(message)).catch(() => {}))
    }
  }
  if (asked.length > 0) await Promise.all(asked)
  if (refused.size === 0) return all
  for (const { topic } of refused) drops('budget', topic)
  return all.filter(({ message }) => !refused.has(message))
}

/** What the promise rejects with; undefined when it resolves. */
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

const forwardAll = (
  { drops, log, meter }: Pick<PublisherDeps, 'drops' | 'log' | 'meter'>,
  paid: readonly PaidMessage[],
  publications: readonly Publication[],
  forward: Forward,
): void => {
  let stored = 0
  for (const [at, { message, address }] of paid.entries()) {
    const publication = publications[at]
    if (publication?.outcome === 'stored') {
      stored++
      if (publication.displaced) drops('full', message.topic, publication.displaced)
      forward(message, publication, address)
    } else if (publication?.outcome === 'full') drops('full', message.topic)
    else if (publication) {
      // A retry that did its work.
      meter.count('relay_messages_dropped_total', { reason: 'duplicate' })
      const { topic, tag } = message
      log.debug({ topic: abbreviate(topic), tag }, 'A message was dropped: its topic has it already')
    }
  }
  if (stored > 0) meter.count('relay_messages_published_total', undefined, stored)
}
