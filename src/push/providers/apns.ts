/**
 * Apple's push service: HTTP/2 to `/3/device/<token>`, one connection for each environment of a project's credentials. It is
 * told who we are by an ES256 token, made anew after 50 minutes (Apple takes tokens of 20 to 60 minutes), or by a client
 * certificate. The payload has at most 4,096 bytes.
 *
 * Source: "Sending notification requests to APNs", "Establishing a token-based connection to APNs".
 */
import { createSecureContext } from 'node:tls'
import { importPKCS8, SignJWT } from 'jose'
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { MINUTE_MS } from '../../platform/units.ts'
import type { Device } from '../store.ts'
import { type Answered, createConnection } from './apns-connection.ts'
import {
  later,
  type OwnedProvider,
  type PushBody,
  type PushMessage,
  retryAfterMs,
  type SendOutcome,
} from './provider.ts'

export const ApnsCredentials = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('token'),
    topic: z.string().min(1).max(256),
    /** PKCS #8, PEM. */
    key: z.string().min(1).max(8_192),
    keyId: z.string().min(1).max(32),
    teamId: z.string().min(1).max(32),
  }),
  z.object({
    kind: z.literal('certificate'),
    topic: z.string().min(1).max(256),
    /** PKCS #12, base64. */
    certificate: z.string().min(1).max(65_536),
    password: z.string().max(1_024),
  }),
])
export type ApnsCredentials = z.infer<typeof ApnsCredentials>

const tlsOf = ({ certificate, password }: ApnsCredentials & { kind: 'certificate' }) => ({
  pfx: Buffer.from(certificate, 'base64'),
  passphrase: password,
})

