/**
 * Verifies a call of a webhook, as https://www.standardwebhooks.com has it: HMAC-SHA256 over `id.timestamp.body`. By WebCrypto,
 * which Node and every edge runtime have and which compares in constant time.
 */
import * as z from '#schema'
import { fromBase64, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'

const SECRET_PREFIX = 'whsec_'
const DEFAULT_TOLERANCE_SECONDS = 300
/** During a rotation there are two. */
const MAX_SIGNATURES = 8

const about = { account: z.string(), app_domain: z.string() }
const notifications = { notification_ids: z.array(z.string()), message_ids: z.array(z.string()) }
const scoped = z.looseObject({ ...about, scope: z.array(z.string()) })
const pushed = z.looseObject({
  ...about,
  ...notifications,
  provider: z.string(),
  reason: z.string().optional(),
})
const read = z.looseObject({
  ...about,
  notification_ids: z.array(z.string()).optional(),
  message_ids: z.array(z.string()).optional(),
  all: z.literal(true).optional(),
  by: z.enum(['wallet', 'project']),
})

/** With the proof, which `verifyAnswer` of `belfry/answers` looks at. */
const answered = z.looseObject({
  ...{ ...about, ...notifications, action: z.string() },
  ...{ jwt: z.string(), cacao: z.unknown(), subscription_id: z.string() },
})

const event = <T extends string, D extends z.ZodType>(type: T, data: D) =>
  z.object({ type: z.literal(type), timestamp: z.iso.datetime().transform((text) => new Date(text)), data })

export const Event = z.discriminatedUnion('type', [
  event('challenge', z.looseObject({})),
  event('subscribed', scoped),
  event('updated', scoped),
  event('unsubscribed', z.looseObject({ ...about, reason: z.enum(['deleted', 'expired', 'erased']) })),
  event('delivered', z.looseObject({ ...about, ...notifications })),
  event('read', read),
  event('answered', answered),
  event('pushed', pushed),
  event('refused', pushed),
])

/** What happened. A `challenge` asks whether events are wanted: a 2xx agrees. */
export type WebhookEvent = z.output<typeof Event>

export interface WebhookCall {
  /** Of the event: the same for every attempt, so one that was had before is dropped by it. */
  id: string
  event: WebhookEvent
}

export interface VerifyWebhookOptions {
  /** How old a call may be, or how far ahead, s. Default 300. */
  toleranceSeconds?: number
  /** Unix ms. Default: now. */
  now?: number
}

/** Node's `headers`, or those of a `Request`. */
type HeadersOf = Headers | Readonly<Record<string, string | readonly string[] | undefined>>

const headerOf = (headers: HeadersOf, name: string): string => {
  const value = headers instanceof Headers ? headers.get(name) : headers[name]
  if (typeof value !== 'string' || value === '')
    throw new ProtocolError('unauthenticated', `no header ${name}`)
  return value
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const keyOf = async (secret: string): Promise<CryptoKey> => {
  const bytes = fromBase64(secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret)
  const usable = new Uint8Array(bytes)
  return crypto.subtle.importKey('raw', usable, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
}

/** Whether one of the signatures of a call (`v1,<base64>`) is of this secret. */
const isSignedWith = async (
  secret: string,
  signatures: readonly string[],
  signed: string,
): Promise<boolean> => {
  const key = await keyOf(secret)
  const text = new Uint8Array(utf8(signed))
  for (const one of signatures) {
    const bytes = new Uint8Array(fromBase64(one))
    if (await crypto.subtle.verify('HMAC', key, bytes, text)) return true
  }
  return false
}

/** Those of the form that is known; others may come one day. */
const signaturesIn = (header: string): string[] =>
  header
    .split(' ')
    .slice(0, MAX_SIGNATURES)
    .flatMap((one) => /^v1,([A-Za-z0-9+/]{43}=)$/.exec(one)?.[1] ?? [])

/**
 * Verifies a call of a webhook, and returns what it tells.
 *
 * @param body the body as it came, before any parsing: a changed space is another text.
 * @param headers those of the call.
 * @param secret the webhook's, as it was shown when it was registered; during a rotation both.
 * @param options how old a call may be.
 * @returns the event, typed by `event.type`, and its id.
 * @throws {ProtocolError} `unauthenticated`: it was not signed with the secret, or too long ago; `bad_params`: it is no event
 * that this version knows.
 * @example
 * app.post('/hooks', express.text({ type: '*\/*' }), async (request, response) => {
 *   const { id, event } = await verifyWebhook(request.body, request.headers, process.env.WEBHOOK_SECRET)
 *   if (event.type === 'read') await markRead(id, event.data.account)
 *   response.sendStatus(204)
 * })
 */
export const verifyWebhook = async (
  body: string,
  headers: HeadersOf,
  secret: string | readonly string[],
  options: VerifyWebhookOptions = {},
): Promise<WebhookCall> => {
  const { toleranceSeconds = DEFAULT_TOLERANCE_SECONDS, now = Date.now() } = options
  const [id, timestamp, signatures] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) =>
    headerOf(headers, name),
  )
  if (
    !/^\d{1,12}$/.test(timestamp ?? '') ||
    Math.abs(Number(timestamp) * 1000 - now) > toleranceSeconds * 1000
  )
    throw new ProtocolError('unauthenticated', 'the call is too old')
  const given = signaturesIn(signatures ?? '')
  const secrets = typeof secret === 'string' ? [secret] : secret
  const checks = secrets.map((one) => isSignedWith(one, given, `${id}.${timestamp}.${body}`))
  if (!(await Promise.all(checks)).includes(true))
    throw new ProtocolError('unauthenticated', 'the signature is not one of this webhook')
  const parsed = Event.safeParse(jsonOf(body))
  if (!parsed.success) throw new ProtocolError('bad_params', 'it is no event that is known here')
  return { id: id ?? '', event: parsed.data }
}
