/**
 * The HTTP way into the message queues, as published (MQ Hub, RFC-130); agents in browsers ask from any origin.
 *
 * | method, path                                                | answer                                              |
 * |-------------------------------------------------------------|-----------------------------------------------------|
 * | GET    /bdns                                                | 200 `{domain: {mqEndpoints: [url]}}`                |
 * | GET    /mq/:domain/:hashDID/token                           | 200 `{token, expires}`, header `connection-timeout` |
 * | PUT    /mq/:domain/put/:hashDID                             | 200 `{messageId}` · 500 full                        |
 * | GET    /mq/:domain/get/:hashDID/:signature                  | 200 `{messageId, message, sender?, messageSigned?}` · 204 none came |
 * | GET    /mq/:domain/take/:hashDID[/:messageID]/:signature    | the same · 500 no such message                      |
 * | DELETE /mq/:domain/delete/:hashDID/:messageID/:signature    | 200, also when it is not there                      |
 *
 * The token comes in `x-mq-authorization` or `authorization`, with or without `Bearer`. A put whose sender wants to be
 * known has `x-mq-sender` (its DID) and a signature of the same two kinds as a reader's: `x-mq-message-signature` over the
 * token of this put and the hash of the message, or `x-mq-signature` over the token alone. The reader is told which one
 * (`messageSigned`): whoever sees the latter can put another message with it. A message id is one segment of ours; two, and percent signs, are understood because others had such ids.
 *
 * HEAD is answered where GET is, except for take: a HEAD changes nothing.
 *
 * Statuses are those of the document, which knows fewer than we do: 403 whoever may not, 405 a domain that is not on,
 * 500 whatever failed, an unavailable store included; beside them 400 and 429. A failure is `{error, code, id?}`.
 * Signatures and tokens are in paths and headers: neither is ever logged, nor what they are in.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { asProtocolError, type Failure, readBody, setRetryHeaders } from '../../platform/net/http.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { fromUtf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { type MessageAnswer, SenderDid, Wrapped } from '../schema.ts'
import type { Caller, Credentials, MqHub, SenderProof } from '../service.ts'
import type { MqMessage, QueueName } from '../store.ts'

const ALLOWED_HEADERS = [
  'authorization',
  'content-type',
  'x-mq-authorization',
  'x-mq-sender',
  'x-mq-signature',
  'x-mq-message-signature',
]
const EXPOSED_HEADERS = ['connection-timeout', 'retry-after']

type Params = Record<string, string | undefined>

const queueOf = ({ domain = '', hashDID = '' }: Params): QueueName => ({ domain, hashDID })

const tokenOf = (c: Context): string | undefined =>
  (c.req.header('x-mq-authorization') ?? c.req.header('authorization'))?.replace(/^Bearer +/i, '').trim()

/** In JSON a character takes at most six bytes; the rest is for what stands around it. */
const maxBodyBytes = (messageBytes: number): number => 6 * messageBytes + 1_024

/** Of both proofs the stronger one counts. */
const senderOf = (c: Context): SenderProof | undefined => {
  const named = c.req.header('x-mq-sender')
  const ofMessage = c.req.header('x-mq-message-signature')
  const signature = ofMessage ?? c.req.header('x-mq-signature')
  if (named === undefined && signature === undefined) return undefined
  if (named === undefined || signature === undefined) {
    throw new ProtocolError('forbidden', 'x-mq-sender and its signature belong together')
  }
  return { did: checked(SenderDid, named), signature, coversMessage: ofMessage !== undefined }
}

const messageOf = (body: string): string => {
  if (!body.trimStart().startsWith('{')) return body
  try {
    const wrapped = Wrapped.safeParse(JSON.parse(body))
    return wrapped.success ? wrapped.data.message : body
  } catch {
    return body
  }
}

const shown = ({ id, message, sender, messageSigned }: MqMessage): MessageAnswer => ({
  messageId: id,
  message,
  ...(sender !== undefined && { sender }),
  ...(messageSigned && { messageSigned }),
})

/** The published sentences where there are some. */
const sentenceOf = (error: ProtocolError): string => {
  if (error.code === 'too_large') return 'Message size exceeds domain specific limit.'
  if (error.code === 'quota_reached') return 'Queue size exceeded!'
  if (error.code === 'not_found') return 'message not found'
  if (error.code === 'method_not_allowed') return 'The domain has no message queues'
  return error.message
}

const statusOf = ({ code, http }: ProtocolError) => {
  if (code === 'too_large') return 403
  if (code === 'quota_reached' || code === 'not_found' || http >= 500) return 500
  return http === 422 ? 400 : http
}

