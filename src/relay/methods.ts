import type { ZodType } from 'zod'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { ROW_OVERHEAD_BYTES } from '../platform/budgets/state-budget.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { MAX_ITEMS_IN_PROGRESS } from '../platform/budgets/work-gate.ts'
import { createKeyedLock } from '../platform/concurrency/keyed-lock.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { checked } from '../platform/validate.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { RELAY_METHODS, type RelayParams, SESSION_TAGS } from '../protocol/relay-methods.ts'
import { messageIdOf, subscriptionIdOf } from '../protocol/topic.ts'
import type { AckBatcher } from './delivery/ack-batcher.ts'
import type { ClientDelivery } from './delivery/client-delivery.ts'
import type { Connection } from './delivery/connection.ts'
import { deliveredForm, type TopicCursor } from './delivery/topic-cursor.ts'
import type { Drops } from './drops.ts'
import type { RelayLimits } from './limits.ts'
import type { Publisher } from './publish-batcher.ts'
import { type NewMessage, type RelayStore, type StoredMessage, SUBSCRIPTION_LEASE_MS } from './store.ts'
import type { Keep, Seen, Watches } from './webhooks/registrations.ts'

/** Who makes a request. Without a connection (HTTP) nothing can be pushed. */
export interface Caller {
  clientId: string
  trusted: boolean
  /** Who pays: the address block, and how it is named in what is stored; '' for the house. */
  address: string
  payer: string
  connection?: Connection
  delivery?: ClientDelivery | undefined
}

/** How a request begins and ends, each once. `answer` is false when the answer could not be handed over. */
export interface Reply {
  /**
   * So many items are about to be worked on: charges those beyond the first. Undefined when that may begin at once;
   * otherwise resolves when it may. Throws `rate_limited` where nothing can be held back.
   */
  enter(items: number): Promise<void> | undefined
  answer(result: unknown): boolean
  fail(error: unknown): void
}

/** May throw or reject instead of calling `fail`. */
export type Method = (caller: Caller, params: unknown, reply: Reply) => void | Promise<void>

export interface MethodDeps {
  store: RelayStore
  clock: Clock
  limits: RelayLimits
  budgets: Pick<Budgets, 'state' | 'work'>
  drops: Drops
  publisher: Publisher
  ackBatcher: AckBatcher
  watches: Watches | undefined
  /** Acknowledges for the client on all its connections. */
  acknowledged(clientId: string, topic: string, id: string, seen?: Seen): void
  /** The client left the topics, on all its connections. */
  unsubscribed(clientId: string, topics: readonly string[]): void
}

const MESSAGE_ID = /^[0-9a-f]{64}$/

type Publish = Pick<RelayParams<'irn_publish'>, 'topic' | 'message' | 'ttl' | 'tag' | 'attestation'>

