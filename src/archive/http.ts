/**
 * The HTTP way into the archive, as published clients know it (`@walletconnect/history`); browsers ask from any origin.
 *
 * | method, path | request | answer |
 * |---|---|---|
 * | POST /register | bearer: JWT of the relay client; `{tags: ["2000", …], relayUrl, owners?: {topic: did:key}}` | 200 · 401, 422 |
 * | GET /messages | `?topic=&originId=&messageCount=&direction=` | 200 `{topic, direction, nextId, messages}` · 404, 422, 429 |
 * | POST /compact | `{compactAuth}`: JWT of the owner, `act: archive_compact`, `sub` the topic, `bfr` the id of the first message that stays | 200 · 401, 404, 422 |
 *
 * A page begins with `originId`; `nextId` begins the next one and is null at the end. Forward is oldest first, backward
 * newest first. A page has at most 1 MiB and may be shorter than asked for where messages are long; only `nextId` says whether there is more.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { httpErrors, jsonBody } from '../platform/net/http.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { checked } from '../platform/validate.ts'
import { toHex, utf8 } from '../protocol/bytes.ts'
import { verifyClientToken } from '../protocol/client-token.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import {
  ARCHIVE_LIMITS,
  COMPACT_ACT,
  CompactBody,
  CompactClaims,
  type MessagesAnswer,
  MessagesQuery,
  RegisterBody,
} from './schema.ts'
import type { Archive, ArchiveQuery } from './service.ts'
import type { ArchivePage } from './store.ts'

const MAX_BODY_BYTES = 16 * 1024

/** What is around the messages of a page has less than this. */
const FRAME_BYTES = 512

/** A `MessagesAnswer` as JSON. A page that would be too long ends earlier, but not before its first message. */
const pageText = ({ topic, direction }: ArchiveQuery, { messages, next }: ArchivePage): string => {
  const shown: string[] = []
  let nextId = next ?? null
  let bytes = FRAME_BYTES
  for (const { message, id, at } of messages) {
    const one: MessagesAnswer['messages'][number] = { message, message_id: id, timestamp: at }
    const text = JSON.stringify(one)
    bytes += utf8(text).length + 1
    if (shown.length > 0 && bytes > ARCHIVE_LIMITS.pageBytes) {
      nextId = id
      break
    }
    shown.push(text)
  }
  const head: Omit<MessagesAnswer, 'messages'> = { topic, direction, nextId }
  return `${JSON.stringify(head).slice(0, -1)},"messages":[${shown.join(',')}]}`
}

const DONE = { status: 'SUCCESS', errors: null, fields: null }

/** A page of a MiB, which is read and written as JSON. It is more than a signature, so that pages of one address take turns. */
const PAGE_WORK = 100
/** A token, and the keys of 32 owners; its rows are charged when they are written. */
const REGISTER_WORK = WORK_COST.token + 10
/** A token, and the walk over what an owner wrote, which it has paid for when it wrote it. */
const COMPACT_WORK = WORK_COST.token + 50

export const archiveRoutes = (deps: {
  archive: Archive
  payerFor: (c: Context) => Payer
  clock: Clock
  log: Log
  /** Whether a token made out to this URL is meant for us. */
  isAudience: (url: unknown) => boolean
}): Hono => {
  const { archive, payerFor, clock, log, isAudience } = deps

  const claimsOf = (token: string, act?: string) => {
    const claims = verifyClientToken(token, { now: clock.now(), ...(act !== undefined && { act }) })
    if (!isAudience(claims.aud)) throw new ProtocolError('jwt_wrong_audience')
    return claims
  }

  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of ['/register', '/messages', '/compact'])
    app.use(path, cors({ origin: '*', allowMethods: ['GET', 'POST'], maxAge: 86_400 }))

  const charged =
    (cost: number): MiddlewareHandler =>
    async (c, next) => {
      await payerFor(c).work(cost)
      await next()
    }

  app.post('/register', charged(REGISTER_WORK), jsonBody(RegisterBody, MAX_BODY_BYTES), async (c) => {
    const token = /^Bearer\s+(\S+)\s*$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (token === undefined) throw new ProtocolError('unauthenticated')
    await archive.register(claimsOf(token).iss, c.req.valid('json'), payerFor(c))
    return c.json(DONE)
  })

  app.get('/messages', async (c) => {
    const query = checked(MessagesQuery, c.req.query())
    await payerFor(c).work(PAGE_WORK)
    const text = pageText(query, await archive.messages(query))
    return c.body(text, 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  })

  app.post('/compact', charged(COMPACT_WORK), jsonBody(CompactBody, MAX_BODY_BYTES), async (c) => {
    const claims = claimsOf(c.req.valid('json').compactAuth, COMPACT_ACT)
    const { sub: topic, bfr: before } = checked(CompactClaims, claims)
    await archive.compact(toHex(ed25519FromDid(claims.iss)), topic, before)
    return c.json(DONE)
  })

  return app
}
