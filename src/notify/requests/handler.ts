/**
 * The way in for wallets: a message from the relay is decrypted, verified, carried out and answered.
 *
 * Guarantees: the relay tag alone says what a message is, never the JSON-RPC `method`. The handler's promise resolves
 * when the effect is durable and the answer is in the outbox (or, where nothing changed, at the relay). It rejects when
 * the relay should deliver again, which ends with the message's TTL. After decryption every fault is answered, because
 * clients wait without a time-out; a message that cannot be decrypted is not answered. Nothing is logged that was inside
 * an envelope.
 *
 * | tag  | came on                | key                   | service    | answer tag, signed by |
 * |------|------------------------|-----------------------|------------|-----------------------|
 * | 4010 | the server's topic     | server X25519, type 1 | `watch`    | 4011, server          |
 * | 4000 | an app's topic         | app X25519, type 1    | `subscribe`| 4001, app             |
 * | 4008 | a notify topic         | P, type 0             | `update`   | 4009, app             |
 * | 4004 | a notify topic         | P, type 0             | `remove`   | 4005, app             |
 * | 4014 | a notify topic         | P, type 0             | `history`  | 4015, app             |
 * | 4016 | a notify topic         | P, type 0             | `markRead` | 4017, app             |
 * | 4018 | a notify topic         | P, type 0             | `answer`   | 4019, app             |
 * | else | (answers of clients, the historic 4050, others)     | ignored    | none                  |
 *
 * | fault                                              | answer                                            |
 * |----------------------------------------------------|---------------------------------------------------|
 * | no key for the topic, wrong key or envelope type   | none; counted                                     |
 * | the same message again, carried out before         | none; its answer is, or was, on its way           |
 * | too many of its kind (`apps/limits`)               | −1; the same message again, the same answer       |
 * | not JSON, not a request, params, claims            | −32700, −32600, −32602                            |
 * | JWT, identity key, authority, account, app, rules  | −1 and the sentence of `protocol/errors`          |
 * | the key server or the store fails                  | −32000 `Internal server error`                    |
 * | faults of unknown senders, too many on this topic  | none; counted                                     |
 *
 * A fault is answered for 300 s, whatever the method.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { idTextOf } from '../../protocol/jsonrpc.ts'
import { type NotifyRow, notifyMethodByTag } from '../../protocol/notify-methods.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { Apps } from '../apps/apps.ts'
import { type Limits, UNLIMITED } from '../apps/limits.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import type { OutgoingMessage } from '../outbox/wire.ts'
import type { RelayLink, RelayMessage } from '../relay/link.ts'
import type { NotifyStore } from '../store/store.ts'
import type { NotifyService } from '../subscriptions/service.ts'
import { createDecrypt, type RequestKey } from './decrypt.ts'
import { createDispatch } from './dispatch.ts'
import { createFloodGuard, type FloodGuard } from './flood-guard.ts'
import { createIdentities, type IdentityLookup } from './identity.ts'
import { createResponder, type Respond } from './immediate-answers.ts'
import { createRequestLimits } from './limits.ts'

export interface RequestHandlerDeps {
  store: NotifyStore
  vault: Vault
  apps: Pick<Apps, 'byDomain' | 'byTopic' | 'projects'>
  service: NotifyService
  lookup: IdentityLookup
  serverKeys: ServerKeys
  relay: Pick<RelayLink, 'publish'>
  clock: Clock
  log: Log
  meter: Meter
  limits?: Limits
}

export interface RequestHandlerOptions {
  /** URIs by which recaps may name this server. */
  notifyUrls: readonly string[]
  publicUrl: string
  /** Verifies signatures of contract wallets; without it they are refused. */
  verifySignature?: ContractWalletCheck | undefined
}

/** Answers of `rate_limited` that are kept in memory; each takes some 300 bytes. */
const MAX_CACHED_REFUSALS = 10_000

const INTERNAL = new ProtocolError('internal')

/** Faults that only a known client can cause. All others cost an unknown sender nothing. */
const KNOWN_CLIENT_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'unavailable',
  'not_subscribed',
  'too_many_watchers',
  'unknown_notification',
  'unknown_action',
  'already_answered',
  'quota_reached',
])
const isOfUnknownSender = ({ code }: ProtocolError): boolean => !KNOWN_CLIENT_FAULTS.has(code)

/** A message that faulted: `text` is undefined when its content was not text. */
interface Faulty {
  row: NotifyRow
  requestKey: RequestKey
  text: string | undefined
  id: string
  topic: string
}

