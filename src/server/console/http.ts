/**
 * The console's way in. Every path answers pages of this server alone.
 *
 * | method, path                          | body                 | answer                                         |
 * |---------------------------------------|----------------------|------------------------------------------------|
 * | GET    /console/session               |                      | `{session, passkeys}`; `session` may be null   |
 * | POST   /console/session               | `{token}`            | the same, and the cookie                       |
 * | DELETE /console/session               |                      | 204: signed out                                |
 * | GET    /console/sessions              |                      | `{sessions}`                                   |
 * | DELETE /console/sessions/:id          |                      | 204: it has ended                              |
 * | GET    /console/passkeys              |                      | `{passkeys}`                                   |
 * | POST   /console/passkeys/begin        |                      | what the browser is asked to make              |
 * | POST   /console/passkeys              | `{name, answer}`     | `{id, name}`                                   |
 * | DELETE /console/passkeys/:id          |                      | 204                                            |
 * | POST   /console/passkeys/ask          |                      | what the browser is asked to prove             |
 * | POST   /console/passkeys/session      | `{answer}`           | as `POST /console/session`                     |
 */
import { type Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import * as z from 'zod'
import type { Payer } from '../../platform/budgets/payer.ts'
import type { RateLimits } from '../../platform/budgets/rate-limits.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { jsonBody } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Audit } from './audit.ts'
import type { CONSOLE_RATES } from './limits.ts'
import { cookieName, type OperatorAccess, type OperatorEnv, type OwnPageCheck } from './operator.ts'
import { CHALLENGE_LIFE_MS, PasskeyId, type Passkeys, Registered, SignedIn } from './passkeys.ts'
import { LONGEST_MS, type Sessions } from './sessions.ts'
import type { Session } from './store.ts'

export const WithToken = z.object({ token: z.string().min(1).max(512) })
export const NewPasskey = z.object({ name: z.string().trim().min(1).max(64), answer: Registered })
export const Proof = z.object({ answer: SignedIn })
/** What a challenge takes in the store. */
const CHALLENGE_BYTES = 256

const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString())

export interface ConsoleDeps {
  access: OperatorAccess
  sessions: Sessions
  passkeys: Passkeys
  audit: Audit
  isToken: (given: string) => boolean
  demandOwnPage: OwnPageCheck
  limits: Pick<RateLimits<keyof typeof CONSOLE_RATES>, 'take'>
  /** The address block that asks, and who pays for it. */
  addressOf: (c: Context) => string
  payerFor: (c: Context) => Payer
  log: Log
}

const shownSession = ({ id, method, passkey, address, createdAt, usedAt, expiresAt }: Session) => ({
  ...{ id, method, passkey, address },
  ...{ createdAt: iso(createdAt), usedAt: iso(usedAt), expiresAt: iso(expiresAt) },
})

const createSignIn = (
  { sessions, passkeys, audit, limits, addressOf, payerFor, log }: ConsoleDeps,
  publicUrl: string,
) => {
  const cookie = cookieName(publicUrl)
  const secure = publicUrl.startsWith('https:')
  const attributes = { httpOnly: true, sameSite: 'Strict', path: '/', secure } as const
  const passkeysHere = async () => ({
    unavailable: passkeys.unavailable ?? null,
    isRegistered: passkeys.unavailable === undefined && (await passkeys.list()).length > 0,
  })
  return {
    cookie,
    attributes,
    answer: async (session: Session | undefined) => ({
      session: session ? shownSession(session) : null,
      passkeys: await passkeysHere(),
    }),
    /** Charged before anything is compared or verified. */
    async charge(c: Context): Promise<void> {
      await limits.take('consoleSignIn', addressOf(c))
      await payerFor(c).work(WORK_COST.signature)
    },
    refused(c: Context, how: string): void {
      log.warn({ address: addressOf(c), how }, 'Somebody did not get into the console')
    },
    async open(c: Context, how: Pick<Session, 'method' | 'passkey'>): Promise<Session> {
      const { token, session } = await sessions.open({ ...how, address: addressOf(c) })
      setCookie(c, cookie, token, { ...attributes, maxAge: LONGEST_MS / 1000 })
      const operator = { by: 'session', session } as const
      await audit.record(c, { operator, action: `sign in with ${how.method}` })
      return session
    },
  }
}

