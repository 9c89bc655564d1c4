/**
 * Upgrades of connections, shared by all who serve WebSockets on one HTTP server: each takes its paths. What nobody takes
 * is answered in plain HTTP, and an offer of another protocol is left aside.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

export type TakeUpgrade = (request: IncomingMessage, raw: Duplex, head: Buffer, url: URL) => void

const STATUS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
}

/** Ends the connection on both sides: nobody counts it any more, and a client might never close its own. */
export const refuseUpgrade = (raw: Duplex, status: number, sentence: string): void => {
  const body = `${sentence}\n`
  raw.once('finish', () => raw.destroy())
  raw.end(
    `HTTP/1.1 ${status} ${STATUS[status] ?? 'Error'}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket'

/**
 * Who offers another protocol (Java's HTTP client offers h2c with every request) is served without it: RFC 9110 §7.8.
 * Node has taken the connection from its HTTP parser by then, so it is handed back with the request as it came, but for
 * the offer.
 */
const serveWithoutUpgrade = (server: Server, request: IncomingMessage, raw: Duplex, head: Buffer): void => {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2)
    const isOffer = ['upgrade', 'http2-settings'].includes(name.toLowerCase())
    const kept =
      name.toLowerCase() === 'connection' ? value.replace(/\b(?:upgrade|http2-settings)\b,?/gi, '') : value
    if (!isOffer) lines.push(`${name}: ${kept}`)
  }
  const again = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head])
  // Without a listener an error would end the process.
  const failed = () => raw.destroy()
  raw.on('error', failed)
  // Not in the middle of the event that brought it: the stream would not begin to flow again.
  setImmediate(() => {
    raw.off('error', failed)
    if (raw.destroyed) return
    raw.unshift(again)
    server.emit('connection', raw)
  })
}

/** Who is told that a connection is no longer one of HTTP requests. */
const watchers = new WeakMap<Server, (raw: Duplex) => void>()

/** `watcher` is told of each connection that is upgraded, before it is taken. A server has one. */
export const watchUpgrades = (server: Server, watcher: (raw: Duplex) => void): void => {
  watchers.set(server, watcher)
}

/** Node tells every listener of every upgrade, so a server has one, which knows whose a path is. */
const shared = new WeakMap<Server, Map<string, TakeUpgrade>>()

const listen = (server: Server): Map<string, TakeUpgrade> => {
  const takers = new Map<string, TakeUpgrade>()
  server.on('upgrade', (request, raw, head) => {
    watchers.get(server)?.(raw)
    if (!isWebSocket(request)) {
      serveWithoutUpgrade(server, request, raw, head)
      return
    }
    // Without a listener an error would end the process.
    raw.on('error', () => raw.destroy())
    const address = request.url ?? ''
    const url = URL.canParse(address, 'http://server') ? new URL(address, 'http://server') : undefined
    const take = url && takers.get(url.pathname)
    if (!url) refuseUpgrade(raw, 400, 'The address is not valid')
    else if (!take) refuseUpgrade(raw, 404, 'There is no WebSocket here')
    else take(request, raw, head, url)
  })
  return takers
}

/** From here on WebSockets at these paths are the taker's, until it is disposed of. */
export const takeUpgrades = (server: Server, paths: readonly string[], take: TakeUpgrade): Disposable => {
  const takers = shared.get(server) ?? listen(server)
  shared.set(server, takers)
  for (const path of paths) takers.set(path, take)
  return {
    [Symbol.dispose]() {
      for (const path of paths) if (takers.get(path) === take) takers.delete(path)
    },
  }
}
