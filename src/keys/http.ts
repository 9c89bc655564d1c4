/**
 * The HTTP way into the key registry, as published; wallets in browsers ask from any origin.
 *
 * | method, path                | body or query        | answer                                              |
 * |-----------------------------|----------------------|-----------------------------------------------------|
 * | POST   /identity            | `{cacao, idAuth?}`   | 200 · 400, 401, 403                                 |
 * | GET    /identity?publicKey= | `z6Mk…[&account=]`   | 200 `{cacao}` as it was registered · 404            |
 * | DELETE /identity            | `{idAuth}`           | 200, also for a key that is not here · 401, 403     |
 * | POST   /invite              | `{idAuth}`           | 200 · 401, 403, 404                                 |
 * | GET    /invite?account=     | CAIP-10              | 200 `{inviteKey}` · 404                             |
 * | DELETE /invite              | `{idAuth}`           | 200 · 401, 403, 404                                 |
 *
 * Several accounts may say that a key speaks for them. `account` (CAIP-10) asks for the CACAO of one; without it that
 * of the account that proved it comes (`idAuth`, a JWT `register_identity` by the key itself), else of the first one.
 *
 * Every answer is `{status, error, value}`. Parameters that make no sense are 400 here, not 422: published clients were
 * written against a server that knows only the former.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { HOUSE, type Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { asProtocolError, jsonBody, setRetryHeaders } from '../platform/net/http.ts'
import type { Log } from '../platform/telemetry.ts'
import { checked } from '../platform/validate.ts'
import { accountKey } from '../protocol/caip.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Answer, IdentityQuery, InviteQuery, RegisterIdentity, WithIdAuth } from './schema.ts'
import type { KeyRegistry } from './service.ts'

/** A CACAO has one or two KiB, and at most eight. */
const MAX_CACAO_BODY_BYTES = 12 * 1024
const MAX_TOKEN_BODY_BYTES = 12 * 1024

const success = (value: unknown = null): Answer => ({ status: 'SUCCESS', error: null, value })

/** The published sentence where there is one. */
const sentence = (error: ProtocolError, path: string): string => {
  if (error.code === 'identity_unknown') return 'Identity key not found'
  if (error.code === 'not_found' && path === '/invite') return 'Invite key not found'
  return error.message
}

/** Answers a failure in the registry's own shape, and logs what is unexpected with an id. */
const createFailure =
  ({ log, newId }: { log: Log; newId: () => string }) =>
  (thrown: unknown, c: Context): Response => {
    const known = asProtocolError(thrown)
    const id = known && (known.http < 500 || known.code === 'unavailable') ? undefined : newId()
    if (known?.code === 'unavailable') {
      log.warn(
        { err: known, method: c.req.method, path: c.req.path },
        'A key request could not be served now',
      )
    }
    if (id !== undefined) {
      log.error(
        { err: thrown, id, method: c.req.method, path: c.req.path },
        'A key request failed unexpectedly',
      )
    }
    const error = known ?? new ProtocolError('internal')
    const message = sentence(error, c.req.path)
    const answer: Answer = {
      status: 'FAILURE',
      error: { name: error.code, message: id === undefined ? message : `${message} (${id})` },
      value: null,
    }
    setRetryHeaders(c, error)
    return c.json(answer, error.http === 422 ? 400 : error.http)
  }

export const keysRoutes = (deps: {
  registry: KeyRegistry
  log: Log
  payerFor?: (c: Context) => Payer
  newId?: () => string
}): Hono => {
  const { payerFor = () => HOUSE } = deps
  const { registry, log, newId = () => globalThis.crypto.randomUUID() } = deps

  const app = new Hono()
  app.onError(createFailure({ log, newId }))
  for (const path of ['/identity', '/invite']) {
    app.use(
      path,
      cors({
        origin: '*',
        allowMethods: ['GET', 'POST', 'DELETE'],
        exposeHeaders: ['Retry-After'],
        maxAge: 86_400,
      }),
    )
  }

  app.post('/identity', jsonBody(RegisterIdentity, MAX_CACAO_BODY_BYTES), async (c) => {
    const { cacao, idAuth } = c.req.valid('json')
    await registry.register(cacao, payerFor(c), idAuth)
    return c.json(success())
  })
  app.get('/identity', async (c) => {
    const { publicKey, account } = checked(IdentityQuery, c.req.query())
    const text = await registry.identity(publicKey, account && accountKey(account))
    // A revoked key must not live on in somebody's cache.
    c.header('Cache-Control', 'no-store')
    c.header('Content-Type', 'application/json')
    // Spliced in as text, so that it is what was registered to the byte.
    return c.body(`{"status":"SUCCESS","error":null,"value":{"cacao":${text}}}`)
  })
  app.delete('/identity', jsonBody(WithIdAuth, MAX_TOKEN_BODY_BYTES), async (c) => {
    await payerFor(c).work(WORK_COST.token)
    await registry.unregister(c.req.valid('json').idAuth)
    return c.json(success())
  })

  app.post('/invite', jsonBody(WithIdAuth, MAX_TOKEN_BODY_BYTES), async (c) => {
    await registry.registerInvite(c.req.valid('json').idAuth, payerFor(c))
    return c.json(success())
  })
  app.get('/invite', async (c) => {
    const inviteKey = await registry.invite(checked(InviteQuery, c.req.query()).account)
    c.header('Cache-Control', 'no-store')
    return c.json(success({ inviteKey }))
  })
  app.delete('/invite', jsonBody(WithIdAuth, MAX_TOKEN_BODY_BYTES), async (c) => {
    await payerFor(c).work(WORK_COST.token)
    await registry.unregisterInvite(c.req.valid('json').idAuth)
    return c.json(success())
  })

  return app
}
