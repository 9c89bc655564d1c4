/**
 * The methods of the relay: ONE table, name → schema of params and of result. Params accept unknown members and drop
 * them: real clients send private data in clear beside the message (`rpcMethods`, `txHashes`, …), which must go no
 * further than here. Topics come out in lower case.
 */
import * as z from '#schema'
import { attestation, fetched, LIMITS, pushed, topic } from './relay/delivered.ts'

export { LIMITS }

const ttl = z.number().int().min(LIMITS.ttl.min).max(LIMITS.ttl.max).default(LIMITS.ttl.default)
// UTF-16 units, of which there are never more than bytes; the base64 of an envelope has as many.
const message = z.string().max(LIMITS.messageBytes)
const batchOf = <T extends z.ZodType>(item: T) => z.array(item).max(LIMITS.batch)
const done = z.literal(true)

const publish = z.object({
  topic,
  message,
  ttl,
  tag: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).default(0),
  prompt: z.boolean().optional(),
  attestation,
})
// Clients compute `id` themselves, differently at times: it is not looked at.
const unsubscribe = z.object({ topic, id: z.unknown().optional() })
const receipt = z
  .object({
    topic,
    messageId: z.string().max(128).optional(),
    message_id: z.string().max(128).optional(),
  })
  .transform(({ topic, messageId, message_id }, context) => {
    const id = messageId ?? message_id
    if (id !== undefined) return { topic, messageId: id.toLowerCase() }
    context.addIssue({ code: 'custom', message: 'messageId is missing', path: ['messageId'] })
    return z.NEVER
  })

/** Ours, of trusted clients alone: the topic belongs to the client from now on, and others only publish there. */
const exclusive = z.boolean().optional()
const subscribe = { params: z.object({ topic, exclusive }), result: z.string() }
const batchSubscribe = {
  params: z.object({ topics: batchOf(topic), exclusive }),
  result: z.array(z.string()),
}
const token = z.string().max(16 * 1024)

export const RELAY_METHODS = {
  irn_publish: { params: publish, result: done },
  irn_batchPublish: { params: z.object({ messages: batchOf(publish) }), result: done },
  irn_subscribe: subscribe,
  irn_subscribeBlocking: subscribe,
  irn_batchSubscribe: batchSubscribe,
  irn_batchSubscribeBlocking: batchSubscribe,
  irn_unsubscribe: { params: unsubscribe, result: done },
  irn_batchUnsubscribe: { params: z.object({ subscriptions: batchOf(unsubscribe) }), result: done },
  /** Relay to client. The answer `true` acknowledges the message; some clients answer with other things. */
  irn_subscription: { params: pushed, result: z.unknown() },
  /** Relay to client, to be ignored: it resets the idle timer of older clients. */
  irn_heartbeat: { params: z.unknown(), result: z.unknown() },
  irn_fetchMessages: { params: z.object({ topic }), result: fetched },
  /** `keep` is ours: what is returned stays until irn_batchReceive names it. Other relays do not know it. */
  irn_batchFetchMessages: {
    params: z.object({ topics: batchOf(topic), keep: z.boolean().optional() }),
    result: fetched,
  },
  irn_batchReceive: { params: z.object({ receipts: batchOf(receipt) }), result: done },
  irn_watchRegister: { params: z.object({ registerAuth: token }), result: z.object({ relayId: z.string() }) },
  irn_watchUnregister: { params: z.object({ unregisterAuth: token }), result: done },
  wc_proposeSession: {
    params: z.object({ pairingTopic: topic, sessionProposal: message, ttl, attestation }),
    result: done,
  },
  wc_approveSession: {
    params: z.object({
      sessionTopic: topic,
      pairingTopic: topic,
      sessionProposalResponse: message,
      sessionSettlementRequest: message,
      ttl,
      attestation,
    }),
    result: done,
  },
} as const satisfies Record<string, { params: z.ZodType; result: z.ZodType }>

export type RelayMethod = keyof typeof RELAY_METHODS
/** Params as they are after parsing. */
export type RelayParams<M extends RelayMethod> = z.output<(typeof RELAY_METHODS)[M]['params']>

/** Tags and prompts of the messages that the wc_ methods publish in a client's name. */
export const SESSION_TAGS = { proposal: 1100, proposalResponse: 1101, settlement: 1102 } as const

/** `iridium_*` and `waku_*` are older prefixes of `irn_*`; other names come back as they are. */
export const canonicalMethod = (name: string): string => name.replace(/^(?:iridium|waku)_/, 'irn_')

export const isRelayMethod = (name: string): name is RelayMethod => Object.hasOwn(RELAY_METHODS, name)
