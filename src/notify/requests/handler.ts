/**
 * The way in for wallets: a message from the relay is opened, checked, carried out and answered.
 *
 * Guarantees: what it is depends on the relay tag alone, never on the JSON-RPC `method`. The promise of `onMessage`
 * resolves when the effect is durable and its answer is in the outbox (or, where nothing changed, at the relay), and
 * rejects when the relay should deliver again; that ends with the message's TTL. After decryption every fault is
 * answered, because clients wait for ever; what cannot be decrypted is met with silence. Nothing is logged that was
 * inside an envelope.
 *
 * | tag  | came on                | key                   | service    | answer tag, signed by |
 * |------|------------------------|-----------------------|------------|-----------------------|
 * | 4010 | the server's topic     | server X25519, type 1 | `watch`    | 4011, server          |
 * | 4000 | an app's topic         | app X25519, type 1    | `subscribe`| 4001, app             |
 * | 4008 | a notify topic         | P, type 0             | `update`   | 4009, app             |
 * | 4004 | a notify topic         | P, type 0             | `remove`   | 4005, app             |
 * | 4014 | a notify topic         | P, type 0             | `history`  | 4015, app             |
 * | 4016 | a notify topic         | P, type 0             | `markRead` | 4017, app             |
 * | else | (answers of clients, the historic 4050, strangers)  | ignored    | none                  |
 *
 * | fault                                              | answer                                            |
 * |----------------------------------------------------|---------------------------------------------------|
 * | no key for the topic, wrong key or envelope type   | none; counted                                     |
 * | the same message again, carried out before         | none; its answer is, or was, on its way           |
 * | too many of its kind (`apps/limits`)                  | −1; the same message again, the same answer       |
 * | not JSON, not a request, params, claims            | −32700, −32600, −32602                            |
 * | JWT, identity key, authority, account, app, rules  | −1 and the sentence of `protocol/errors`          |
 * | the key server or the store fails                  | −32000 `Internal server error`                    |
 * | faults of nobody known, too many on this topic     | none; counted                                     |
 *
 * A fault is answered for 300 s, whatever the method.
 */
import { z } from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { accountFromDidPkh, domainFromDidWeb } from '../../protocol/did.ts'
import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { idTextOf, parseRpc } from '../../protocol/jsonrpc.ts'
import { signedPartOf, verifyJwt } from '../../protocol/jwt.ts'
import {
  type NotifyRow,
  type NotifyTag,
  notifyMethodByTag,
  parseScope,
  type RequestClaims,
} from '../../protocol/notify-methods.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { App, Apps } from '../apps/apps.ts'
import { type Limits, UNLIMITED } from '../apps/limits.ts'
import type { ServerKeys } from '../apps/server-keys.ts'
import type { Vault } from '../apps/vault.ts'
import { createMessageWriter, type OutgoingMessage } from '../outbox/messages.ts'
import type { RelayLink, RelayMessage } from '../relay/link.ts'
import type { NotifyStore, OutboxTask } from '../store/store.ts'
import type { VerifiedRequest, NotifyService } from '../subscriptions/service.ts'
import { type Channel, createDecrypt } from './decrypt.ts'
import { createFloodGuard } from './flood-guard.ts'
import { createIdentities, type IdentityLookup } from './identity.ts'
import { createRequestLimits } from './limits.ts'

/** JWT claims, as `verifyJwt` answers them. */
type Claims = ReturnType<typeof verifyJwt>

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

/** How clocks may differ, ms: a JWT is good for so much longer than it says. */
const LEEWAY = 300_000
/** A JWT is fresh for so long after its `iat`, ms: one second, and half of one because published clients round. */
const FRESH_MS = 1_500
/** A request id is kept for so long at most, ms: as long as a relay keeps a message, and as a JWT may be good. */
const LONGEST_MEMORY = 2_592_000_000 + 2 * LEEWAY

