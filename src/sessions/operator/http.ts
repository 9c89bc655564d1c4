/**
 * The HTTP ways into the operator.
 *
 * | method, path                          | who           | body or query                                             | answer |
 * |---------------------------------------|---------------|-----------------------------------------------------------|--------|
 * | POST /api/protocols/wiap/v1           | wallets       | `{data}`, see `wiap`                                      | WIAP; what is refused too, with 200 |
 * | POST /v1/:projectId/approvals         | dapps' servers | `{b64SerializedMicroblock, b64VbHash?, signer or actorId, expiresIn?}` | 201 `{anchorRequestId, expiresAt}` |
 * | GET  /v1/:projectId/approvals         | dapps' servers | `id`                                                      | what became of it |
 * | GET  /v1/:projectId/chains            | dapps' servers | `vbHash`, `after?`, `limit?`                              | its head, a page of its microblocks |
 *
 * A dapp's server shows the project's secret, or the admin token. Ids travel in bodies and queries, which are not logged:
 * where no signer is named, who knows the id may approve.
 */
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import { asProtocolError, jsonBody, readJson, setRetryHeaders } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { fromBase64, fromBase64url, toBase64 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { MAX_MICROBLOCK_BYTES } from '../carmentis/microblock.ts'
import { WIAP_PATH, WiapRequest, type WiapResponse } from '../methods/wiap.ts'
import type { Operator } from './service.ts'

export interface OperatorRoutesDeps {
  operator: Operator
  /** Throws `unauthenticated` unless the token is one for that project. */
  authenticate: (projectId: string, token: string) => Promise<void>
  log: Log
}

/** The keys of an actor are the longest value that a wallet sends. */
const MAX_WIAP_BODY_BYTES = 32 * 1024
const MAX_APPROVAL_BODY_BYTES = MAX_MICROBLOCK_BYTES * 1.5
const [DEFAULT_EXPIRY_S, MAX_EXPIRY_S] = [3600, 30 * 24 * 3600]

const hash = z.base64().length(44)
export const NewApproval = z
  .object({
    b64SerializedMicroblock: z.base64(),
    b64VbHash: hash.optional(),
    signer: z.string().max(256).optional(),
    actorId: z.int().nonnegative().optional(),
    expiresIn: z.int().min(1).max(MAX_EXPIRY_S).default(DEFAULT_EXPIRY_S),
  })
  .transform(({ signer, actorId, ...rest }, context) => {
    if (signer !== undefined && actorId === undefined) return { ...rest, by: { signer } }
    if (signer === undefined && actorId !== undefined) return { ...rest, by: { actorId } }
    context.addIssue({ code: 'custom', message: 'either signer or actorId' })
    return z.NEVER
  })
export const ApprovalQuery = z.object({ id: z.string().max(256) })
const whole = z.coerce.number().int().nonnegative()
export const ChainQuery = z.object({
  // Base64 in a query: a plus arrives as a space, and base64url is taken as well.
  vbHash: z
    .string()
    .max(64)
    .transform((text) => toBase64(fromBase64url(text.replaceAll(' ', '+'))))
    .pipe(hash),
  after: whole.default(0),
  limit: whole.min(1).max(100).default(100),
})

/** The bearer token is checked before anything else of the request is read. */
const requireProject =
  (authenticate: OperatorRoutesDeps['authenticate']): MiddlewareHandler =>
  async (c, next) => {
    const token = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (token === undefined) {
      throw new ProtocolError('unauthenticated', 'Authorization: Bearer <project secret>')
    }
    await authenticate(c.req.param('projectId') ?? '', token)
    await next()
  }

/** Wallets read a sentence only in an answer of the protocol, and that only with a status of success. */
const refusal = (c: Context, thrown: unknown, log: Log): Response => {
  const error = asProtocolError(thrown) ?? new ProtocolError('internal')
  if (error.http >= 500) {
    log.error({ err: thrown, path: c.req.path }, 'A wallet could not be answered')
    setRetryHeaders(c, error)
  }
  const answer: WiapResponse = { type: 'WALLET_OPERATOR_RESPONSE_ERROR', errorMessage: error.message }
  return c.json(answer, error.http >= 500 ? error.http : 200)
}

const walletRoutes = (app: Hono, { operator, log }: Pick<OperatorRoutesDeps, 'operator' | 'log'>): void => {
  app.use(WIAP_PATH, cors({ origin: '*', allowMethods: ['POST'], maxAge: 86_400 }))
  app.post(WIAP_PATH, async (c) => {
    try {
      const { data } = checked(
        z.object({ data: WiapRequest }),
        await readJson(c.req.raw, MAX_WIAP_BODY_BYTES),
      )
      return c.json(await operator.answer(data))
    } catch (thrown) {
      return refusal(c, thrown, log)
    }
  })
}

const approvalRoutes = (app: Hono, operator: Operator, authenticated: MiddlewareHandler): void => {
  app.post(
    '/v1/:projectId/approvals',
    authenticated,
    jsonBody(NewApproval, MAX_APPROVAL_BODY_BYTES),
    async (c) => {
      const { b64SerializedMicroblock, b64VbHash, by, expiresIn } = c.req.valid('json')
      const { id, expiresAt } = await operator.create(c.req.param('projectId'), {
        microblock: fromBase64(b64SerializedMicroblock),
        vbHash: b64VbHash,
        by,
        expiresIn,
      })
      return c.json({ anchorRequestId: id, expiresAt: new Date(expiresAt).toISOString() }, 201)
    },
  )

  app.get('/v1/:projectId/approvals', authenticated, async (c) => {
    const { id } = checked(ApprovalQuery, c.req.query())
    const found = await operator.approval(c.req.param('projectId'), id)
    const { outcome, isExpired, signer = null } = found
    const state = outcome ? 'anchored' : isExpired ? 'expired' : 'open'
    return c.json({
      anchorRequestId: found.id,
      state,
      signer,
      expiresAt: new Date(found.expiresAt).toISOString(),
      b64VbHash: outcome?.vbHash ?? null,
      b64MbHash: outcome?.mbHash ?? null,
      height: outcome?.height ?? null,
    })
  })
}

const chainRoutes = (app: Hono, operator: Operator, authenticated: MiddlewareHandler): void => {
  app.get('/v1/:projectId/chains', authenticated, async (c) => {
    const { vbHash, after, limit } = checked(ChainQuery, c.req.query())
    const chain = await operator.chain(c.req.param('projectId'), vbHash, { after, limit })
    const last = chain.microblocks.at(-1)?.height ?? chain.height
    return c.json({
      b64VbHash: chain.vbHash,
      b64MbHash: chain.head,
      b64GenesisSeed: chain.genesisSeed,
      height: chain.height,
      microblocks: chain.microblocks.map(({ height, microblock }) => ({
        height,
        b64SerializedMicroblock: microblock,
      })),
      next: last < chain.height ? last : null,
    })
  })
}

export const operatorRoutes = ({ operator, authenticate, log }: OperatorRoutesDeps): Hono => {
  const app = new Hono()
  const authenticated = requireProject(authenticate)
  walletRoutes(app, { operator, log })
  approvalRoutes(app, operator, authenticated)
  chainRoutes(app, operator, authenticated)
  return app
}
