/**
 * The pages for people, and what they load: the inbox and the console (`src/web`). The build puts them into `dist/web`.
 *
 * | path                    | answer                                                                    |
 * |-------------------------|---------------------------------------------------------------------------|
 * | GET /                   | the inbox                                                                 |
 * | GET /console            | the console; `/console/`, as people type it, leads there                   |
 * | GET /assets/:file       | scripts and styles; a name says what is in the file, so it may be kept    |
 * | GET /worker.js, /icon.svg, … | the other files of the build, by their names                         |
 *
 * Only files that the build wrote are served: a path is looked up among their names, and never read from the disk.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { type Context, Hono } from 'hono'
import { hasAlready, takesGzip } from '../platform/net/stored-answer.ts'
import type { Config } from './config/config.ts'

/** The same folder from `src/server`, `dist/server` and the bundle. */
const BUILT = fileURLToPath(new URL('../../dist/web', import.meta.url))

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
}
/** Where gzip gains nothing. */
const PACKED = new Set(['.png'])

/** Scripts, styles, pictures and requests of this origin only, and nothing inline. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface BuiltFile {
  type: string
  etag: string
  plain: Buffer
  packed: Buffer | undefined
}

const pack = promisify(gzip)

const readBuilt = async (folder: string): Promise<Map<string, BuiltFile>> => {
  const files = new Map<string, BuiltFile>()
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const extension = extname(entry.name)
    const type = TYPES[extension]
    if (!entry.isFile() || type === undefined) continue
    const plain = await readFile(path)
    const etag = `"${createHash('sha256').update(plain).digest('base64url')}"`
    const packed = PACKED.has(extension) ? undefined : await pack(plain, { level: 9 })
    files.set(`/${relative(folder, path).replaceAll('\\', '/')}`, { type, etag, plain, packed })
  }
  return files
}

export const pageRoutes = (pages: Config['pages']): Hono => {
  let files: Promise<Map<string, BuiltFile>> | undefined
  const loaded = (): Promise<Map<string, BuiltFile>> => {
    files ??= readBuilt(BUILT).catch((error: unknown) => {
      files = undefined
      throw error
    })
    return files
  }

  const answer = (c: Context, { type, etag, plain, packed }: BuiltFile, path: string): Response => {
    c.header('Content-Type', type)
    c.header('Content-Security-Policy', POLICY)
    c.header('Referrer-Policy', 'no-referrer')
    c.header('ETag', etag)
    c.header('Vary', 'Accept-Encoding')
    c.header(
      'Cache-Control',
      path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    )
    if (hasAlready(c, etag)) return c.body(null, 304)
    const isPacked = packed !== undefined && takesGzip(c)
    if (isPacked) c.header('Content-Encoding', 'gzip')
    return c.body(new Uint8Array(isPacked ? packed : plain))
  }

  const app = new Hono()
  const shows = (path: string, file: string) =>
    app.get(path, async (c) => {
      const found = (await loaded()).get(file)
      return found ? answer(c, found, file) : c.notFound()
    })
  if (pages.includes('inbox')) {
    shows('/', '/inbox/index.html')
    for (const file of ['/worker.js', '/inbox.webmanifest', '/icon-192.png', '/icon-512.png'])
      shows(file, file)
  }
  if (pages.includes('console')) {
    shows('/console', '/console/index.html')
    app.use('/console/', async (c) => c.redirect('/console', 308))
  }
  if (pages.length > 0) {
    shows('/icon.svg', '/icon.svg')
    app.get('/assets/:file', async (c) => {
      const found = (await loaded()).get(c.req.path)
      return found ? answer(c, found, c.req.path) : c.notFound()
    })
  }
  return app
}
