/**
 * Firebase Cloud Messaging, HTTP v1. A service account's key signs a JWT (RS256), for which the token endpoint gives an access
 * token; that one is used until a minute before its end. The data of a message has at most 4,096 bytes.
 *
 * Source: "Firebase Cloud Messaging HTTP v1 API", "Using OAuth 2.0 for server to server applications".
 */
import { importPKCS8, SignJWT } from 'jose'
import * as z from 'zod'
import { unlessAborted } from '../../platform/concurrency/unless-aborted.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { MINUTE_MS } from '../../platform/units.ts'
import {
  keptForSeconds,
  later,
  MAX_ANSWER_BYTES,
  type Provider,
  type PushBody,
  type PushMessage,
  retryAfterMs,
  SEND_TIMEOUT_MS,
  type SendOutcome,
} from './provider.ts'
import type { ProviderAnswer, ProviderRequests } from './request.ts'

/** A service account as Google's console gives it; what else is in there is not kept. */
export const FcmCredentials = z.object({
  project_id: z.string().regex(/^[a-z0-9.:-]{1,64}$/),
  client_email: z.string().min(1).max(256),
  private_key: z.string().min(1).max(8_192),
  token_uri: z
    .url({ protocol: /^https$/ })
    .max(512)
    .default('https://oauth2.googleapis.com/token'),
})
export type FcmCredentials = z.infer<typeof FcmCredentials>

/** Why the credentials can never be used, whatever Google says of them. */
export const fcmDefect = async ({ private_key }: FcmCredentials): Promise<string | undefined> => {
  try {
    await importPKCS8(private_key, 'RS256')
    return undefined
  } catch {
    return 'the private key cannot be used'
  }
}

export const FCM_URL = 'https://fcm.googleapis.com'

const MAX_DATA_BYTES = 4_096
const SCOPE = 'https://www.googleapis.com/auth/firebase.messaging'
const ASSERTION_LIFE_S = 3_600
const RENEW_BEFORE_MS = MINUTE_MS
/** What Google asks for where it names no time. */
const QUOTA_PAUSE_MS = MINUTE_MS

const Granted = z.object({ access_token: z.string().min(1).max(8_192), expires_in: z.number().positive() })
const Sent = z.object({ name: z.string() })
const Detail = z.looseObject({
  errorCode: z.string().optional(),
  fieldViolations: z.array(z.looseObject({ field: z.string().optional() })).optional(),
  violations: z.array(z.looseObject({ description: z.string().optional() })).optional(),
})
const Failed = z.object({
  error: z.looseObject({ status: z.string().optional(), details: z.array(Detail).optional() }),
})

const parsed = <T>(schema: z.ZodType<T>, text: string | undefined): T | undefined => {
  if (text === undefined) return undefined
  try {
    return schema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** All values of data are texts. */
const dataOf = (body: PushBody): Record<string, string> => {
  switch (body.form) {
    case 'message': {
      const { topic, tag, id, message } = body.message
      return { topic, tag: String(tag), ...(message === undefined ? { id } : { message }) }
    }
    case 'legacy':
      return {
        ...(body.topic !== undefined && { topic: body.topic }),
        flags: String(body.flags),
        ...(body.blob === undefined ? { id: body.id } : { blob: body.blob }),
      }
    case 'together':
      return { messages: JSON.stringify(body.messages), more: String(body.more) }
    case 'sealed':
      return { sealed: body.sealed }
  }
}

/** An access token, or why there is none. */
type Access = { token: string } | { outcome: SendOutcome }

const createAccess = (
  { clock, requests }: FcmDeps,
  { client_email, private_key, token_uri }: FcmCredentials,
) => {
  let granted: { token: string; until: number } | undefined
  let asking: Promise<Access> | undefined

  const assertion = async (now: number): Promise<string> =>
    new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(client_email)
      .setAudience(token_uri)
      .setIssuedAt(Math.floor(now / 1000))
      .setExpirationTime(Math.floor(now / 1000) + ASSERTION_LIFE_S)
      .sign(await importPKCS8(private_key, 'RS256'))

  const ask = async (): Promise<Access> => {
    const now = clock.now()
    let signed: string
    try {
      signed = await assertion(now)
    } catch {
      return { outcome: { kind: 'refused', reason: 'the key cannot be used', of: 'credentials' } }
    }
    const grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
    try {
      const answer = await requests.post(token_uri, {
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ grant_type, assertion: signed }).toString(),
        milliseconds: SEND_TIMEOUT_MS,
        bytes: MAX_ANSWER_BYTES,
        // Others wait for it, too.
        signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
      })
      const { status, body, headers } = answer
      const said = status === 200 ? parsed(Granted, body) : undefined
      if (said) {
        granted = { token: said.access_token, until: now + said.expires_in * 1000 - RENEW_BEFORE_MS }
        return { token: said.access_token }
      }
      if (status === 400 || status === 401 || status === 403)
        return { outcome: { kind: 'refused', reason: `no access token: HTTP ${status}`, of: 'credentials' } }
      const afterMs = retryAfterMs(headers['retry-after'], now)
      return { outcome: later(`no access token: HTTP ${status}`, afterMs, true) }
    } catch {
      return { outcome: later('the token endpoint does not answer', undefined, true) }
    }
  }

  return {
    async get(): Promise<Access> {
      if (granted && granted.until > clock.now()) return { token: granted.token }
      asking ??= ask().finally(() => {
        asking = undefined
      })
      return asking
    },
    /** It was refused. */
    forget(token: string) {
      if (granted?.token === token) granted = undefined
    },
  }
}