const certificateDefect = (credentials: ApnsCredentials & { kind: 'certificate' }): string | undefined => {
  try {
    createSecureContext(tlsOf(credentials))
    return undefined
  } catch (error) {
    return `the certificate cannot be opened: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** Why the credentials can never be used, whatever Apple says of them. */
export const apnsDefect = async (credentials: ApnsCredentials): Promise<string | undefined> => {
  if (credentials.kind === 'certificate') return certificateDefect(credentials)
  try {
    await importPKCS8(credentials.key, 'ES256')
    return undefined
  } catch {
    return 'the key cannot be used: a .p8 file is needed'
  }
}

export interface ApnsUrls {
  production: string
  sandbox: string
}
export const APNS_URLS: ApnsUrls = {
  production: 'https://api.push.apple.com',
  sandbox: 'https://api.sandbox.push.apple.com',
}

const MAX_PAYLOAD_BYTES = 4_096
const TOKEN_LIFE_MS = 50 * MINUTE_MS
/** Apple refuses tokens that are made more often. */
const MIN_TOKEN_AGE_MS = 20 * MINUTE_MS
/** What the published server shows until the app has opened the message. */
const TITLE = 'You have new notifications. Open to view'
const BODY = 'New notifications'

const failed = z.object({ reason: z.string().max(256) })

const GONE = ['BadDeviceToken', 'DeviceTokenNotForTopic', 'Unregistered', 'ExpiredToken']
const CREDENTIALS_REFUSED = [
  ...['BadCertificate', 'Forbidden', 'InvalidProviderToken', 'MissingProviderToken'],
  ...['BadTopic', 'MissingTopic', 'TopicDisallowed', 'UnrelatedKeyIdInToken'],
]
/** The credentials are of the other environment: whoever registers a device names its environment. */
const ENVIRONMENT_REFUSED = ['BadCertificateEnvironment', 'BadEnvironmentKeyInToken']

/** What the app gets beside `aps`. */
const customOf = (body: PushBody): Record<string, unknown> => {
  switch (body.form) {
    case 'message': {
      const { topic, tag, id, message } = body.message
      return message === undefined ? { topic, tag, id } : { topic, tag, message }
    }
    case 'legacy':
      return { topic: body.topic, ...(body.blob === undefined ? { id: body.id } : { blob: body.blob }) }
    case 'together':
      return { messages: body.messages, more: body.more }
    case 'sealed':
      return { sealed: body.sealed }
  }
}

/** A legacy message in clear is for a user who sees it as it is: base64 of such JSON. */
const Blob = z.object({
  title: z.string(),
  body: z.string(),
  image: z.string().optional(),
  url: z.string().optional(),
})
export const clearBlob = (body: PushBody): z.infer<typeof Blob> | undefined => {
  if (body.form !== 'legacy' || body.flags % 2 === 1 || body.blob === undefined) return undefined
  try {
    return Blob.parse(JSON.parse(Buffer.from(body.blob, 'base64').toString('utf8')))
  } catch {
    return undefined
  }
}

const payloadOf = (body: PushBody): Buffer => {
  const clear = clearBlob(body)
  if (clear) return Buffer.from(JSON.stringify({ aps: { alert: { title: clear.title, body: clear.body } } }))
  const aps = { alert: { title: TITLE, body: BODY }, 'content-available': 1, 'mutable-content': 1 }
  return Buffer.from(JSON.stringify({ aps, ...customOf(body) }))
}

/** Makes the token that says who we are; one for all requests of 50 minutes. */
const createTokens = (
  { clock }: { clock: Clock },
  { key, keyId, teamId }: ApnsCredentials & { kind: 'token' },
) => {
  let made: { token: Promise<string>; at: number } | undefined
  const make = async (now: number): Promise<string> =>
    new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: keyId })
      .setIssuer(teamId)
      .setIssuedAt(Math.floor(now / 1000))
      .sign(await importPKCS8(key, 'ES256'))
  return {
    token(): Promise<string> {
      const now = clock.now()
      if (!made || now - made.at >= TOKEN_LIFE_MS || now < made.at) made = { token: make(now), at: now }
      return made.token
    },
    /** Apple says that it expired. Returns whether there will be another one. */
    expired(): boolean {
      if (made && clock.now() - made.at < MIN_TOKEN_AGE_MS) return false
      made = undefined
      return true
    },
  }
}

const reasonOf = ({ body, status }: Answered): string => {
  try {
    return failed.parse(JSON.parse(body)).reason
  } catch {
    return `HTTP ${status}`
  }
}

export const createApns = (
  { clock, ca, urls = APNS_URLS }: { clock: Clock; ca?: string | undefined; urls?: ApnsUrls | undefined },
  credentials: ApnsCredentials,
): OwnedProvider => {
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(credentials.kind === 'certificate' && tlsOf(credentials)),
  }
  const defect = credentials.kind === 'certificate' ? certificateDefect(credentials) : undefined
  const connections = {
    production: createConnection(urls.production, tls),
    sandbox: createConnection(urls.sandbox, tls),
  }
  const tokens = credentials.kind === 'token' ? createTokens({ clock }, credentials) : undefined

  const headersOf = async (token: string, { expiresAt, isUrgent }: PushMessage) => ({
    ':method': 'POST',
    ':path': `/3/device/${token}`,
    'apns-topic': credentials.topic,
    'apns-push-type': 'alert',
    'apns-priority': isUrgent ? '10' : '5',
    'apns-expiration': String(Math.floor(expiresAt / 1000)),
    'content-type': 'application/json',
    ...(tokens && { authorization: `bearer ${await tokens.token()}` }),
  })

  const outcomeOf = (answered: Answered, isSandbox: boolean): SendOutcome => {
    const { status, retryAfter } = answered
    if (status === 200) return { kind: 'accepted' }
    const reason = reasonOf(answered)
    const afterMs = retryAfterMs(retryAfter, clock.now())
    if (status === 410 || GONE.includes(reason)) return { kind: 'gone', reason }
    if (reason === 'ExpiredProviderToken' && tokens?.expired()) return later(reason, 0, false)
    if (ENVIRONMENT_REFUSED.includes(reason)) return { kind: 'refused', reason, of: 'environment' }
    if (status === 403 || CREDENTIALS_REFUSED.includes(reason))
      return { kind: 'refused', reason, of: 'credentials' }
    if (status === 429) return later(reason, afterMs, reason === 'TooManyProviderTokenUpdates')
    if (status >= 500) return later(reason, afterMs, !isSandbox)
    if (status === 413 || status === 400) return { kind: 'refused', reason, of: 'message' }
    return later(reason, afterMs, !isSandbox)
  }

  return {
    maxBytes: MAX_PAYLOAD_BYTES,
    sizeOf: (body) => payloadOf(body).length,
    async send({ address }: Pick<Device, 'address'>, message, signal) {
      if (address.provider !== 'apns')
        return { kind: 'refused', reason: 'not a device of Apple', of: 'message' }
      if (defect !== undefined) return { kind: 'refused', reason: defect, of: 'credentials' }
      let headers: Record<string, string>
      try {
        headers = await headersOf(address.token, message)
      } catch {
        return { kind: 'refused', reason: 'the key cannot be used', of: 'credentials' }
      }
      const { isSandbox } = address
      try {
        const connection = isSandbox ? connections.sandbox : connections.production
        return outcomeOf(await connection.ask(headers, payloadOf(message.body), signal), isSandbox)
      } catch (error) {
        // The sandbox says nothing about the environment of all others.
        return later(error instanceof Error ? error.message : String(error), undefined, !isSandbox)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const connection of Object.values(connections)) connection[Symbol.dispose]()
    },
  }
}