/** Answers a fault. Returns its code, and the message when a `rate_limited` one was sent. */
const createFaultAnswers =
  ({
    respond,
    floodGuard,
    log,
    meter,
  }: {
    respond: Respond
    floodGuard: Pick<FloodGuard, 'mayAnswer'>
    log: Log
    meter: Meter
  }) =>
  async (
    { row, requestKey, text, id, topic }: Faulty,
    fault: unknown,
  ): Promise<{ code: ErrorCode; refusal?: OutgoingMessage | undefined }> => {
    const known = fault instanceof ProtocolError ? fault : new ProtocolError('internal')
    const isOurs = known.rpc === INTERNAL.rpc
    if (isOurs)
      log.error({ err: fault, messageId: id, method: row.method }, 'A request could not be carried out')
    if (isOfUnknownSender(known) && !(await floodGuard.mayAnswer(topic))) {
      meter.count('notify_unanswered_total', { method: row.method })
      return { code: known.code }
    }
    const { rpc: code, message } = isOurs ? INTERNAL : known
    const rpcId = (text !== undefined && idTextOf(text)) || 'null'
    const answer = await respond(row, requestKey, id, { rpcId, claims: {}, error: { code, message } })
    return { code: known.code, refusal: known.code === 'rate_limited' ? answer : undefined }
  }

/** Processes one message; returns what became of it, for the metric. */
const createMessageProcessor = (
  deps: RequestHandlerDeps,
  { publicUrl, ...options }: RequestHandlerOptions,
): ((row: NotifyRow, message: RelayMessage, id: string) => Promise<string>) => {
  const { store, vault, apps, service, lookup, serverKeys, relay, clock, log, meter } = deps
  const { limits = UNLIMITED } = deps
  const decrypt = createDecrypt({ store, vault, apps, serverKeys })
  const writer = { store, vault, apps, serverKeys, publicUrl, clock }
  const respond = createResponder({ writer, relay, clock })
  const identities = createIdentities({ lookup, clock }, options)
  const requestLimits = createRequestLimits({ store, apps, limits, clock })
  const dispatch = createDispatch({ service, identities, requestLimits, respond, clock })
  const floodGuard = createFloodGuard(clock)
  const answerFault = createFaultAnswers({ respond, floodGuard, log, meter })
  /** Sent again when the relay delivers such a request again; another process decides anew. */
  const refusals = new Map<string, OutgoingMessage>()

  /**
   * The relay delivers a message again when it has not heard that it was processed. The commit knows it for a repetition; by
   * then it may be expired, or its subscription gone, which is no fault any more. So this is asked where something fails.
   */
  const tookEffect = (id: string): Promise<boolean> => store.wasCommitted(id, clock.now())

  return async (row, message, id) => {
    const refused = refusals.get(id)
    if (refused) {
      await relay.publish(refused)
      return 'repeated'
    }
    const decrypted = floodGuard.isFlooding(message.message) ? undefined : await decrypt(row, message)
    if (!decrypted) {
      if (await tookEffect(id)) return 'repeated'
      meter.count('notify_undecryptable_total', { method: row.method })
      if (await floodGuard.note(message.message)) {
        log.info({ messageId: id, tag: message.tag }, 'A message could not be decrypted; it is not answered')
      }
      return 'undecryptable'
    }
    const { requestKey, read } = decrypted
    let text: string | undefined
    try {
      text = read()
      await requestLimits.ofSubject(row, requestKey)
      await dispatch(row, requestKey, text, id)
      return 'done'
    } catch (fault) {
      if (await tookEffect(id)) return 'repeated'
      const topic = message.topic.toLowerCase()
      const { code, refusal } = await answerFault({ row, requestKey, text, id, topic }, fault)
      if (refusal) {
        if (refusals.size >= MAX_CACHED_REFUSALS) refusals.clear()
        refusals.set(id, refusal)
      }
      return code
    }
  }
}

export const createRequestHandler = (
  deps: RequestHandlerDeps,
  options: RequestHandlerOptions,
): ((message: RelayMessage) => Promise<void>) => {
  const { clock, log, meter } = deps
  const process = createMessageProcessor(deps, options)
  return async (message) => {
    const row = notifyMethodByTag(message.tag)
    if (row?.direction !== 'toServer') return
    const { method } = row
    const id = messageIdOf(message.message)
    const startedAt = clock.now()
    try {
      const outcome = await meter.span(`notify ${method}`, {}, async (span) => {
        const ended = await process(row, message, id)
        span.set({ 'belfry.outcome': ended })
        return ended
      })
      meter.count('notify_requests_total', { method, outcome })
    } catch (err) {
      meter.count('notify_requests_total', { method, outcome: 'redeliver' })
      log.error(
        { err, messageId: id, method },
        'A message could not be answered; the relay will deliver it again',
      )
      throw err
    } finally {
      meter.observe('notify_request_seconds', (clock.now() - startedAt) / 1000, { method })
    }
  }
}
