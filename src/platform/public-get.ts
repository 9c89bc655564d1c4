/**
 * GET over https from hosts that somebody else named: key servers, later webhooks.
 *
 * Guarantees: it never talks to an address inside our network. The address is checked where the connection is made, by
 * the resolver that the connection itself uses, so a name that changes its mind between check and use gains nothing.
 * It is bounded: https only, a few redirects (each checked like the first request), so many bytes, so much time.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { ProtocolError } from '../protocol/errors.ts'

export interface GetAnswer {
  status: number
  body: string
}

export type PublicGet = (
  url: string,
  limits: { milliseconds: number; bytes: number; signal?: AbortSignal | undefined },
) => Promise<GetAnswer>

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

export interface PublicGetOptions {
  /** Which addresses may be talked to. Default: public ones. */
  isAllowed?: (address: string) => boolean
  /** All addresses of a host. Default: the system's resolver. */
  resolve?: (host: string) => Promise<LookupAddress[]>
  /** Certificate authorities to trust instead of the well-known ones, PEM. */
  ca?: string
  redirects?: number
}

const systemResolve = (host: string): Promise<LookupAddress[]> =>
  new Promise((resolve, reject) => {
    dnsLookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })

const unavailable = (detail: string, cause?: unknown): ProtocolError =>
  new ProtocolError('unavailable', detail, cause === undefined ? undefined : { cause })

const readText = async (response: IncomingMessage, bytes: number): Promise<string> => {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    const piece = Buffer.from(chunk)
    length += piece.length
    if (length > bytes) throw unavailable('the answer is too long')
    chunks.push(piece)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Throws `unavailable` for everything that does not end in an answer, `key_server_refused` for an address inside. */
export const createPublicGet = (options: PublicGetOptions = {}): PublicGet => {
  const { isAllowed = isPublicAddress, resolve = systemResolve, ca, redirects = 3 } = options

  const lookup: LookupFunction = (host, _, done) => {
    resolve(host).then(
      (addresses) => {
        const [first] = addresses
        // One address inside among public ones is an attempt, not an accident.
        if (!first || !addresses.every(({ address }) => isAllowed(address))) {
          done(new ProtocolError('key_server_refused', 'its address is not a public one'), '', 4)
        } else done(null, addresses)
      },
      (error: NodeJS.ErrnoException) => done(error, '', 4),
    )
  }

  const open = (url: URL, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolved, rejected) => {
      if (url.protocol !== 'https:') throw new ProtocolError('key_server_refused', 'it is not https')
      // Node asks no resolver about a literal address.
      const literal = url.hostname.replace(/^\[|\]$/g, '')
      if (isIP(literal) !== 0 && !isAllowed(literal)) {
        throw new ProtocolError('key_server_refused', 'its address is not a public one')
      }
      request(
        url,
        {
          lookup,
          signal,
          agent: false,
          headers: { Accept: 'application/json', 'User-Agent': 'belfry' },
          ...(ca !== undefined && { ca }),
        },
        resolved,
      )
        .once('error', rejected)
        .end()
    })

  return async (start, { milliseconds, bytes, signal }) => {
    const timeout = AbortSignal.timeout(milliseconds)
    const ending = signal ? AbortSignal.any([timeout, signal]) : timeout
    let url = new URL(start)
    try {
      for (let left = redirects; ; left--) {
        const response = await open(url, ending)
        const { statusCode: status = 0, headers } = response
        if (status >= 300 && status < 400 && headers.location !== undefined) {
          response.destroy()
          if (left <= 0) throw unavailable('it redirects too often')
          url = new URL(headers.location, url)
          continue
        }
        try {
          return { status, body: await readText(response, bytes) }
        } finally {
          response.destroy()
        }
      }
    } catch (error) {
      if (error instanceof ProtocolError) throw error
      throw unavailable(timeout.aborted ? 'it did not answer in time' : 'it could not be asked', error)
    }
  }
}
