/**
 * The names of this server: where it listens, how it is reached, and which URLs mean it.
 *
 * Without a configured public URL nobody knows under which name clients come (a mapped port, an address in a local
 * network), so then no token is refused for its audience, and any name of the machine itself means this server.
 */
import type { Config } from './config.ts'

export interface ServerUrls {
  /** Configured, or `http://localhost:<port>`. */
  publicUrl: string
  /** The relay for wallets. */
  wsUrl: string
  /** Where this process reaches itself. */
  loopbackUrl: string
  /** Where clients may have been told that we are; undefined: anywhere. */
  knownOrigins: readonly string[] | undefined
  /** Whether the URL means this server. */
  isOwnUrl(url: string): boolean
}

const EVERY_ADDRESS = new Set(['0.0.0.0', '::', ''])
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** http, whichever of the four schemes it was; undefined when it is no such URL. */
const originOf = (url: string): URL | undefined => {
  if (!URL.canParse(url)) return undefined
  const asHttp = new URL(url.replace(/^ws/i, 'http'))
  return asHttp.protocol === 'http:' || asHttp.protocol === 'https:' ? asHttp : undefined
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host)

/** Others reach this server, and nothing says under which name: then a token for another server is believed, too. */
export const lacksPublicUrl = ({ publicUrl, host = '' }: Pick<Config, 'publicUrl' | 'host'>): boolean =>
  publicUrl === undefined && !isLoopback(host)

export const serverUrls = (
  config: Pick<Config, 'publicUrl' | 'aliases' | 'host'>,
  port: number,
): ServerUrls => {
  const host = config.host ?? ''
  const local = EVERY_ADDRESS.has(host) ? '127.0.0.1' : inUrl(host)
  const publicUrl = config.publicUrl ?? `http://localhost:${port}`
  const loopbackUrl = `http://${local}:${port}`
  const own = [publicUrl, ...config.aliases, loopbackUrl, ...LOOPBACK.map((name) => `http://${name}:${port}`)]
  const origins = new Set(own.map((url) => new URL(url).origin))
  const isConfigured = config.publicUrl !== undefined
  return {
    publicUrl,
    wsUrl: publicUrl.replace(/^http/, 'ws'),
    loopbackUrl,
    knownOrigins: isConfigured ? own : undefined,
    isOwnUrl(url) {
      const named = originOf(url)
      if (!named) return false
      return origins.has(named.origin) || (!isConfigured && LOOPBACK.includes(named.hostname))
    },
  }
}
