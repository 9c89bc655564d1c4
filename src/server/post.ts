/**
 * POST to webhooks that somebody else named. Like `platform/public-get`: the address is checked where the connection is
 * made, by the resolver that the connection itself uses. No redirect is followed; answers are read up to a bound and
 * thrown away.
 */
import { lookup as dnsLookup } from 'node:dns'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isPublicAddress } from '../platform/public-get.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Post } from '../relay/watch-events.ts'

const refused = () => new ProtocolError('forbidden', 'its address is not a public one')

/** With `anywhere`, also to addresses inside our network and without TLS. */
export const createPost = ({ anywhere }: { anywhere: boolean }): Post => {
  const isAllowed = (address: string) => anywhere || isPublicAddress(address)
  const lookup: LookupFunction = (host, _, done) => {
    dnsLookup(host, { all: true }, (error, addresses) => {
      if (error) done(error, '', 4)
      else if (!addresses.every(({ address }) => isAllowed(address))) done(refused(), '', 4)
      else done(null, addresses)
    })
  }

  return async (text, { headers, body }, { milliseconds, bytes, signal }) => {
    const url = new URL(text)
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) !== 0 && !isAllowed(literal)) throw refused()
    if (url.protocol !== 'https:' && !anywhere) throw new ProtocolError('forbidden', 'it is not https')
    const timeout = AbortSignal.timeout(milliseconds)
    const ending = signal ? AbortSignal.any([timeout, signal]) : timeout
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const open = url.protocol === 'https:' ? requestHttps : requestHttp
      const length = { 'content-length': String(Buffer.byteLength(body)), 'user-agent': 'belfry' }
      const options = {
        method: 'POST',
        lookup,
        signal: ending,
        agent: false,
        headers: { ...headers, ...length },
      }
      open(url, options, resolve).once('error', reject).end(body)
    })
    try {
      let length = 0
      for await (const chunk of response) {
        length += Buffer.from(chunk).length
        if (length > bytes) break
      }
      return { status: response.statusCode ?? 0 }
    } finally {
      response.destroy()
    }
  }
}
