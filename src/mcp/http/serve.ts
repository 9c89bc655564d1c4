/**
 * Streamable HTTP, at `/mcp`. Before anything of a request is looked at: it names this server (`Host`), it comes from no page
 * of another one (`Origin`), and it has the token. So no page that a browser shows reaches it, whatever name leads here.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { Log } from '../../platform/telemetry.ts'
import type { Sessions } from './sessions.ts'

const PATH = '/mcp'
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']
const MAX_CONNECTIONS = 256
/** Connections on which nobody has shown the token. The owner's own shows it with its first request. */
const MAX_STRANGERS = 64

export interface HttpOptions {
  host: string
  port: number
  /** Names by which it is reached beside those of this machine. */
  names: readonly string[]
  token: string
}

const refused = (status: number, message: string, headers: Record<string, string> = {}): Response =>
  Response.json({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }, { status, headers })

/** Of `Host`, or of the URL in `Origin`; without the port. */
const nameIn = (url: string): string | undefined => (URL.canParse(url) ? new URL(url).hostname : undefined)

const isSame = (a: string, b: string): boolean => {
  const [left, right] = [a, b].map((text) => createHash('sha256').update(text).digest())
  return left !== undefined && right !== undefined && timingSafeEqual(left, right)
}

/** Undefined: it may come in. */
const createGuard = ({ host, names, token }: Pick<HttpOptions, 'host' | 'names' | 'token'>) => {
  const known = new Set([...LOOPBACK_NAMES, host, ...names].map((name) => name.toLowerCase()))
  return ({ headers }: Request): Response | undefined => {
    const host = nameIn(`http://${headers.get('host') ?? ''}`)
    if (host === undefined || !known.has(host)) return refused(403, 'Host is not a name of this server')
    const origin = headers.get('origin')
    if (origin !== null && !known.has(nameIn(origin) ?? ''))
      return refused(403, 'Origin is not a page of this server')
    const [, given = ''] = /^Bearer +([\x21-\x7e]{1,256})$/i.exec(headers.get('authorization') ?? '') ?? []
    if (isSame(given, token)) return undefined
    return refused(401, 'Authorization: Bearer <token>', { 'WWW-Authenticate': 'Bearer' })
  }
}

/** Strangers make room for whoever comes, so that no number of them keeps the owner out. */
const createStrangers = () => {
  /** The oldest first. */
  const strangers = new Set<Socket>()
  return {
    add(socket: Socket): void {
      strangers.add(socket)
      socket.once('close', () => strangers.delete(socket))
      const [oldest] = strangers
      if (strangers.size > MAX_STRANGERS) oldest?.destroy()
    },
    /** It has shown the token. */
    remove: (socket: Socket): boolean => strangers.delete(socket),
  }
}

/** Resolves when it listens. Rejects with what the system says, as `EADDRINUSE`. */
export const serveHttp = async (
  { sessions, log }: { sessions: Sessions; log: Log },
  options: HttpOptions,
): Promise<AsyncDisposable & { url: string }> => {
  const guard = createGuard(options)
  const strangers = createStrangers()
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.onError((err) => {
    log.error({ err }, 'A request failed')
    return refused(500, 'Internal server error')
  })
  app.notFound(() => refused(404, `There is nothing here; see ${PATH}`))
  app.all(PATH, async ({ req, env }) => {
    const refusal = guard(req.raw)
    if (refusal) return refusal
    strangers.remove(env.incoming.socket)
    return sessions.handle(req.raw)
  })

  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false })
  server.on('connection', strangers.add)
  server.listen(options.port, options.host)
  await once(server, 'listening')
  server.maxConnections = MAX_CONNECTIONS
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : options.port
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}${PATH}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      await sessions[Symbol.asyncDispose]()
      closeConnections(server)
      await closed
    },
  }
}

/** Those that wait for nothing any more. */
const closeConnections = (server: object): void => {
  if (isHttpServer(server)) server.closeAllConnections()
}
const isHttpServer = (server: object): server is HttpServer => 'closeAllConnections' in server
