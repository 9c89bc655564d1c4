/**
 * FCM HTTP v1 on this machine, over TLS: the token endpoint, which checks the assertion (RS256, issuer, audience, scope, times),
 * and the send endpoint, which checks access token, project, and that data are texts of at most 4,096 bytes.
 */
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { exportPKCS8, exportSPKI, generateKeyPair, jwtVerify } from 'jose'
import * as z from 'zod'
import { answerHalf, type Behaving, type Behaviour, behaving } from './behaviour.ts'
import { localTls } from './local-tls.ts'

/** Four weeks at most. */
const isKept = (ttl: string) => Number.parseInt(ttl, 10) <= 2_419_200

const Sent = z.object({
  message: z.object({
    token: z.string(),
    data: z.record(z.string(), z.string()),
    android: z.object({
      priority: z.enum(['high', 'normal']),
      ttl: z
        .string()
        .regex(/^\d+s$/)
        .refine(isKept),
    }),
    apns: z.object({ payload: z.object({ aps: z.object({ 'content-available': z.literal(1) }) }) }),
  }),
})
export type FcmPush = z.infer<typeof Sent>['message']

export interface FakeFcm extends Behaving, AsyncDisposable {
  readonly url: string
  readonly pushes: FcmPush[]
  /** Access tokens that were given. */
  readonly granted: () => number
  /** What the token endpoint does next; then it grants. */
  readonly grants: (Behaviour | Promise<Behaviour>)[]
  /** Every access token ends now. */
  revoke(): void
  /** The service account. */
  readonly credentials: { project_id: string; client_email: string; private_key: string; token_uri: string }
  /** Called with each push that was accepted, before it is answered. */
  onPush: ((push: FcmPush) => void) | undefined
}

const PROJECT = 'wallet-project'
const EMAIL = 'push@wallet-project.iam.gserviceaccount.com'
const MAX_DATA_BYTES = 4_096
const TOKEN_LIFE_S = 3_599

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

const failure = (status: string, errorCode?: string, more: object[] = []) => ({
  error: {
    code: 0,
    message: 'of the fake',
    status,
    details:
      errorCode === undefined
        ? more
        : [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }, ...more],
  },
})

const answer = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
) => response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))

const misbehave = (response: ServerResponse, how: Exclude<Behaviour, 'ok'>): void => {
  if (how === 'hang') return
  if (how === 'garbage') response.writeHead(200).end('<html>')
  else if (how === 'die') answerHalf(response, { status: 500, body: 'broken' })
  else if ('body' in how) answerHalf(response, how)
  else {
    const headers = how.retryAfter === undefined ? undefined : { 'Retry-After': String(how.retryAfter) }
    answer(
      response,
      how.status,
      failure(how.status === 404 ? 'NOT_FOUND' : 'UNAVAILABLE', how.reason, how.details),
      headers,
    )
  }
}

export const startFakeFcm = async ({ now = Date.now }: { now?: () => number } = {}): Promise<FakeFcm> => {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const verifying = createPublicKey(await exportSPKI(publicKey))
  const behaviour = behaving()
  const grants: FakeFcm['grants'] = []
  const pushes: FcmPush[] = []
  const tokens = new Set<string>()
  let granted = 0

  const grant = async (request: IncomingMessage, response: ServerResponse) => {
    const form = new URLSearchParams(await bodyOf(request))
    try {
      const { payload } = await jwtVerify(form.get('assertion') ?? '', verifying, {
        algorithms: ['RS256'],
        issuer: EMAIL,
        audience: fake.credentials.token_uri,
        currentDate: new Date(now()),
      })
      if (payload.scope !== 'https://www.googleapis.com/auth/firebase.messaging') throw new Error('scope')
      if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('grant')
    } catch {
      return answer(response, 400, { error: 'invalid_grant' })
    }
    const how = await (grants.shift() ?? 'ok')
    if (how !== 'ok') return misbehave(response, how)
    granted += 1
    const token = `access-${granted}-${Math.random().toString(36).slice(2)}`
    tokens.add(token)
    answer(response, 200, { access_token: token, expires_in: TOKEN_LIFE_S, token_type: 'Bearer' })
  }

  const send = async (request: IncomingMessage, response: ServerResponse) => {
    const text = await bodyOf(request)
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    if (!tokens.has(token)) return answer(response, 401, failure('UNAUTHENTICATED'))
    if (request.url !== `/v1/projects/${PROJECT}/messages:send`)
      return answer(response, 403, failure('PERMISSION_DENIED'))
    const sent = Sent.safeParse(JSON.parse(text))
    if (!sent.success || Buffer.byteLength(JSON.stringify(sent.data.message.data)) > MAX_DATA_BYTES)
      return answer(response, 400, failure('INVALID_ARGUMENT', 'INVALID_ARGUMENT'))
    const { message } = sent.data
    const how = behaviour.take(message.token)
    if (how !== 'ok') return misbehave(response, how)
    pushes.push(message)
    fake.onPush?.(message)
    answer(response, 200, { name: `projects/${PROJECT}/messages/${pushes.length}` })
  }

  const server = createServer(localTls, (request, response) => {
    response.on('error', () => {})
    const route = request.url === '/token' ? grant : send
    route(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('no port')
  const url = `https://localhost:${address.port}`
  const fake: FakeFcm = Object.assign(behaviour, {
    url,
    pushes,
    granted: () => granted,
    grants,
    revoke: () => tokens.clear(),
    credentials: {
      project_id: PROJECT,
      client_email: EMAIL,
      private_key: await exportPKCS8(privateKey),
      token_uri: `${url}/token`,
    },
    onPush: undefined as FakeFcm['onPush'],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
  return fake
}
