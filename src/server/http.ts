/**
 * One port for everything over HTTP: mounts the rooms' routes, logs each request without its query, answers what nobody
 * takes, and knows what is in flight so that a stop can wait for it.
 */
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { matchedRoutes } from 'hono/route'
import { RELAY_WEBHOOK } from '../notify/http/relay-webhook.ts'
import { httpErrors, noSuchPath, wrongMethods } from '../platform/net/http.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { codeOf, StartError } from './config/start-error.ts'
import type { HttpGuard } from './http-guard.ts'

export interface HttpDeps {
  clock: Clock
  log: Log
  meter: Meter
}

export interface HttpRoutes {
  fetch: Hono['fetch']
  /** What the rooms have mounted. */
  readonly mounted: readonly { method: string; path: string }[]
  /** Resolves when no request is being answered, or when the signal says so. */
  idle(signal: AbortSignal): Promise<void>
  /** From now on, connections end with their next answer. */
  stopping(): void
}

/** The pattern that matched, so that labels stay few whatever is asked for. */
const routeOf = (c: Context): string =>
  matchedRoutes(c).findLast(({ method, path }) => method !== 'ALL' && !path.endsWith('*'))?.path ?? 'none'

/** Asked for all the time, by machines: probes, and our own relay, which tells what wallets have received. */
const BUSY = new Set(['/health', '/ready', '/metrics', ...Object.values(RELAY_WEBHOOK)])

/** Paths that hold a signature, of whatever spelling: of these only the pattern is told. */
const CONFIDENTIAL = /^\/*mq\b/i

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export const createHttpRoutes = ({ clock, log, meter }: HttpDeps, rooms: readonly Hono[]): HttpRoutes => {
  let inFlight = 0
  let isStopping = false
  const waiting = new Set<() => void>()

  const app = new Hono()
  app.onError(httpErrors(log))
  app.notFound(noSuchPath)
  app.use(async (c, next) => {
    const startedAt = clock.now()
    const route = routeOf(c)
    const method = METHODS.has(c.req.method) ? c.req.method : 'other'
    inFlight++
    try {
      await meter.span(
        `${method} ${route}`,
        { 'http.request.method': method, 'http.route': route },
        async (span) => {
          await next()
          span.set({ 'http.response.status_code': c.res.status })
        },
      )
    } finally {
      inFlight--
      if (inFlight === 0) for (const done of waiting) done()
      const milliseconds = clock.now() - startedAt
      const { status } = c.res
      if (isStopping) c.header('Connection', 'close')
      meter.count('http_requests_total', { method, route, status: String(status) })
      meter.observe('http_request_seconds', milliseconds / 1000, { route })
      const level = BUSY.has(route) && status < 400 ? 'debug' : 'info'
      const path = CONFIDENTIAL.test(c.req.path) ? route : c.req.path.slice(0, 256)
      log[level]({ method, path, status, milliseconds }, 'HTTP')
    }
  })
  app.use(wrongMethods(app))
  for (const room of rooms) app.route('/', room)

  return {
    fetch: app.fetch,
    mounted: app.routes,
    stopping() {
      isStopping = true
    },
    idle: (signal) =>
      new Promise((resolve) => {
        if (inFlight === 0 || signal.aborted) return resolve()
        const done = () => {
          waiting.delete(done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        waiting.add(done)
        signal.addEventListener('abort', done, { once: true })
      }),
  }
}

/** For whoever opens an answer in a browser: it is data, whatever is in it. A page names its own policy instead. */
const SAFE_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
}

/** What cannot even be read as a request is answered in plain HTTP; the path is not safe to look at then. */
export const createHttpServer = (fetch: HttpRoutes['fetch'], log: Log, guard?: HttpGuard): Server => {
  const listener = getRequestListener(fetch, {
    // Global Request and Response stay what they are: rooms and tests use them.
    overrideGlobalObjects: false,
    errorHandler: (err) => {
      log.debug({ err }, 'A request could not be read')
      const error = new ProtocolError('bad_request')
      return Response.json({ error: error.message, code: error.code }, { status: error.http })
    },
  })
  const server = createServer(
    {
      // Longer than the idle time of the proxies that usually stand before us, or they would reuse a dead connection.
      ...{ keepAliveTimeout: 75_000, headersTimeout: 20_000, requestTimeout: 60_000, maxHeaderSize: 16_384 },
      ...(guard && { ServerResponse: guard.ServerResponse }),
    },
    (request, response) => {
      for (const [name, value] of Object.entries(SAFE_HEADERS)) response.setHeader(name, value)
      if (guard && !guard.admits(request, response)) return
      void listener(request, response)
    },
  )
  guard?.guard(server)
  return server
}

/** Resolves to the port. Throws `StartError` when it cannot be had. */
export const listen = (server: Server, port: number, host: string | undefined): Promise<number> =>
  new Promise((resolve, reject) => {
    const refused = (error: Error) => {
      const where = host === undefined ? `port ${port}` : `${host}, port ${port}`
      const reasons: Record<string, string> = {
        EADDRINUSE: 'another program uses it',
        EACCES: 'this user may not',
        EADDRNOTAVAIL: 'this machine does not have that address',
        ENOTFOUND: 'that host name is not known',
      }
      const code = codeOf(error) ?? ''
      reject(
        new StartError([`The server cannot listen on ${where}: ${reasons[code] ?? error.message}.`], {
          cause: error,
        }),
      )
    }
    server.once('error', refused)
    server.listen({ port, ...(host !== undefined && { host }) }, () => {
      server.off('error', refused)
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })

/** Ends the server and every connection that is left. */
export const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
