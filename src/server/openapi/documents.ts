/**
 * What programs read about this server.
 *
 * | method, path           | answer                                                                    |
 * |------------------------|---------------------------------------------------------------------------|
 * | GET /openapi.json      | the HTTP API of the rooms that are on, as OpenAPI                         |
 * | GET /llms.txt          | a map for language models                                                 |
 * | GET /docs/:page        | a page of the documents, `….md`, as it is in the package                  |
 *
 * Any origin may ask. Each of them is read or made at the first request, once, and kept as gzip as well. Only files of
 * which the names are known are served: a path is never read from the disk.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { httpErrors } from '../../platform/net/http.ts'
import { hasAlready, takesGzip } from '../../platform/net/stored-answer.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { PACKAGE, readVersion } from '../version.ts'
import type { MountedRoute } from './document.ts'

interface Written {
  type: string
  etag: string
  plain: Blob
  packed: Blob
}

const pack = promisify(gzip)

const written = async (type: string, bytes: Buffer<ArrayBuffer>): Promise<Written> => {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
  return { type, etag, plain: new Blob([bytes]), packed: new Blob([await pack(bytes)]) }
}

/** Made once; a failure is not kept. */
const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

const answer = (c: Context, { type, etag, plain, packed }: Written): Response => {
  c.header('Content-Type', type)
  c.header('ETag', etag)
  c.header('Vary', 'Accept-Encoding')
  c.header('Cache-Control', 'no-cache')
  if (hasAlready(c, etag)) return c.body(null, 304)
  const isPacked = takesGzip(c)
  if (isPacked) c.header('Content-Encoding', 'gzip')
  const blob = isPacked ? packed : plain
  c.header('Content-Length', `${blob.size}`)
  // Piece by piece: a reader that stops holds one piece in memory.
  return c.body(blob.stream())
}

const readDocument = async (path: string, type: string): Promise<Written> =>
  written(`${type}; charset=utf-8`, await readFile(new URL(path, PACKAGE)))

export const documentRoutes = (
  deps: { mounted: () => readonly MountedRoute[]; log: Log },
  { publicUrl }: { publicUrl: string },
): Hono => {
  const { mounted, log } = deps

  const openApi = once(async () => {
    // Loaded only here: few ask for it, and every start would pay for it.
    const { composeDocument } = await import('./document.ts')
    const { ROOM_DESCRIPTIONS } = await import('./rooms.ts')
    const about = { publicUrl, version: readVersion() }
    const { document, undescribed } = await composeDocument(ROOM_DESCRIPTIONS, mounted(), about)
    if (undescribed.length > 0) log.warn({ routes: undescribed }, 'Routes are missing in /openapi.json')
    return written('application/json', Buffer.from(JSON.stringify(document)))
  })
  const llms = once(() => readDocument('llms.txt', 'text/plain'))
  const pages = once(async () => {
    const names = (await readdir(new URL('docs/', PACKAGE))).filter((name) => name.endsWith('.md'))
    return new Map(names.map((name) => [name, once(() => readDocument(`docs/${name}`, 'text/markdown'))]))
  })

  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of ['/openapi.json', '/llms.txt', '/docs/:page{.+\\.md}'])
    app.use(path, cors({ origin: '*', allowMethods: ['GET'], maxAge: 86_400 }))
  app.get('/openapi.json', async (c) => answer(c, await openApi()))
  app.get('/llms.txt', async (c) => answer(c, await llms()))
  app.get('/docs/:page', async (c) => {
    const page = (await pages()).get(c.req.param('page'))
    if (!page) throw new ProtocolError('not_found')
    return answer(c, await page())
  })
  return app
}