interface FcmDeps {
  clock: Clock
  requests: ProviderRequests
  /** Where the API is. */
  url?: string | undefined
}

const failureIn = (body: string | undefined) => {
  const error = parsed(Failed, body)?.error
  const details = error?.details ?? []
  return { error, details, code: details.find(({ errorCode }) => errorCode !== undefined)?.errorCode }
}

/** Too many messages for one device, while the project may send to others. */
const isDeviceQuota = (details: readonly z.infer<typeof Detail>[]): boolean =>
  details.some(({ violations = [] }) =>
    violations.some(({ description = '' }) => /^device /i.test(description)),
  )

/** Of one device: a browser's or Apple's, to which this Firebase project has no way. */
const isWayMissing = ({ status, body }: ProviderAnswer): boolean =>
  status === 401 && failureIn(body).code === 'THIRD_PARTY_AUTH_ERROR'

const outcomeOf = (answer: ProviderAnswer, now: number): SendOutcome => {
  const { status, headers, body } = answer
  // Google has taken it: the name in the body is of no use to us.
  if (body === undefined)
    return status === 200 ? { kind: 'accepted' } : later(`HTTP ${status}, broken off`, undefined, true)
  if (status === 200)
    return parsed(Sent, body) ? { kind: 'accepted' } : later('an answer that is none', undefined, true)
  const { error, details, code } = failureIn(body)
  const reason = code ?? error?.status ?? `HTTP ${status}`
  const afterMs = retryAfterMs(headers['retry-after'], now)
  if (code === 'UNREGISTERED' || code === 'SENDER_ID_MISMATCH') return { kind: 'gone', reason }
  // A 404 without a word of FCM is not about the device.
  if (status === 404 && error?.status === 'NOT_FOUND') return { kind: 'gone', reason }
  if (status === 400) {
    const isToken = details.some(({ fieldViolations = [] }) =>
      fieldViolations.some(({ field }) => field === 'message.token'),
    )
    return isToken ? { kind: 'gone', reason } : { kind: 'refused', reason, of: 'message' }
  }
  if (isWayMissing(answer)) return { kind: 'refused', reason, of: 'message' }
  if (status === 401 || status === 403) return { kind: 'refused', reason, of: 'credentials' }
  if (status === 429) return later(reason, afterMs ?? QUOTA_PAUSE_MS, !isDeviceQuota(details))
  return later(reason, afterMs, true)
}

export const createFcm = (deps: FcmDeps, credentials: FcmCredentials): Provider => {
  const { clock, requests, url = FCM_URL } = deps
  const access = createAccess(deps, credentials)
  const sendTo = `${url}/v1/projects/${credentials.project_id}/messages:send`

  const bodyOf = (token: string, { body, expiresAt, isUrgent }: PushMessage): string => {
    const ttl = `${keptForSeconds(expiresAt, clock.now())}s`
    return JSON.stringify({
      message: {
        token,
        data: dataOf(body),
        android: { priority: isUrgent ? 'high' : 'normal', ttl },
        apns: { payload: { aps: { 'content-available': 1 } } },
      },
    })
  }

  return {
    maxBytes: MAX_DATA_BYTES,
    sizeOf: (body) => Buffer.byteLength(JSON.stringify(dataOf(body))),
    async send({ address }, message, signal) {
      if (address.provider !== 'fcm') return { kind: 'refused', reason: 'not a device of FCM', of: 'message' }
      for (let attempt = 0; ; attempt++) {
        try {
          // The others that wait for it go on.
          const granted = await unlessAborted(access.get(), signal)
          if ('outcome' in granted) return granted.outcome
          const answer = await requests.post(sendTo, {
            headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${granted.token}` },
            body: bodyOf(address.token, message),
            milliseconds: SEND_TIMEOUT_MS,
            bytes: MAX_ANSWER_BYTES,
            signal,
          })
          // The token may have been taken back before its end.
          if (answer.status === 401 && attempt === 0 && !isWayMissing(answer)) {
            access.forget(granted.token)
            continue
          }
          return outcomeOf(answer, clock.now())
        } catch (error) {
          return later(error instanceof Error ? error.message : String(error), undefined, true)
        }
      }
    },
  }
}
