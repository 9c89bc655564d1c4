/**
 * Which addresses this server talks to when somebody else names the host: public ones over https, and, in plain http
 * too, those inside that the operator allows.
 */
import { BlockList, isIP } from 'node:net'

/** What is not the public internet: IANA's special-purpose registries, and what tunnels into IPv4. */
const inside = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  inside.addSubnet(net, prefix, 'ipv4')
}

/** Global unicast is 2000::/3; of that, these lead elsewhere. */
const globalV6 = new BlockList()
globalV6.addSubnet('2000::', 3, 'ipv6')
const insideV6 = new BlockList()
for (const [net, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  insideV6.addSubnet(net, prefix, 'ipv6')
}

export const isPublicAddress = (address: string): boolean => {
  if (isIP(address) === 4) return !inside.check(address, 'ipv4')
  if (isIP(address) !== 6) return false
  return globalV6.check(address, 'ipv6') && !insideV6.check(address, 'ipv6')
}

const HOST = /^(?!-)[a-z0-9._-]{1,253}$/
const bare = (host: string): string => host.toLowerCase().replace(/^\[|\]$|\.$/g, '')
const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

const rangeOf = (text: string): [net: string, prefix: number] | undefined => {
  const [, net = '', digits = ''] = /^(.+)\/(\d{1,3})$/.exec(text) ?? []
  const prefix = Number(digits)
  const most = isIP(net) === 6 ? 128 : 32
  return digits !== '' && isIP(net) !== 0 && prefix <= most ? [net, prefix] : undefined
}

/** What stands before a port, and the port; an IPv6 address that has one is in brackets. */
const splitPort = (text: string): { target: string; port?: number } => {
  const [, target = '', digits = ''] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  return digits !== '' && port >= 1 && port <= 65_535 ? { target, port } : { target: text }
}

type Rule = { range: [net: string, prefix: number] } | { address: string } | { host: string }

const ruleOf = (target: string): Rule | undefined => {
  const range = rangeOf(target)
  if (range) return { range }
  const host = bare(target)
  if (isIP(host) !== 0) return { address: host }
  return HOST.test(host) ? { host } : undefined
}

/**
 * Whether it is a host name, an address, a range (`10.0.0.0/8`), each with a port or without (`keys.internal:8080`,
 * `[::1]:8080`, `10.0.0.0/8:443`), or `true`, which stands for everything inside.
 */
export const isAddressRule = (text: string): boolean => ruleOf(splitPort(text).target) !== undefined

/**
 * Each answers why not, or undefined. What a name leads to is not said: whoever names the host must not learn from us
 * how our network looks.
 */
export interface AddressRules {
  /** What the URL alone says: nothing is resolved. Also for who only keeps it for later. */
  refusalOfUrl(url: URL): string | undefined
  /** `address`: one that the URL's host has. */
  refusalOfAddress(url: URL, address: string): string | undefined
  /** Whether the operator has named this host. */
  isNamed(host: string): boolean
}

/** `allowed`: what `isAddressRule` takes. */
export const addressRules = (
  allowed: readonly string[] = [],
  isPublic: (address: string) => boolean = isPublicAddress,
): AddressRules => {
  const isEverything = allowed.includes('true')
  const names = new Set<string>()
  /** By host; undefined stands for every port. */
  const hosts = new Map<string, Set<number | undefined>>()
  /** By port; undefined stands for every one. */
  const ranges = new Map<number | undefined, BlockList>()
  for (const text of allowed) {
    const { target, port } = splitPort(text)
    const rule = ruleOf(target)
    if (!rule) continue
    if ('host' in rule) {
      names.add(rule.host)
      hosts.set(rule.host, (hosts.get(rule.host) ?? new Set()).add(port))
      continue
    }
    const list = ranges.get(port) ?? new BlockList()
    ranges.set(port, list)
    if ('range' in rule) list.addSubnet(rule.range[0], rule.range[1], familyOf(rule.range[0]))
    else list.addAddress(rule.address, familyOf(rule.address))
  }
  const isAllowed = (url: URL, address: string): boolean => {
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
    const ports = hosts.get(bare(url.hostname))
    if (ports?.has(port) || ports?.has(undefined)) return true
    return [port, undefined].some((one) => ranges.get(one)?.check(address, familyOf(address)))
  }

  const refusalOfAddress = (url: URL, address: string): string | undefined => {
    if (isAllowed(url, address)) return undefined
    if (!isPublic(address)) return isEverything ? undefined : 'its address is not a public one'
    return url.protocol === 'https:' ? undefined : 'it is not https'
  }

  return {
    refusalOfUrl(url) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'it is not https'
      if (url.username !== '' || url.password !== '') return 'it holds a user name or a password'
      const literal = bare(url.hostname)
      if (isIP(literal) !== 0) return refusalOfAddress(url, literal)
      // Only who may be talked to in plain http needs to be looked up to know.
      return url.protocol === 'http:' && allowed.length === 0 ? 'it is not https' : undefined
    },
    refusalOfAddress,
    isNamed: (host) => names.has(bare(host)),
  }
}

/** For URLs that nobody but the operator chooses. */
export const anyAddress: AddressRules = {
  refusalOfUrl: () => undefined,
  refusalOfAddress: () => undefined,
  isNamed: () => true,
}