export interface MqRoutesDeps {
  hub: MqHub
  callerOf: (c: Context) => Caller
  log: Log
  meter: Meter
  newId?: () => string
}

/** Answers a failure as published. Neither the path nor a header of the request is logged: both hold secrets. */
const createFailure =
  ({ log, meter, newId }: { log: Log; meter: Meter; newId: () => string }) =>
  (thrown: unknown, c: Context): Response => {
    const known = asProtocolError(thrown)
    const { method } = c.req
    const isOurs = !known || known.code === 'internal'
    const id = isOurs ? newId() : undefined
    if (known?.code === 'unavailable') log.warn({ err: known, method }, 'A queue could not be served now')
    if (isOurs) log.error({ err: thrown, id, method }, 'A request to a queue failed unexpectedly')
    const error = known ?? new ProtocolError('internal')
    meter.count('mq_refused_total', { reason: error.code })
    const answer: Failure = {
      error: sentenceOf(error),
      code: error.code,
      ...(error.field !== undefined && { field: error.field }),
      ...(id !== undefined && { id }),
    }
    setRetryHeaders(c, error)
    c.header('Cache-Control', 'no-store')
    // Of a domain that is not on there is nothing that any method does.
    if (error.http === 405) c.header('Allow', '')
    return c.json(answer, statusOf(error))
  }

/** Two segments are one id: others had such ids. */
const idOf = ({ id, rest }: Params): string | undefined =>
  id !== undefined && rest !== undefined ? `${id}/${rest}` : id

const found = (c: Context, message: MqMessage | undefined): Response =>
  message ? c.json(shown(message)) : c.body(null, 204)

export const mqRoutes = (deps: MqRoutesDeps, { url }: { url: string }): Hono => {
  const { hub, callerOf, log, meter, newId = () => globalThis.crypto.randomUUID() } = deps

  const app = new Hono()
  app.onError(createFailure({ log, meter, newId }))
  for (const path of ['/mq/*', '/bdns']) {
    app.use(
      path,
      cors({
        origin: '*',
        allowMethods: ['GET', 'PUT', 'DELETE'],
        allowHeaders: ALLOWED_HEADERS,
        exposeHeaders: EXPOSED_HEADERS,
        maxAge: 86_400,
      }),
    )
  }
  app.use('/mq/*', async (c, next) => {
    c.header('Cache-Control', 'no-store')
    await next()
  })

  app.get('/bdns', (c) =>
    c.json(Object.fromEntries(hub.domains.map((domain) => [domain, { mqEndpoints: [url] }]))),
  )

  app.get('/mq/:domain/:hashDID/token', async (c) => {
    const queue = queueOf(c.req.param())
    const answer = await hub.token(queue, callerOf(c))
    c.header('connection-timeout', String(hub.domain(queue.domain).connectionTimeout))
    return c.json(answer)
  })

  app.put('/mq/:domain/put/:hashDID', async (c) => {
    const queue = queueOf(c.req.param())
    const token = tokenOf(c)
    await hub.admit(queue, token)
    const body = await readBody(c.req.raw, maxBodyBytes(hub.domain(queue.domain).messageBytes))
    const sender = senderOf(c)
    const message = messageOf(fromUtf8(body))
    const { id } = await hub.put(queue, { token, message, sender, caller: callerOf(c) })
    return c.json({ messageId: id })
  })

  const credentials = (c: Context): Credentials => ({
    ...{ token: tokenOf(c), signature: c.req.param('signature') ?? '', caller: callerOf(c) },
  })
  app.get('/mq/:domain/get/:hashDID/:signature', async (c) =>
    found(c, await hub.peek(queueOf(c.req.param()), credentials(c), c.req.raw.signal)),
  )
  const take = async (c: Context): Promise<Response> => {
    // The route of GET answers a HEAD, too: the message would be taken and shown to nobody.
    if (c.req.method === 'HEAD') return c.body(null, 405, { Allow: 'GET' })
    const params: Params = c.req.param()
    return found(c, await hub.take(queueOf(params), credentials(c), c.req.raw.signal, idOf(params)))
  }
  app.get('/mq/:domain/take/:hashDID/:signature', take)
  app.get('/mq/:domain/take/:hashDID/:id/:signature', take)
  app.get('/mq/:domain/take/:hashDID/:id/:rest/:signature', take)
  const remove = async (c: Context): Promise<Response> => {
    const params: Params = c.req.param()
    await hub.remove(queueOf(params), credentials(c), idOf(params) ?? '')
    return c.json({})
  }
  app.delete('/mq/:domain/delete/:hashDID/:id/:signature', remove)
  app.delete('/mq/:domain/delete/:hashDID/:id/:rest/:signature', remove)

  return app
}
