/** Where requests to the fixed hosts go instead, and which ones do. */
import { FIXED_HOSTS, type FixedHost } from '../../../../src/platform/net/fixed-hosts.ts'

export interface RedirectOptions {
  /** Fixed hosts that are left alone, for example `rpc.walletconnect.org` where the server has no nodes of chains. */
  except?: readonly FixedHost[]
}

export interface Target {
  /** Without slashes at its end. */
  http: string
  ws: string
  hosts: ReadonlySet<string>
}

/** So that an address can stand in every kind of string of JavaScript. */
const PATH = /^[\w./~-]*$/
const HOST = /^[\w.:[\]-]+$/

/** Older browsers have no `URL.canParse`. */
const parsed = (text: string, base?: string): URL | undefined => {
  try {
    return new URL(text, base)
  } catch {
    return undefined
  }
}

/** Throws a `TypeError` for what is no address of a server. */
export const targetOf = (url: string | URL, { except = [] }: RedirectOptions = {}): Target => {
  const text = String(url)
  const found = parsed(text)
  const isWeb = found?.protocol === 'https:' || found?.protocol === 'http:'
  const isPlain = found && found.username + found.password + found.search + found.hash === ''
  if (!isWeb || !isPlain || !HOST.test(found.host) || !PATH.test(found.pathname)) {
    throw new TypeError(
      `The server must be an http or https URL without user, query or fragment, not ${JSON.stringify(text)}`,
    )
  }
  const { protocol, host, pathname } = found
  const place = `//${host}${pathname}`.replace(/\/$/, '')
  const left = new Set<string>(except)
  return {
    http: protocol + place,
    ws: (protocol === 'https:' ? 'wss:' : 'ws:') + place,
    hosts: new Set(FIXED_HOSTS.filter((host) => !left.has(host))),
  }
}

/**
 * The address at the server, or undefined for one that is not of a fixed host. A host is its whole name, over TLS, on the usual
 * port, without a user: nothing that merely looks like one is moved.
 */
export const movedUrl = (url: string, { http, ws, hosts }: Target, base?: string): string | undefined => {
  const found = parsed(url, base)
  if (!found) return undefined
  const { protocol, hostname, port, username, password, pathname, search, hash } = found
  if (!hosts.has(hostname) || port + username + password !== '') return undefined
  if (protocol === 'https:') return http + pathname + search + hash
  if (protocol === 'wss:') return ws + pathname + search + hash
  return undefined
}