export const createRequestHandler = (
  deps: RequestHandlerDeps,
  options: RequestHandlerOptions,
): ((message: RelayMessage) => Promise<void>) => {
  const {
    store,
    vault,
    apps,
    service,
    lookup,
    serverKeys,
    relay,
    clock,
    log,
    meter,
    limits = UNLIMITED,
  } = deps
  const open = createDecrypt({ store, vault, apps, serverKeys })
  const { publicUrl } = options
  const writer = () => createMessageWriter({ store, vault, apps, serverKeys, publicUrl, clock })

  const { establish } = createIdentities({ lookup, clock }, options)
  const requestLimits = createRequestLimits({ store, apps, limits, clock })
  const floodGuard = createFloodGuard(clock)
  /** Answers to requests that were too many, in case the relay delivers one again; another process judges anew. */
  const refusals = new Map<string, OutgoingMessage>()

  const respond = async (
    row: NotifyRow,
    channel: Channel,
    id: string,
    rest: Answer,
  ): Promise<OutgoingMessage | undefined> => {
    const createdAt = clock.now()
    const letter = await writer().write({
      id: `response:${id}`,
      task: {
        kind: 'response',
        topic: channel.answerTopic,
        key: channel.sealedKey,
        tag: row.responseTag,
        signer: channel.app?.record.domain ?? null,
        ...rest,
      },
      createdAt,
      expiresAt: createdAt + row.responseTtl * 1000,
    })
    if (letter) await relay.publish(letter)
    return letter
  }

  /** Checks the request and has it carried out; throws for every fault. */
  const carryOut = async (row: NotifyRow, channel: Channel, text: string, id: string): Promise<void> => {
    const rpc = parseRpc(text)
    if (rpc.kind !== 'request') throw new ProtocolError('bad_request', 'a request is expected')
    const expected = { now: clock.now(), act: row.requestAct, longest: row.requestTtl }
    const jwt = tokenOf(rpc.params, row.requestParam)
    const signed = verifyJwt(jwt, expected)
    const token = `jwt:${messageIdOf(signedPartOf(jwt))}`
    const signerKey = channel.audiences.find((did) => did === signed.aud)
    if (signerKey === undefined) throw new ProtocolError('jwt_wrong_audience')
    await requestLimits.ofSigner(row, channel, signed.iss)

    const askedBy = (claims: RequestClaims<NotifyTag>, account: Account): VerifiedRequest => ({
      requestId: { id, token, expiresAt: endOf(row, signed, clock.now()) },
      isFresh: clock.now() < signed.iat * 1000 + FRESH_MS,
      rpcId: rpc.idText,
      account,
      identityKey: claims.iss,
      hearsOwnChanges: claims.mjv === '0',
      answer: {
        topic: channel.answerTopic,
        key: channel.sealedKey,
        tag: row.responseTag,
        ttl: row.responseTtl,
        signerKey,
        claims: {
          act: row.responseAct,
          aud: claims.iss,
          sub: claims.sub,
          // Echoed as it was written: published clients compare it as a string.
          ...(channel.app && { app: signed.app }),
        },
      },
    })

    if (row.requestTag === 4010) {
      const claims = checked(row.requestClaims, signed)
      const account = accountFromDidPkh(claims.sub)
      const domain = claims.app === null ? null : domainFromDidWeb(claims.app)
      await establish(claims, account, domain)
      return service.watch(askedBy(claims, account), { domain })
    }

    const { app, subject } = channel
    if (!app || row.direction !== 'toServer') throw new Error(`Tag ${row.requestTag} is not served`)
    const { domain } = app.record
    /** The checks that all requests about one app have in common. */
    const establishForApp = async (claims: RequestClaims<AppTag>): Promise<VerifiedRequest> => {
      const account = accountFromDidPkh(claims.sub)
      if (domainFromDidWeb(claims.app) !== domain) {
        throw new ProtocolError(
          'app_not_authorized',
          'the app that is named is not the one that is addressed',
        )
      }
      if (subject && accountKey(account) !== subject.accountKey) throw new ProtocolError('account_mismatch')
      await establish(claims, account, domain)
      return askedBy(claims, account)
    }

    if (row.requestTag === 4000) {
      const claims = checked(row.requestClaims, signed)
      const request = await establishForApp(claims)
      await requestLimits.ofSubscriber(channel, request.account)
      return service.subscribe(request, {
        domain,
        scope: scopeOf(claims.scp, app),
        welcome: app.record.welcome,
      })
    }
    if (!subject) throw new Error(`Tag ${row.requestTag} has no subscription`)
    const about = { subscriptionId: subject.subscription.id, domain }
    if (row.requestTag === 4008) {
      const claims = checked(row.requestClaims, signed)
      const request = await establishForApp(claims)
      return service.update({ ...request, ...about }, { scope: scopeOf(claims.scp, app) })
    }
    if (row.requestTag === 4004) {
      const request = await establishForApp(checked(row.requestClaims, signed))
      return service.remove({ ...request, ...about })
    }
    if (row.requestTag === 4016) {
      const claims = checked(row.requestClaims, signed)
      const request = await establishForApp(claims)
      return service.markRead({ ...request, ...about }, { ids: claims.all ? 'all' : (claims.ids ?? []) })
    }
    const claims = checked(row.requestClaims, signed)
    const request = await establishForApp(claims)
    const page = await service.history(
      { ...request, ...about },
      { after: claims.aft, limit: claims.lmt, unreadFirst: claims.urf },
    )
    const said = { ...request.answer.claims, ...page }
    await respond(row, channel, id, { rpcId: rpc.idText, signerKey, claims: said })
  }

  /** Answers the fault, and says what it was. */
  const answerFault = async (
    row: NotifyRow,
    channel: Channel,
    text: string | undefined,
    { id, topic }: { id: string; topic: string },
    fault: unknown,
  ): Promise<string> => {
    const known = fault instanceof ProtocolError ? fault : new ProtocolError('internal')
    const isOurs = known.rpc === INTERNAL.rpc
    if (isOurs)
      log.error({ err: fault, messageId: id, method: row.method }, 'A request could not be carried out')
    if (isStrange(known) && !(await floodGuard.mayAnswer(topic))) {
      meter.count('notify_unanswered_total', { method: row.method })
      return known.code
    }
    const { rpc: code, message } = isOurs ? INTERNAL : known
    const rpcId = (text !== undefined && idTextOf(text)) || 'null'
    const letter = await respond(row, channel, id, { rpcId, claims: {}, error: { code, message } })
    if (letter && known.code === 'rate_limited') {
      if (refusals.size >= MOST_REFUSALS) refusals.clear()
      refusals.set(id, letter)
    }
    return known.code
  }

  /** Answers what became of the message. */
  const take = async (row: NotifyRow, message: RelayMessage, id: string): Promise<string> => {
    if (await store.wasCommitted(id, clock.now())) return 'repeated'
    const refusal = refusals.get(id)
    if (refusal) {
      await relay.publish(refusal)
      return 'repeated'
    }
    const opened = floodGuard.isFlooding(message.message) ? undefined : await open(row, message)
    if (!opened) {
      meter.count('notify_undecryptable_total', { method: row.method })
      if (await floodGuard.note(message.message)) {
        log.info({ messageId: id, tag: message.tag }, 'A message could not be decrypted; it is not answered')
      }
      return 'undecryptable'
    }
    const { channel, read } = opened
    let text: string | undefined
    try {
      text = read()
      await requestLimits.ofSubject(row, channel)
      await carryOut(row, channel, text, id)
      return 'done'
    } catch (fault) {
      return answerFault(row, channel, text, { id, topic: message.topic.toLowerCase() }, fault)
    }
  }

  return async (message) => {
    const row = notifyMethodByTag(message.tag)
    if (row?.direction !== 'toServer') return
    const { method } = row
    const id = messageIdOf(message.message)
    const startedAt = clock.now()
    try {
      const outcome = await take(row, message, id)
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

/** Answers that are kept in memory; each is some 300 bytes. */
const MOST_REFUSALS = 10_000

type AppTag = 4000 | 4004 | 4008 | 4014 | 4016
type Answer = Pick<Extract<OutboxTask, { kind: 'response' }>, 'rpcId' | 'signerKey' | 'claims' | 'error'>

const INTERNAL = new ProtocolError('internal')

/** Faults of those who are known: all others cost a stranger nothing. */
const KNOWN_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'unavailable',
  'not_subscribed',
  'too_many_watchers',
  'unknown_notification',
  'quota_reached',
])
const isStrange = ({ code }: ProtocolError): boolean => !KNOWN_FAULTS.has(code)

/** Parses with the schema; throws `bad_params` with the first fault. */
const checked = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ProtocolError('bad_params', [...(issue?.path ?? []), issue?.message].join(': '))
}

/** The member of the params that holds the JWT. */
const tokenOf = (params: unknown, name: string): string => {
  const token = checked(z.record(z.string(), z.unknown()), params)[name]
  return checked(z.string({ error: `${name} must be a JWT` }), token)
}

/** Type ids that the app declares; what it does not declare, nobody can subscribe to. */
const scopeOf = (scp: string, app: App): string[] =>
  parseScope(scp).filter((wanted) => app.record.types.some(({ id }) => id === wanted))

/** Until when the request could come again and be valid, unix ms. */
const endOf = (row: NotifyRow, { exp }: Claims, now: number): number =>
  Math.min(Math.max(exp * 1000, now + row.requestTtl * 1000), now + LONGEST_MEMORY) + LEEWAY