export const createMethods = (deps: MethodDeps): Record<string, Method> => {
  const { store, clock, limits, budgets, drops, publisher, ackBatcher } = deps

  const newMessage = (caller: Caller, publish: Publish): NewMessage => {
    const now = clock.now()
    return {
      topic: publish.topic,
      message: publish.message,
      id: messageIdOf(publish.message),
      tag: publish.tag,
      attestation: publish.attestation,
      publisher: caller.clientId,
      publishedAt: now,
      expiresAt: now + publish.ttl * 1000,
      payer: caller.payer,
      ...(!caller.trusted && { unattendedUntil: now + limits.unattendedTtlMs }),
    }
  }

  /** Charges what a request costs beyond its frame. Over HTTP, where nothing can be held back, it may throw. */
  const spend = (caller: Caller, units: number): void => {
    if (units <= 0 || caller.trusted) return
    if (caller.connection) caller.connection.spend(units)
    else budgets.work.charge(caller.address, units)
  }

  /** A method whose work begins when it is its payer's turn. */
  const method =
    <Request>(
      { params: schema }: { params: ZodType<Request> },
      itemsIn: (request: Request) => number,
      work: (caller: Caller, request: Request, reply: Reply) => void | Promise<void>,
    ): Method =>
    (caller, params, reply) => {
      const request = checked(schema, params)
      const turn = reply.enter(itemsIn(request))
      return turn ? turn.then(() => work(caller, request, reply)) : work(caller, request, reply)
    }
  const one = () => 1

  const publish = (
    caller: Caller,
    messages: readonly Publish[],
    reply: Reply,
    answered?: () => void,
  ): void => {
    // What the house publishes is not divided.
    const slice = caller.address === '' ? messages.length : MAX_ITEMS_IN_PROGRESS
    publisher.publish(
      messages.slice(0, slice).map((message) => newMessage(caller, message)),
      caller.address,
      (error) => {
        if (error === undefined && messages.length > slice) {
          return publish(caller, messages.slice(slice), reply, answered)
        }
        // What is dropped is `true`, too: published clients do not survive an error here.
        if (error === undefined) reply.answer(true)
        else reply.fail(error)
        answered?.()
      },
    )
  }

  const inTurn = createKeyedLock()
  /** Hands work on subscriptions to the store in the order in which it was asked for, although some of it is paid first. */
  const inOrder = async <T>(
    clientId: string,
    pay: (() => Promise<void>) | undefined,
    work: () => Promise<T>,
  ): Promise<T> => {
    // What comes next waits until the work has begun, not until it is done.
    const begun = await inTurn(clientId, async () => {
      if (pay) await pay()
      return { answer: work() }
    })
    return begun.answer
  }

  /** Charges what a subscription keeps, if it is new, for as long as its lease. */
  const pay = async ({ clientId, address }: Caller, topics: readonly string[]): Promise<void> => {
    const { length } = await store.unsubscribedOf(clientId, topics)
    if (length > 0) {
      await budgets.state.demand(address, (length - 1) * ROW_OVERHEAD_BYTES, SUBSCRIPTION_LEASE_MS)
    }
  }

  /** Subscribes; the cursors wait until `answered` is called. A client that is not trusted owns nothing. */
  const subscribe = async (
    caller: Caller,
    topics: readonly string[],
    exclusive = false,
  ): Promise<{ answered: () => void }> => {
    const { clientId, trusted } = caller
    const { delivery } = caller
    const cursors = delivery?.subscribing(topics) ?? []
    try {
      const now = clock.now()
      const how = trusted ? { now, exclusive } : { now, limit: limits.topicsPerClient }
      const { owned, crowded } = await inOrder(
        clientId,
        caller.address === '' ? undefined : () => pay(caller, topics),
        () => store.subscribe(clientId, topics, how),
      )
      for (const topic of owned) drops('owned', topic)
      for (const topic of crowded) drops('crowded', topic)
    } catch (error) {
      delivery?.abandoned(cursors)
      throw error
    }
    return { answered: () => delivery?.subscribed(cursors) }
  }

  const unsubscribe = async (caller: Caller, topics: readonly string[], reply: Reply): Promise<void> => {
    deps.unsubscribed(caller.clientId, topics)
    await inOrder(caller.clientId, undefined, () => store.unsubscribe(caller.clientId, topics))
    reply.answer(true)
  }

  const subscribeOne = async (
    caller: Caller,
    { topic, exclusive }: RelayParams<'irn_subscribe'>,
    reply: Reply,
  ): Promise<void> => {
    const { answered } = await subscribe(caller, [topic], exclusive)
    reply.answer(subscriptionIdOf(topic, caller.clientId))
    answered()
  }

  const subscribeBatch = async (
    caller: Caller,
    { topics, exclusive }: RelayParams<'irn_batchSubscribe'>,
    reply: Reply,
  ): Promise<void> => {
    const { answered } = await subscribe(caller, [...new Set(topics)], exclusive)
    reply.answer(topics.map((topic) => subscriptionIdOf(topic, caller.clientId)))
    answered()
  }

  /** What waits on the topics, as far as one answer holds, without what is in flight on the same connection. */
  const read = async (clientId: string, topics: readonly string[], cursors: readonly TopicCursor[]) => {
    const messages: StoredMessage[] = []
    const positions = cursors.map((cursor) => ({ cursor, seq: 0 }))
    let bytes = 0
    await ackBatcher.settled(clientId)
    for (const [at, topic] of topics.entries()) {
      const cursor = cursors[at]
      for (let after = 0, more = true; more; ) {
        const room = { limit: limits.fetchMessages - messages.length, maxBytes: limits.fetchBytes - bytes }
        if (room.limit <= 0 || room.maxBytes <= 0) return { messages, positions, hasMore: true }
        const page = await store.pending(clientId, topic, { after, ...room, now: clock.now() })
        if (page.messages.length === 0 && page.hasMore) return { messages, positions, hasMore: true }
        for (const message of page.messages) {
          after = message.seq
          if (!cursor?.inFlight.has(message.id) && !cursor?.acknowledged.has(message.id)) {
            const size = message.message.length + message.attestation.length + 256
            if (messages.length > 0 && bytes + size > limits.fetchBytes) {
              return { messages, positions, hasMore: true }
            }
            bytes += size
            messages.push(message)
          }
          const position = positions[at]
          if (position) position.seq = message.seq
        }
        more = page.hasMore
      }
    }
    return { messages, positions, hasMore: false }
  }

  const fetchNow = async (
    caller: Caller,
    { topics, keep = false }: { topics: readonly string[]; keep?: boolean | undefined },
    reply: Reply,
  ): Promise<void> => {
    const { delivery } = caller
    const cursors = delivery?.fetching(topics) ?? []
    try {
      const { messages, positions, hasMore } = await read(caller.clientId, topics, cursors)
      if (!reply.answer({ messages: messages.map(deliveredForm), hasMore }) || keep)
        return delivery?.abandoned(cursors)
      for (const message of messages) deps.acknowledged(caller.clientId, message.topic, message.id, message)
      delivery?.fetched(positions)
    } catch (error) {
      delivery?.abandoned(cursors)
      throw error
    }
  }

  const fetch = (
    caller: Caller,
    { topics, keep }: { topics: readonly string[]; keep?: boolean | undefined },
    reply: Reply,
  ): Promise<void> => {
    // A connection that takes nothing more must not keep its address busy meanwhile.
    const run = async () => {
      await reply.enter(topics.length)
      await fetchNow(caller, { topics: [...new Set(topics)], keep }, reply)
    }
    return caller.connection ? caller.connection.inTurn(run) : run()
  }

  const keepFor =
    ({ address }: Caller): Keep =>
    (bytes, lifeMs) =>
      budgets.state.demand(address, bytes, lifeMs)

  const watching = (): Watches => {
    if (!deps.watches) throw new ProtocolError('unknown_method')
    return deps.watches
  }

  return {
    irn_publish: method(RELAY_METHODS.irn_publish, one, (caller, message, reply) =>
      publish(caller, [message], reply),
    ),

    irn_batchPublish: method(
      RELAY_METHODS.irn_batchPublish,
      ({ messages }) => messages.length,
      (caller, { messages }, reply) => publish(caller, messages, reply),
    ),

    irn_subscribe: method(RELAY_METHODS.irn_subscribe, one, subscribeOne),
    irn_subscribeBlocking: method(RELAY_METHODS.irn_subscribe, one, subscribeOne),
    irn_batchSubscribe: method(
      RELAY_METHODS.irn_batchSubscribe,
      ({ topics }) => topics.length,
      subscribeBatch,
    ),
    irn_batchSubscribeBlocking: method(
      RELAY_METHODS.irn_batchSubscribe,
      ({ topics }) => topics.length,
      subscribeBatch,
    ),

    irn_unsubscribe: method(RELAY_METHODS.irn_unsubscribe, one, (caller, { topic }, reply) =>
      unsubscribe(caller, [topic], reply),
    ),

    irn_batchUnsubscribe: method(
      RELAY_METHODS.irn_batchUnsubscribe,
      ({ subscriptions }) => subscriptions.length,
      (caller, { subscriptions }, reply) =>
        unsubscribe(caller, [...new Set(subscriptions.map(({ topic }) => topic))], reply),
    ),

    irn_fetchMessages: (caller, params, reply) =>
      fetch(caller, { topics: [checked(RELAY_METHODS.irn_fetchMessages.params, params).topic] }, reply),

    irn_batchFetchMessages: (caller, params, reply) =>
      fetch(caller, checked(RELAY_METHODS.irn_batchFetchMessages.params, params), reply),

    irn_batchReceive: method(
      RELAY_METHODS.irn_batchReceive,
      ({ receipts }) => receipts.length,
      async (caller, { receipts }, reply) => {
        for (const receipt of receipts) {
          // No message has such an id, and the store must not lose the other receipts over it.
          if (!MESSAGE_ID.test(receipt.messageId)) continue
          deps.acknowledged(caller.clientId, receipt.topic, receipt.messageId)
        }
        await ackBatcher.settled(caller.clientId)
        reply.answer(true)
      },
    ),

    irn_watchRegister: async (caller, params, reply) => {
      const watches = watching()
      const { registerAuth } = checked(RELAY_METHODS.irn_watchRegister.params, params)
      spend(caller, WORK_COST.token + WORK_COST.lookUp)
      reply.answer(await watches.register(registerAuth, keepFor(caller)))
    },

    irn_watchUnregister: async (caller, params, reply) => {
      const watches = watching()
      const { unregisterAuth } = checked(RELAY_METHODS.irn_watchUnregister.params, params)
      spend(caller, WORK_COST.token)
      await watches.unregister(unregisterAuth, keepFor(caller))
      reply.answer(true)
    },

    wc_proposeSession: method(RELAY_METHODS.wc_proposeSession, one, async (caller, proposal, reply) => {
      const { pairingTopic: topic, sessionProposal: message, ttl, attestation } = proposal
      const { answered } = await subscribe(caller, [topic])
      publish(caller, [{ topic, message, ttl, tag: SESSION_TAGS.proposal, attestation }], reply, answered)
    }),

    wc_approveSession: method(RELAY_METHODS.wc_approveSession, one, async (caller, approval, reply) => {
      const { pairingTopic, sessionTopic, ttl, attestation } = approval
      const { answered } = await subscribe(caller, [sessionTopic])
      const response = { topic: pairingTopic, message: approval.sessionProposalResponse }
      const settlement = { topic: sessionTopic, message: approval.sessionSettlementRequest }
      const messages = [
        { ...response, ttl, tag: SESSION_TAGS.proposalResponse, attestation },
        { ...settlement, ttl, tag: SESSION_TAGS.settlement, attestation: '' },
      ]
      publish(caller, messages, reply, answered)
    }),
  }
}
