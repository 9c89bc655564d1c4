/**
 * The HTTP API for people: `/openapi.json` as a page. Everything that it loads comes from this package and this origin.
 *
 * | method, path            | answer                                                             |
 * |-------------------------|--------------------------------------------------------------------|
 * | GET /docs               | the page, with a content security policy of its own                |
 * | GET /docs/page.js       | prepares and starts the bundle                                     |
 * | GET /docs/reference.js  | the bundle (Scalar), always as gzip; read at the first request     |
 *
 * The build puts the bundle into `dist/api-page/`.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Context, Hono } from 'hono'
import { hasAlready } from '../../platform/net/stored-answer.ts'
import { PACKAGE } from '../version.ts'

const BUNDLE = new URL('dist/api-page/reference.js.gz', PACKAGE)

/** The bundle lets links beside its headings stand out of a phone's window. */
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Belfry</title>
<style>#api { overflow-x: clip }</style>
</head>
<body>
<div id="api"></div>
<noscript>The page needs JavaScript. What it shows is in /openapi.json.</noscript>
<script src="/docs/page.js" defer></script>
<script src="/docs/reference.js" defer></script>
</body>
</html>
`

/**
 * The bundle finds out whether text may become code by trying, and does without where it may not. The policy refuses the
 * attempt and reports it; refused here first, it is no event.
 */
const PAGE_SCRIPT = `globalThis.Function = new Proxy(Function, {
  construct() {
    throw new EvalError('Text does not become code here')
  },
})
addEventListener('DOMContentLoaded', () => {
  Scalar.createApiReference('#api', {
    url: '/openapi.json',
    withDefaultFonts: false,
    telemetry: false,
    hideClientButton: true,
    showDeveloperTools: 'never',
  })
})
`

/**
 * The bundle makes style elements and attributes as it goes, so styles cannot be named beforehand. Nothing else is
 * allowed inline, and no style can reach another origin, for pictures and fonts come from here only.
 */
const policyFor = (publicUrl: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    // "Test request" asks the server that the description names, whatever name the page was opened under.
    `connect-src 'self' ${new URL(publicUrl).origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

interface Bundle {
  blob: Blob
  etag: string
}

const readBundle = async (): Promise<Bundle> => {
  const bytes = await readFile(BUNDLE)
  return { blob: new Blob([bytes]), etag: `"${createHash('sha256').update(bytes).digest('base64url')}"` }
}

export const apiPageRoutes = (options: { publicUrl: string }): Hono => {
  const policy = policyFor(options.publicUrl)
  let bundle: Promise<Bundle> | undefined

  const loaded = (): Promise<Bundle> => {
    bundle ??= readBundle().catch((error: unknown) => {
      bundle = undefined
      throw error
    })
    return bundle
  }
  const script = (c: Context) => {
    c.header('Content-Type', 'text/javascript; charset=utf-8')
    c.header('Cache-Control', 'no-cache')
  }

  const app = new Hono()
  app.get('/docs', (c) => {
    c.header('Content-Security-Policy', policy)
    c.header('Referrer-Policy', 'no-referrer')
    return c.html(PAGE)
  })
  // As people type it.
  app.use('/docs/', async (c) => c.redirect('/docs', 308))
  app.get('/docs/page.js', (c) => {
    script(c)
    return c.body(PAGE_SCRIPT)
  })
  app.get('/docs/reference.js', async (c) => {
    const { blob, etag } = await loaded()
    script(c)
    c.header('ETag', etag)
    if (hasAlready(c, etag)) return c.body(null, 304)
    c.header('Content-Encoding', 'gzip')
    c.header('Content-Length', `${blob.size}`)
    // Piece by piece: a reader that stops holds one piece in memory.
    return c.body(blob.stream())
  })
  return app
}
