/**
 * Who pays for a request: the address block that it came from. Client ids, keys and accounts are free, addresses are not.
 *
 * Behind a proxy every connection is the proxy's. A proxy that the operator trusts is believed about where a request came
 * from (`X-Forwarded-For`, read from its end, for as long as the hops are trusted); what anybody else says there is ignored.
 * An IPv4 address pays for itself. In IPv6 a network (/64) pays, because one subscriber has all of it; loopback is `::1`.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** `203.0.113.7`, `2001:db8:0:1::/64`, `::1`, or '' for a connection that is gone and was not asked about before. */
export type ClientAddress = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => string

const MAPPED = /^::ffff:(?=\d+\.)/i
const NETWORK_GROUPS = 4
const LOOPBACK = '0:0:0:0:0:0:0:1'

/** An IPv4 address as it is; the /64 of an IPv6 address in its shortest form (RFC 5952), and `::1` for loopback. */
export const networkOf = (address: string): string => {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => '0')
  const groups = [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16).toString(16))
  if (groups.join(':') === LOOPBACK) return '::1'
  const network = groups.slice(0, NETWORK_GROUPS)
  // The zeros behind the network make one run with those at its end, and that is the longest one.
  const shown = network.slice(0, network.findLastIndex((group) => group !== '0') + 1)
  return `${shown.join(':')}::/64`
}

const NAMED_RANGES: Record<string, readonly string[]> = {
  none: [],
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

const partsOf = (text: string): [net: string, prefix: number] | undefined => {
  const [net = '', digits] = text.split('/')
  const longest = isIP(net) === 6 ? 128 : 32
  const prefix = digits === undefined ? longest : Number(digits)
  const isRange = isIP(net) !== 0 && /^\d{1,3}$/.test(digits ?? '0') && prefix <= longest
  return isRange ? [net, prefix] : undefined
}

/** Whether it is an address, a range (`10.1.0.0/16`), `loopback`, `private` or `none`. */
export const isProxyRule = (text: string): boolean =>
  Object.hasOwn(NAMED_RANGES, text) || partsOf(text) !== undefined

/** Hops of a forwarded request that are read at most. */
const MAX_HOPS = 16

/** Whether a peer is a proxy that is believed. `trusted`: what `isProxyRule` takes. */
export const createProxyTrust = (trusted: readonly string[]): ((address: string) => boolean) => {
  const proxies = new BlockList()
  for (const rule of trusted.flatMap((text) => NAMED_RANGES[text] ?? [text])) {
    const [net = '', prefix = 0] = partsOf(rule) ?? []
    proxies.addSubnet(net, prefix, isIP(net) === 6 ? 'ipv6' : 'ipv4')
  }
  return (peer) => {
    const address = peer.replace(MAPPED, '')
    return isIP(address) !== 0 && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
}

/** `trusted`: what `isProxyRule` takes. */
export const createClientAddress = (trusted: readonly string[]): ClientAddress => {
  const isTrusted = createProxyTrust(trusted)

  const read: ClientAddress = ({ headers, socket }) => {
    let address = (socket.remoteAddress ?? '').replace(MAPPED, '')
    if (!isTrusted(address)) return networkOf(address)
    const forwarded = headers['x-forwarded-for']
    const hops = (Array.isArray(forwarded) ? forwarded.join(',') : (forwarded ?? '')).split(',')
    for (const hop of hops.slice(-MAX_HOPS).reverse()) {
      const next = hop.trim().replace(MAPPED, '')
      if (isIP(next) === 0) break
      address = next
      if (!isTrusted(next)) break
    }
    return networkOf(address)
  }
  /** A request whose connection is gone is still whose it was. */
  const known = new WeakMap<object, string>()
  return (request) => {
    const address = known.get(request) ?? read(request)
    if (address !== '') known.set(request, address)
    return address
  }
}