const mountSessions = (
  app: Hono<OperatorEnv>,
  deps: ConsoleDeps,
  signIn: ReturnType<typeof createSignIn>,
) => {
  const { access, sessions, audit } = deps

  app.get('/console/session', async (c) => c.json(await signIn.answer(await access.sessionOf(c))))
  app.post('/console/session', jsonBody(WithToken), async (c) => {
    await signIn.charge(c)
    if (!deps.isToken(c.req.valid('json').token)) {
      signIn.refused(c, 'token')
      throw new ProtocolError('unauthenticated', 'this is not the admin token')
    }
    return c.json(await signIn.answer(await signIn.open(c, { method: 'token', passkey: '' })))
  })
  app.delete('/console/session', async (c) => {
    const session = await access.sessionOf(c)
    if (session) {
      await sessions.end(session.id)
      await audit.record(c, { operator: { by: 'session', session }, action: 'sign out' })
    }
    if (getCookie(c, signIn.cookie) !== undefined) deleteCookie(c, signIn.cookie, signIn.attributes)
    return c.body(null, 204)
  })

  app.get('/console/sessions', access.demand, async (c) =>
    c.json({ sessions: (await sessions.list()).map(shownSession) }),
  )
  app.delete('/console/sessions/:id', access.demand, audit.watch, async (c) => {
    if (!(await sessions.end(c.req.param('id')))) throw new ProtocolError('not_found', 'no such session')
    return c.body(null, 204)
  })
}

const mountPasskeys = (
  app: Hono<OperatorEnv>,
  deps: ConsoleDeps,
  signIn: ReturnType<typeof createSignIn>,
) => {
  const { access, passkeys, audit, payerFor } = deps
  /** A passkey is made in a session, so that its challenge belongs to one. */
  const sessionIdOf = (c: Context<OperatorEnv>): string => {
    const operator = c.get('operator')
    if (operator.by !== 'session') throw new ProtocolError('forbidden', 'sign in to the console first')
    return operator.session.id
  }

  app.get('/console/passkeys', access.demand, async (c) => {
    const all = await passkeys.list()
    const shown = all.map(({ id, name, createdAt, usedAt }) => ({
      ...{ id, name, createdAt: iso(createdAt), usedAt: iso(usedAt) },
    }))
    return c.json({ passkeys: shown, unavailable: passkeys.unavailable ?? null })
  })
  app.post('/console/passkeys/begin', access.demand, async (c) =>
    c.json(await passkeys.begin(sessionIdOf(c))),
  )
  app.post('/console/passkeys', access.demand, audit.watch, jsonBody(NewPasskey), async (c) => {
    const { name, answer } = c.req.valid('json')
    const added = await passkeys.register(answer, { name, session: sessionIdOf(c) })
    return c.json({ id: added.id, name: added.name })
  })
  app.delete('/console/passkeys/:id', access.demand, audit.watch, async (c) => {
    const id = PasskeyId.safeParse(c.req.param('id'))
    const isGone = id.success && (await passkeys.remove(id.data))
    if (!isGone) throw new ProtocolError('not_found', 'no such passkey')
    return c.body(null, 204)
  })
  app.post('/console/passkeys/ask', async (c) => {
    await signIn.charge(c)
    await payerFor(c).keep(CHALLENGE_BYTES, CHALLENGE_LIFE_MS)
    return c.json(await passkeys.ask())
  })
  app.post('/console/passkeys/session', jsonBody(Proof), async (c) => {
    await signIn.charge(c)
    const passkey = await passkeys.signIn(c.req.valid('json').answer).catch((error: unknown) => {
      signIn.refused(c, 'passkey')
      throw error
    })
    const session = await signIn.open(c, { method: 'passkey', passkey: passkey.name })
    return c.json(await signIn.answer(session))
  })
}

export const consoleRoutes = (deps: ConsoleDeps, { publicUrl }: { publicUrl: string }): Hono => {
  const app = new Hono<OperatorEnv>()
  const signIn = createSignIn(deps, publicUrl)
  app.use('/console/*', async (c, next) => {
    c.header('Cache-Control', 'no-store')
    // The page itself is opened from anywhere.
    if (c.req.path !== '/console') deps.demandOwnPage(c)
    await next()
  })
  mountSessions(app, deps, signIn)
  mountPasskeys(app, deps, signIn)
  return new Hono().route('/', app)
}
