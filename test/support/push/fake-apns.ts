/**
 * Apple's push service on this machine: HTTP/2 over TLS. It checks what Apple checks: method, path, ES256 token with `kid`, team
 * and age, or a client certificate; topic, push type, priority, expiration; JSON of at most 4,096 bytes.
 */
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import {
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { TLSSocket } from 'node:tls'
import { exportPKCS8, exportSPKI, generateKeyPair, jwtVerify } from 'jose'
import { type Behaving, type Behaviour, behaving } from './behaviour.ts'
import { localCa, localTls } from './local-tls.ts'

export interface ApnsPush {
  token: string
  headers: IncomingHttpHeaders
  payload: Record<string, unknown>
  bytes: number
}

export interface FakeApns extends Behaving, AsyncDisposable {
  readonly url: string
  /** Those that were accepted. */
  readonly pushes: ApnsPush[]
  readonly requests: () => number
  /** Tokens of providers that were seen, by their text. */
  readonly providerTokens: Set<string>
  readonly sessions: () => number
  /** What the operator enters. */
  readonly credentials: { kind: 'token'; topic: string; key: string; keyId: string; teamId: string }
  /** Ends all connections, as Apple does before it restarts a host. */
  goAway(): void
}

const TOPIC = 'org.example.wallet'
const KEY_ID = 'ABC123DEFG'
const TEAM_ID = 'DEF123GHIJ'
const MAX_PAYLOAD_BYTES = 4_096
const MAX_TOKEN_AGE_S = 3_600
const MAX_STREAMS = 1_000

export const startFakeApns = async ({ now = Date.now }: { now?: () => number } = {}): Promise<FakeApns> => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const verifying = createPublicKey(await exportSPKI(publicKey))
  const behaviour = behaving()
  const pushes: ApnsPush[] = []
  const providerTokens = new Set<string>()
  const sessions = new Set<Http2Session>()
  const known = new WeakSet<Http2Session>()
  let sessionCount = 0
  let requests = 0

  const refusalOfToken = async (authorization: string | undefined): Promise<string | undefined> => {
    const token = /^bearer (.+)$/.exec(authorization ?? '')?.[1]
    if (token === undefined) return 'MissingProviderToken'
    providerTokens.add(token)
    try {
      const { payload, protectedHeader } = await jwtVerify(token, verifying, {
        algorithms: ['ES256'],
        currentDate: new Date(now()),
      })
      if (protectedHeader.kid !== KEY_ID || payload.iss !== TEAM_ID) return 'InvalidProviderToken'
      const age = now() / 1000 - (payload.iat ?? 0)
      return age > MAX_TOKEN_AGE_S || age < -60 ? 'ExpiredProviderToken' : undefined
    } catch {
      return 'InvalidProviderToken'
    }
  }

  const refusalOf = async (
    headers: IncomingHttpHeaders,
    payload: string,
    hasCertificate: boolean,
  ): Promise<[number, string] | undefined> => {
    if (headers[':method'] !== 'POST') return [405, 'MethodNotAllowed']
    if (!/^\/3\/device\/[0-9a-zA-Z:_-]+$/.test(headers[':path'] ?? '')) return [404, 'BadPath']
    if (!hasCertificate) {
      const { authorization } = headers
      const reason = await refusalOfToken(authorization)
      if (reason !== undefined) return [403, reason]
    }
    if (headers['apns-topic'] !== TOPIC) return [400, 'TopicDisallowed']
    if (headers['apns-push-type'] !== 'alert') return [400, 'InvalidPushType']
    if (headers['apns-priority'] !== '10' && headers['apns-priority'] !== '5') return [400, 'BadPriority']
    if (!/^\d+$/.test(String(headers['apns-expiration']))) return [400, 'BadExpirationDate']
    if (Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES) return [413, 'PayloadTooLarge']
    if (payload === '') return [400, 'PayloadEmpty']
    return undefined
  }

  const answer = (stream: ServerHttp2Stream, status: number, reason?: string, retryAfter?: number) => {
    if (stream.destroyed) return
    stream.respond({
      ':status': status,
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    })
    stream.end(reason === undefined ? '' : JSON.stringify({ reason, timestamp: now() }))
  }

  const misbehave = (stream: ServerHttp2Stream, how: Exclude<Behaviour, 'ok'>) => {
    if (how === 'hang') return
    if (how === 'garbage') {
      stream.respond({ ':status': 502 })
      stream.end('<html>bad gateway')
    } else if (how === 'die') {
      stream.respond({ ':status': 500 })
      stream.write(' ')
      stream.session?.destroy()
    } else if ('body' in how) {
      stream.respond({ ':status': how.status })
      const isBroken = how.body === 'broken'
      stream.write(' ', () => isBroken && stream.destroy(new Error('broken off')))
    } else answer(stream, how.status, how.reason ?? 'InternalServerError', how.retryAfter)
  }

  const server = createSecureServer({
    ...localTls,
    ca: localCa,
    requestCert: true,
    settings: { maxConcurrentStreams: 1 },
    rejectUnauthorized: false,
  })
  server.on('session', (session) => {
    sessionCount += 1
    sessions.add(session)
    session.on('error', () => {}).once('close', () => sessions.delete(session))
  })
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {})
    requests += 1
    let payload = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      payload += text
    })
    await once(stream, 'end').catch(() => {})
    const token = String(headers[':path']).split('/').at(-1) ?? ''
    const socket = stream.session?.socket
    const hasCertificate = socket instanceof TLSSocket && socket.authorized
    const refusal = await refusalOf(headers, payload, hasCertificate)
    // As Apple does: one request at a time until it knows who asks.
    if (!refusal && stream.session && !known.has(stream.session)) {
      known.add(stream.session)
      stream.session.settings({ maxConcurrentStreams: MAX_STREAMS })
    }
    if (refusal) return answer(stream, ...refusal)
    const how = behaviour.take(token)
    if (how !== 'ok') return misbehave(stream, how)
    pushes.push({ token, headers, payload: JSON.parse(payload), bytes: Buffer.byteLength(payload) })
    answer(stream, 200)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  return Object.assign(behaviour, {
    url: `https://localhost:${address.port}`,
    pushes,
    requests: () => requests,
    providerTokens,
    sessions: () => sessionCount,
    credentials: {
      kind: 'token' as const,
      topic: TOPIC,
      key: await exportPKCS8(privateKey),
      keyId: KEY_ID,
      teamId: TEAM_ID,
    },
    goAway() {
      for (const session of sessions) session.goaway()
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      server.close()
      await once(server, 'close')
    },
  })
}
