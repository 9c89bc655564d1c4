/**
 * A push service (RFC 8030) on this machine, over TLS. It gives subscriptions, checks the VAPID token of each request (RFC 8292),
 * and opens what came with `http_ece`, which shares no code with ours.
 */
import { createECDH, createPublicKey, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import ece from 'http_ece'
import { jwtVerify } from 'jose'
import { answerHalf, type Behaving, type Behaviour, behaving } from './behaviour.ts'
import { localTls } from './local-tls.ts'

export interface Subscription {
  endpoint: string
  keys: { p256dh: string; auth: string }
}

export interface WebPushed {
  endpoint: string
  headers: IncomingMessage['headers']
  /** As it came. */
  body: Buffer
  /** Opened. */
  text: string
  /** The key that signed. */
  vapidKey: string
}

export interface FakePushService extends Behaving, AsyncDisposable {
  readonly url: string
  readonly pushes: WebPushed[]
  subscribe(): Subscription
  onPush: ((push: WebPushed) => void) | undefined
}

const MAX_BODY_BYTES = 4_096

const pointToKey = (point: Buffer) =>
  createPublicKey({
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: point.subarray(1, 33).toString('base64url'),
      y: point.subarray(33).toString('base64url'),
    },
    format: 'jwk',
  })

const bytesOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

const misbehave = (response: ServerResponse, how: Exclude<Behaviour, 'ok'>): void => {
  if (how === 'hang') return
  if (how === 'garbage') response.writeHead(500).end('\0\0')
  else if (how === 'die') answerHalf(response, { status: 500, body: 'broken' })
  else if ('body' in how) answerHalf(response, how)
  else {
    const headers = how.retryAfter === undefined ? {} : { 'Retry-After': String(how.retryAfter) }
    response.writeHead(how.status, headers).end()
  }
}

/** The key that signed the token for this service. Throws where the token is not good. */
const vapidKeyOf = async (authorization: string | undefined, origin: string): Promise<string> => {
  const [, token = '', key = ''] = /^vapid t=([^,]+), ?k=(.+)$/.exec(authorization ?? '') ?? []
  const { payload } = await jwtVerify(token, pointToKey(Buffer.from(key, 'base64url')), {
    algorithms: ['ES256'],
    audience: origin,
  })
  if (typeof payload.sub !== 'string' || !/^(mailto:|https:)/.test(payload.sub)) throw new Error('sub')
  if ((payload.exp ?? 0) - Date.now() / 1000 > 86_400) throw new Error('exp')
  return key
}

export const startFakePushService = async (): Promise<FakePushService> => {
  const behaviour = behaving()
  const pushes: WebPushed[] = []
  const subscriptions = new Map<string, { ecdh: ReturnType<typeof createECDH>; auth: Buffer }>()

  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await bytesOf(request)
    const endpoint = service.url + request.url
    const known = subscriptions.get(endpoint)
    if (!known) return void response.writeHead(404).end()
    let vapidKey: string
    try {
      vapidKey = await vapidKeyOf(request.headers.authorization, service.url)
    } catch {
      return void response.writeHead(403).end()
    }
    const { headers } = request
    if (headers['content-encoding'] !== 'aes128gcm' || !/^\d+$/.test(String(headers.ttl)))
      return void response.writeHead(400).end()
    // Google's takes four weeks at most.
    if (Number(headers.ttl) > 2_419_200) return void response.writeHead(400).end()
    if (body.length > MAX_BODY_BYTES) return void response.writeHead(413).end()
    const how = behaviour.take(endpoint)
    if (how !== 'ok') return misbehave(response, how)
    const opened = ece.decrypt(body, {
      version: 'aes128gcm',
      privateKey: known.ecdh,
      dh: '',
      authSecret: known.auth.toString('base64url'),
    })
    const push = { endpoint, headers, body, text: opened.toString('utf8'), vapidKey }
    pushes.push(push)
    service.onPush?.(push)
    response.writeHead(201, { Location: `${service.url}/message/${pushes.length}` }).end()
  }

  const server = createServer(localTls, (request, response) => {
    response.on('error', () => {})
    take(request, response).catch(() => response.writeHead(400).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  const service: FakePushService = Object.assign(behaviour, {
    url: `https://localhost:${address.port}`,
    pushes,
    onPush: undefined as FakePushService['onPush'],
    subscribe(): Subscription {
      const ecdh = createECDH('prime256v1')
      const auth = randomBytes(16)
      const endpoint = `${service.url}/push/${randomBytes(12).toString('base64url')}`
      subscriptions.set(endpoint, { ecdh, auth })
      return {
        endpoint,
        keys: { p256dh: ecdh.generateKeys('base64url'), auth: auth.toString('base64url') },
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
  return service
}
