/**
 * The methods of the relay, by name: the shape of the params, how many items a request has, and what serves it. What
 * each does is in `requests/`; the table of effects and answers is in `hub.ts`.
 */
import type { Budgets } from '../platform/budgets/budgets.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import { checked } from '../platform/validate.ts'
import { RELAY_METHODS, type RelayParams, SESSION_TAGS } from '../protocol/relay-methods.ts'
import { subscriptionIdOf } from '../protocol/topic.ts'
import type { AckBatcher, Seen } from './delivery/ack-batcher.ts'
import type { Drops } from './drops.ts'
import type { RelayLimits } from './limits.ts'
import type { Publisher } from './publish-batcher.ts'
import { batched, type Caller, type Method, type Reply, single } from './requests/caller.ts'
import { createFetch } from './requests/fetches.ts'
import { createPublishAll } from './requests/publishes.ts'
import { createSubscriptions } from './requests/subscriptions.ts'
import { createWatchMethods } from './requests/watches.ts'
import type { RelayStore } from './store.ts'
import type { Watches } from './webhooks/registrations.ts'

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

const distinct = (topics: readonly string[]): string[] => [...new Set(topics)]

export const createMethods = (deps: MethodDeps): Record<string, Method> => {
  const { subscribe, unsubscribe } = createSubscriptions(deps)
  const publishAll = createPublishAll(deps)
  const fetch = createFetch(deps)
  const watch = createWatchMethods(deps)
  const acknowledgeAll = createAcknowledgeAll(deps)
  const session = createSessionMethods(subscribe, publishAll)

  const subscribeOne = single(RELAY_METHODS.irn_subscribe, async (caller, { topic, exclusive }, reply) => {
    const { answered } = await subscribe(caller, [topic], exclusive)
    reply.answer(subscriptionIdOf(topic, caller.clientId))
    answered()
  })
  const subscribeMany = batched(
    RELAY_METHODS.irn_batchSubscribe,
    ({ topics }) => topics.length,
    async (caller, { topics, exclusive }, reply) => {
      const { answered } = await subscribe(caller, distinct(topics), exclusive)
      reply.answer(topics.map((topic) => subscriptionIdOf(topic, caller.clientId)))
      answered()
    },
  )
  const unsubscribeAll = async (caller: Caller, topics: readonly string[], reply: Reply): Promise<void> => {
    await unsubscribe(caller, topics)
    reply.answer(true)
  }

  return {
    irn_publish: single(RELAY_METHODS.irn_publish, (caller, message, reply) =>
      publishAll(caller, [message], reply),
    ),
    irn_batchPublish: batched(
      RELAY_METHODS.irn_batchPublish,
      ({ messages }) => messages.length,
      (caller, { messages }, reply) => publishAll(caller, messages, reply),
    ),
    irn_subscribe: subscribeOne,
    irn_subscribeBlocking: subscribeOne,
    irn_batchSubscribe: subscribeMany,
    irn_batchSubscribeBlocking: subscribeMany,
    irn_unsubscribe: single(RELAY_METHODS.irn_unsubscribe, (caller, { topic }, reply) =>
      unsubscribeAll(caller, [topic], reply),
    ),
    irn_batchUnsubscribe: batched(
      RELAY_METHODS.irn_batchUnsubscribe,
      ({ subscriptions }) => subscriptions.length,
      (caller, { subscriptions }, reply) =>
        unsubscribeAll(caller, distinct(subscriptions.map(({ topic }) => topic)), reply),
    ),
    irn_fetchMessages: (caller, params, reply) =>
      fetch(caller, { topics: [checked(RELAY_METHODS.irn_fetchMessages.params, params).topic] }, reply),
    irn_batchFetchMessages: (caller, params, reply) =>
      fetch(caller, checked(RELAY_METHODS.irn_batchFetchMessages.params, params), reply),
    irn_batchReceive: acknowledgeAll,
    irn_watchRegister: watch.register,
    irn_watchUnregister: watch.unregister,
    wc_proposeSession: session.propose,
    wc_approveSession: session.approve,
  }
}

/** Acknowledges the messages of which the client has the receipts. */
const createAcknowledgeAll = (deps: Pick<MethodDeps, 'ackBatcher' | 'acknowledged'>): Method =>
  batched(
    RELAY_METHODS.irn_batchReceive,
    ({ receipts }) => receipts.length,
    async (caller, { receipts }: RelayParams<'irn_batchReceive'>, reply) => {
      for (const receipt of receipts) {
        // No message has such an id, and the store must not lose the other receipts over it.
        if (!MESSAGE_ID.test(receipt.messageId)) continue
        deps.acknowledged(caller.clientId, receipt.topic, receipt.messageId)
      }
      await deps.ackBatcher.whenDurable(caller.clientId)
      reply.answer(true)
    },
  )

/** Subscribe and publish in one request, as published clients pair. */
const createSessionMethods = (
  subscribe: ReturnType<typeof createSubscriptions>['subscribe'],
  publishAll: ReturnType<typeof createPublishAll>,
): { propose: Method; approve: Method } => ({
  propose: single(RELAY_METHODS.wc_proposeSession, async (caller, proposal, reply) => {
    const { pairingTopic: topic, sessionProposal: message, ttl, attestation } = proposal
    const { answered } = await subscribe(caller, [topic])
    publishAll(caller, [{ topic, message, ttl, tag: SESSION_TAGS.proposal, attestation }], reply, answered)
  }),
  approve: single(RELAY_METHODS.wc_approveSession, async (caller, approval, reply) => {
    const { pairingTopic, sessionTopic, ttl, attestation } = approval
    const { answered } = await subscribe(caller, [sessionTopic])
    const response = { topic: pairingTopic, message: approval.sessionProposalResponse }
    const settlement = { topic: sessionTopic, message: approval.sessionSettlementRequest }
    const messages = [
      { ...response, ttl, tag: SESSION_TAGS.proposalResponse, attestation },
      { ...settlement, ttl, tag: SESSION_TAGS.settlement, attestation: '' },
    ]
    publishAll(caller, messages, reply, answered)
  }),
})
