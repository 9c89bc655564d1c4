/**
 * The HTTP way into the archive, as published clients know it (`@walletconnect/history`); browsers ask from any origin.
 *
 * | method, path | request | answer |
 * |---|---|---|
 * | POST /register | bearer: JWT of the relay client; `{tags: ["2000", …], relayUrl, owners?: {topic: did:key}}` | 200 · 401, 422 |
 * | GET /messages | `?topic=&originId=&messageCount=&direction=` | 200 `{topic, direction, nextId, messages}` · 404, 422 |
 * | POST /compact | `{compactAuth}`: JWT of the owner, `act: archive_compact`, `sub` the topic, `bfr` the id of the first message that stays | 200 · 401, 404, 422 |
 *
 * A page begins with `originId`; `nextId` begins the next one and is null at the end. Forward is oldest first, backward
 * newest first. A page may be shorter than asked for where messages are long; only `nextId` says whether there is more.
 */
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { Clock } from '../platform/clock.ts'
import { checked, httpErrors, jsonBody } from '../platform/http.ts'
import type { Log } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import { verifyClientToken } from '../protocol/client-token.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import {
  COMPACT_ACT,
  CompactBody,
  CompactClaims,
  type MessagesAnswer,
  MessagesQuery,
  RegisterBody,
} from './schema.ts'
import type { Archive } from './service.ts'

const BODY_LIMIT = 16 * 1024

const DONE = { status: 'SUCCESS', errors: null, fields: null }

export const archiveRoutes = (deps: {
  archive: Archive
  clock: Clock
  log: Log
  /** Whether a token made out to this URL is meant for us. */
  isAudience: (url: unknown) => boolean
}): Hono => {
  const { archive, clock, log, isAudience } = deps

  const claimsOf = (token: string, act?: string) => {
    const claims = verifyClientToken(token, { now: clock.now(), ...(act !== undefined && { act }) })
    if (!isAudience(claims.aud)) throw new ProtocolError('jwt_wrong_audience')
    return claims
  }

  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of ['/register', '/messages', '/compact'])
    app.use(path, cors({ origin: '*', allowMethods: ['GET', 'POST'], maxAge: 86_400 }))

  app.post('/register', jsonBody(RegisterBody, BODY_LIMIT), async (c) => {
    const token = /^Bearer\s+(\S+)\s*$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (token === undefined) throw new ProtocolError('unauthenticated')
    await archive.register(claimsOf(token).iss, c.req.valid('json'))
    return c.json(DONE)
  })

  app.get('/messages', async (c) => {
    const query = checked(MessagesQuery, c.req.query())
    const { messages, next } = await archive.messages(query)
    const answer: MessagesAnswer = {
      topic: query.topic,
      direction: query.direction,
      nextId: next ?? null,
      messages: messages.map(({ message, id, at }) => ({ message, message_id: id, timestamp: at })),
    }
    c.header('Cache-Control', 'no-store')
    return c.json(answer)
  })

  app.post('/compact', jsonBody(CompactBody, BODY_LIMIT), async (c) => {
    const claims = claimsOf(c.req.valid('json').compactAuth, COMPACT_ACT)
    const { sub: topic, bfr: before } = checked(CompactClaims, claims)
    await archive.compact(toHex(ed25519FromDid(claims.iss)), topic, before)
    return c.json(DONE)
  })

  return app
}
