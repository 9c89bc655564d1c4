/** Verifies a decrypted request and has the service carry it out. Throws a `ProtocolError` for every fault of the client. */
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { isTimeZone } from '../../platform/runtime/quiet-hours.ts'
import type { Cacao } from '../../protocol/cacao.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { accountFromDidPkh, domainFromDidWeb } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRpc } from '../../protocol/jsonrpc.ts'
import { signedPartOf, verifyJwt } from '../../protocol/jwt.ts'
import type { Preferences } from '../../protocol/notify/preferences.ts'
import {
  NOTIFY_REQUESTS,
  parseScope,
  type RequestClaims,
  type RequestTag,
} from '../../protocol/notify/requests.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { App } from '../apps/apps.ts'
import { MAX_MESSAGE_TTL_S } from '../lifetimes.ts'
import type { SubscriptionRequest, VerifiedRequest } from '../subscriptions/request.ts'
import type { NotifyService } from '../subscriptions/service.ts'
import type { RequestKey } from './decrypt.ts'
import type { Identities } from './identity.ts'
import type { Respond } from './immediate-answers.ts'
import type { RequestLimits } from './limits.ts'

/** JWT claims, as `verifyJwt` returns them. */
type Claims = ReturnType<typeof verifyJwt>
/** Requests about one app; 4010 is the one that is not. */
type AppTag = Exclude<RequestTag, 4010>
type AppClaims = RequestClaims<AppTag>

/** Carries out the request in `text`; resolves when its effect is durable. `id` is that of the relay message. */
export type Dispatch = (row: NotifyRow, requestKey: RequestKey, text: string, id: string) => Promise<void>

export interface DispatchDeps {
  service: NotifyService
  identities: Identities
  requestLimits: Pick<RequestLimits, 'ofSigner' | 'ofSubscriber'>
  respond: Respond
  clock: Clock
}

/** Clocks may differ: a JWT is valid for this much longer than it says. */
const CLOCK_LEEWAY_MS = 300_000
/** A JWT is fresh for one second after its `iat`, and half of one more because published clients round. */
const JWT_FRESH_MS = 1_500
/** A relay keeps a message, and a JWT may be valid, for as long; so the id of a request is kept no longer. */
const MAX_REQUEST_ID_LIFETIME_MS = MAX_MESSAGE_TTL_S * 1000 + 2 * CLOCK_LEEWAY_MS

/** A request whose JWT is verified, before its claims are parsed and its account is known. */
interface SignedRequest {
  row: NotifyRow
  requestKey: RequestKey
  /** Of the relay message. */
  id: string
  /** The JSON-RPC id, as raw JSON text. */
  rpcId: string
  /** As it came. */
  jwt: string
  signed: Claims
  signerKey: string
  /** Names the JWT. */
  token: string
}

const signedRequestOf = (
  row: NotifyRow,
  requestKey: RequestKey,
  { text, id, now }: { text: string; id: string; now: number },
): SignedRequest => {
  const rpc = parseRpc(text)
  if (rpc.kind !== 'request') throw new ProtocolError('bad_request', 'a request is expected')
  const jwt = tokenOf(rpc.params, row.requestParam)
  const signed = verifyJwt(jwt, { now, act: row.requestAct, longest: row.requestTtl })
  const token = `jwt:${messageIdOf(signedPartOf(jwt))}`
  const signerKey = requestKey.audiences.find((did) => did === signed.aud)
  if (signerKey === undefined) throw new ProtocolError('jwt_wrong_audience')
  return { row, requestKey, id, rpcId: rpc.idText, jwt, signed, signerKey, token }
}

const verifiedRequestOf = (
  { row, requestKey, id, rpcId, signed, signerKey, token }: SignedRequest,
  claims: RequestClaims<RequestTag>,
  account: Account,
  now: number,
): VerifiedRequest => ({
  requestId: { id, token, expiresAt: expiryOf(row, signed, now) },
  isFresh: now < signed.iat * 1000 + JWT_FRESH_MS,
  rpcId,
  account,
  identityKey: claims.iss,
  hearsOwnChanges: claims.mjv === '0',
  answer: {
    topic: requestKey.answerTopic,
    key: requestKey.sealedKey,
    tag: row.responseTag,
    ttl: row.responseTtl,
    signerKey,
    claims: {
      act: row.responseAct,
      aud: claims.iss,
      sub: claims.sub,
      // Echoed as it was written: published clients compare it as a string.
      ...(requestKey.app && { app: signed.app }),
    },
  },
})

export const createDispatch = (deps: DispatchDeps): Dispatch => {
  const { service, identities, requestLimits, clock } = deps
  const dispatchToApp = createAppDispatch(deps)

  const watch = async (request: SignedRequest): Promise<void> => {
    const claims = checked(NOTIFY_REQUESTS[4010], request.signed)
    const account = accountFromDidPkh(claims.sub)
    const domain = claims.app === null ? null : domainFromDidWeb(claims.app)
    await identities.verify(claims, account, domain)
    return service.watch(verifiedRequestOf(request, claims, account, clock.now()), { domain })
  }

  return async (row, requestKey, text, id) => {
    const request = signedRequestOf(row, requestKey, { text, id, now: clock.now() })
    await requestLimits.ofSigner(row, requestKey, request.signed.iss)
    return row.requestTag === 4010 ? watch(request) : dispatchToApp(request)
  }
}

