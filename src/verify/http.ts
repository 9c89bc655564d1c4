/**
 * Attestations over HTTP, as published wallets and dapps know them (`verify.walletconnect.org`).
 *
 * | method, path | answer |
 * |---|---|
 * | GET /v3/public-key | `{publicKey: JWK, expiresAt: s}`; any origin may ask |
 * | GET /v3/attestation?id=&origin= | the frame: hands its opener `{type: "verify_attestation", attestation: JWT}` · 422, 429 |
 * | GET /v3/attestation.js | the frame's script |
 * | GET /attestation/:hash | 404: the older form, in which the server kept statements, is answered at once |
 *
 * The JWT is ES256: `{id, origin, isScam: null, isVerified, exp}`.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { html } from 'hono/html'
import * as z from 'zod'
import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { httpErrors } from '../platform/net/http.ts'
import type { Log } from '../platform/telemetry.ts'
import { checked } from '../platform/validate.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Attestations } from './service.ts'

const MAX_ORIGIN_LENGTH = 300

/** As in a header, where other characters of a host would have a meaning of their own. */
const ORIGIN = /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/
const isOrigin = (text: string): boolean =>
  ORIGIN.test(text) && URL.canParse(text) && new URL(text).origin === text

export const AttestationQuery = z.object({
  /** SHA-256 of the sealed request. */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  origin: z.string().max(MAX_ORIGIN_LENGTH).refine(isOrigin, 'is not an origin'),
})

/** In a file of its own, so that the frame's policy allows nothing inline. */
const FRAME_SCRIPT = `const { attestation, origin } = document.documentElement.dataset
parent.postMessage(JSON.stringify({ type: 'verify_attestation', attestation }), origin)
`

/** A look-up of an app, and an ES256 signature. */
const ATTESTATION_WORK = WORK_COST.request + WORK_COST.token

const embedderOf = (c: Context): string | undefined => {
  const referer = c.req.header('referer')
  return referer !== undefined && URL.canParse(referer) ? new URL(referer).origin : undefined
}

export const verifyRoutes = (deps: {
  attestations: Attestations
  payerFor: (c: Context) => Payer
  log: Log
}): Hono => {
  const { attestations, payerFor, log } = deps
  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of ['/v3/public-key', '/attestation/:hash'])
    app.use(path, cors({ origin: '*', allowMethods: ['GET'], maxAge: 86_400 }))

  app.get('/v3/public-key', (c) => c.json(attestations.publicKey()))

  app.get('/v3/attestation', async (c) => {
    const { id, origin } = checked(AttestationQuery, c.req.query())
    await payerFor(c).work(ATTESTATION_WORK)
    const attestation = await attestations.attest({ id, origin, embedder: embedderOf(c) })
    c.header('Cache-Control', 'no-store')
    // Only the page that asked may frame it, also where that page demands this header of all that it embeds.
    c.header('Content-Security-Policy', `default-src 'none'; script-src 'self'; frame-ancestors ${origin}`)
    c.header('Cross-Origin-Resource-Policy', 'cross-origin')
    c.header('Cross-Origin-Embedder-Policy', 'require-corp')
    return c.html(
      html`<!doctype html><html lang="en" data-attestation="${attestation}" data-origin="${origin}"><head><title>Attestation</title><script src="/v3/attestation.js"></script></head></html>`,
    )
  })
  app.get('/v3/attestation.js', (c) => {
    c.header('Cache-Control', 'public, max-age=86400')
    c.header('Cross-Origin-Resource-Policy', 'cross-origin')
    return c.body(FRAME_SCRIPT, 200, { 'Content-Type': 'text/javascript; charset=utf-8' })
  })
  app.get('/attestation/:hash', () => {
    throw new ProtocolError('not_found', 'statements are not kept')
  })
  return app
}
