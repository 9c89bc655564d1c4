/**
 * Who asks as the operator: the command line with the admin token, or the console's page with the cookie of a session.
 *
 * A browser sends the cookie by itself, so with it a request must come from a page of this server: `Sec-Fetch-Site` and
 * `Origin` say so, which no page can forge, and what changes something is JSON, which no form can send. There is no CORS.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import { getCookie } from 'hono/cookie'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Sessions } from './sessions.ts'
import type { Session } from './store.ts'

export type Operator = { by: 'token' } | { by: 'session'; session: Session }
/** Variables of requests that were let in. */
export interface OperatorEnv {
  Variables: { operator: Operator }
}

/** The page says so of what it asks by itself, which does not keep a session open. */
const BACKGROUND_HEADER = 'x-background'
const READS = new Set(['GET', 'HEAD'])

export const sameText = (a: string, b: string): boolean => {
  const [one, other] = [Buffer.from(a), Buffer.from(b)]
  return one.length === other.length && timingSafeEqual(one, other)
}

const bearerOf = (header: string | undefined): string => /^Bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? ''

/** Whether a text is the admin token. */
export const tokenCheck =
  (token: string) =>
  (given: string): boolean =>
    token !== '' && sameText(given, token)

/** Whether a request carries the admin token. */
export const operatorCheck = (token: string) => {
  const isToken = tokenCheck(token)
  return ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
    headers.authorization !== undefined && isToken(bearerOf(headers.authorization))
}

/** Over https the prefix keeps the cookie to this host, whatever its neighbours set. */
export const cookieName = (publicUrl: string): string =>
  publicUrl.startsWith('https:') ? '__Host-belfry-console' : 'belfry-console'

/** Throws `forbidden` unless a page of this server asks. */
export type OwnPageCheck = (c: Context) => void

/** `urls`: how this server is reached. A proxy may name another host to it, so the host of the request counts beside them. */
export const createOwnPageCheck = (urls: readonly string[]): OwnPageCheck => {
  const origins = new Set(urls.map((url) => new URL(url).origin))
  const isOwn = (c: Context, origin: string): boolean =>
    origins.has(origin) || (URL.canParse(origin) && new URL(origin).host === c.req.header('host'))

  return (c) => {
    const refuse = () => new ProtocolError('forbidden', 'only a page of this server may ask')
    const site = c.req.header('sec-fetch-site')
    if (site !== undefined && site !== 'same-origin') throw refuse()
    const origin = c.req.header('origin')
    if (origin !== undefined && !isOwn(c, origin)) throw refuse()
    if (READS.has(c.req.method)) return
    if (site === undefined && origin === undefined) throw refuse()
    if (!/^application\/json\s*(?:;|$)/i.test(c.req.header('content-type') ?? ''))
      throw new ProtocolError('unsupported_media', 'with Content-Type: application/json')
  }
}

export interface OperatorAccess {
  /** Lets the operator in, as the variable `operator`; throws `unauthenticated` or `forbidden` for others. */
  demand: MiddlewareHandler<OperatorEnv>
  /** The session that the cookie of a request names. */
  sessionOf(c: Context): Promise<Session | undefined>
}

export const createOperatorAccess = (deps: {
  token: string
  /** Undefined where there is no console. */
  sessions: Pick<Sessions, 'find'> | undefined
  demandOwnPage: OwnPageCheck
  publicUrl: string
}): OperatorAccess => {
  const { sessions, demandOwnPage } = deps
  const isToken = tokenCheck(deps.token)
  const cookie = cookieName(deps.publicUrl)

  const sessionOf: OperatorAccess['sessionOf'] = async (c) => {
    const given = getCookie(c, cookie)
    if (given === undefined || !sessions) return undefined
    return sessions.find(given, c.req.header(BACKGROUND_HEADER) === undefined)
  }
  return {
    sessionOf,
    async demand(c, next) {
      c.header('Cache-Control', 'no-store')
      const authorization = c.req.header('authorization')
      if (authorization !== undefined) {
        if (!isToken(bearerOf(authorization))) throw new ProtocolError('unauthenticated', 'the admin token')
        c.set('operator', { by: 'token' })
      } else {
        const session = await sessionOf(c)
        if (!session) throw new ProtocolError('unauthenticated', 'the admin token')
        demandOwnPage(c)
        c.set('operator', { by: 'session', session })
      }
      await next()
    },
  }
}