/** The checks that all requests about one app have in common; `cacao` parses what says whose the identity key is. */
const createVerify =
  ({ identities, clock }: Pick<DispatchDeps, 'identities' | 'clock'>) =>
  async (
    request: SignedRequest,
    app: App,
    claims: AppClaims,
  ): Promise<{ verified: VerifiedRequest; cacao: () => Cacao }> => {
    const { subject } = request.requestKey
    const { domain } = app.record
    const account = accountFromDidPkh(claims.sub)
    if (domainFromDidWeb(claims.app) !== domain) {
      const sentence = 'the app that is named is not the one that is addressed'
      throw new ProtocolError('app_not_authorized', sentence)
    }
    if (subject && accountKey(account) !== subject.accountKey) throw new ProtocolError('account_mismatch')
    const cacao = await identities.verify(claims, account, domain)
    return { verified: verifiedRequestOf(request, claims, account, clock.now()), cacao }
  }
type Verify = ReturnType<typeof createVerify>

/** Which subscription a request is about. */
type About = Omit<SubscriptionRequest, keyof VerifiedRequest>

/** Requests that may change nothing: then their answers are sent from here. */
const createReads = ({ service, respond }: Pick<DispatchDeps, 'service' | 'respond'>, verify: Verify) => ({
  async history(request: SignedRequest, about: About, app: App): Promise<void> {
    const { row, requestKey, id, rpcId, signerKey, signed } = request
    const claims = checked(NOTIFY_REQUESTS[4014], signed)
    const { verified } = await verify(request, app, claims)
    const wish = { after: claims.aft, limit: claims.lmt, unreadFirst: claims.urf }
    const page = await service.history({ ...verified, ...about }, wish)
    await respond(row, requestKey, id, { rpcId, signerKey, claims: { ...verified.answer.claims, ...page } })
  },

  async answer(request: SignedRequest, about: About, app: App): Promise<void> {
    const { row, requestKey, id, rpcId, signerKey, signed, jwt } = request
    const claims = checked(NOTIFY_REQUESTS[4018], signed)
    const { verified, cacao } = await verify(request, app, claims)
    const wish = { id: claims.nid, action: claims.aid, jwt, cacao: JSON.stringify(cacao()) }
    const outcome = await service.answer({ ...verified, ...about }, wish)
    if (outcome === 'committed') return
    await respond(row, requestKey, id, { rpcId, signerKey, claims: verified.answer.claims })
  },
})

/** Requests about one app: all but 4010. */
const createAppDispatch = (deps: DispatchDeps): ((request: SignedRequest) => Promise<void>) => {
  const { service, requestLimits } = deps
  const verify = createVerify(deps)
  const reads = createReads(deps, verify)

  return async (request) => {
    const { row, requestKey, signed } = request
    const { app, subject } = requestKey
    if (!app || row.direction !== 'toServer' || row.requestTag === 4010) {
      throw new Error(`Tag ${row.requestTag} is not about an app`)
    }
    const { domain } = app.record
    if (row.requestTag === 4000) {
      const claims = checked(NOTIFY_REQUESTS[row.requestTag], signed)
      const { verified } = await verify(request, app, claims)
      await requestLimits.ofSubscriber(requestKey, verified.account)
      const scope = scopeOf(claims.scp, app)
      const { welcome } = app.record
      return service.subscribe(verified, { domain, scope, welcome, preferences: preferencesOf(claims.prf) })
    }
    if (!subject) throw new Error(`Tag ${row.requestTag} has no subscription`)
    const { subscription, known } = subject
    const about = { subscriptionId: subscription.id, domain, known }
    if (row.requestTag === 4008) {
      const claims = checked(NOTIFY_REQUESTS[row.requestTag], signed)
      const { verified } = await verify(request, app, claims)
      const wish = { scope: scopeOf(claims.scp, app), preferences: preferencesOf(claims.prf) }
      return service.update({ ...verified, ...about }, wish)
    }
    if (row.requestTag === 4004) {
      const { verified } = await verify(request, app, checked(NOTIFY_REQUESTS[row.requestTag], signed))
      return service.remove({ ...verified, ...about })
    }
    if (row.requestTag === 4016) {
      const claims = checked(NOTIFY_REQUESTS[row.requestTag], signed)
      const { verified } = await verify(request, app, claims)
      return service.markRead({ ...verified, ...about }, { ids: claims.all ? 'all' : (claims.ids ?? []) })
    }
    return row.requestTag === 4018 ? reads.answer(request, about, app) : reads.history(request, about, app)
  }
}

const Params = z.record(z.string(), z.unknown())

/** Parses with the schema; throws `bad_params` with the first fault. */
const checked = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ProtocolError('bad_params', [...(issue?.path ?? []), issue?.message].join(': '))
}

/** The member of the params that holds the JWT. */
const tokenOf = (params: unknown, name: string): string => {
  const token = checked(Params, params)[name]
  if (typeof token !== 'string') throw new ProtocolError('bad_params', `${name} must be a JWT`)
  return token
}

/** Type ids that the app declares; nobody can subscribe to others. */
const scopeOf = (scp: string, app: App): string[] =>
  parseScope(scp).filter((wanted) => app.record.types.some(({ id }) => id === wanted))

/** Throws `bad_params` for a time zone that this server does not know: it could not tell when it is night there. */
const preferencesOf = (wanted: Preferences | null | undefined): Preferences | null | undefined => {
  const zones = { 'quiet.timeZone': wanted?.quiet?.timeZone, timeZone: wanted?.timeZone }
  for (const [member, zone] of Object.entries(zones)) {
    if (zone === undefined || isTimeZone(zone)) continue
    throw new ProtocolError('bad_params', `prf.${member}: it is no time zone`)
  }
  return wanted
}

/** Until when the request could come again and be valid, unix ms. */
const expiryOf = (row: NotifyRow, { exp }: Claims, now: number): number =>
  Math.min(Math.max(exp * 1000, now + row.requestTtl * 1000), now + MAX_REQUEST_ID_LIFETIME_MS) +
  CLOCK_LEEWAY_MS
