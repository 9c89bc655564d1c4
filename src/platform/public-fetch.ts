/**
 * GET and POST to hosts that somebody else named: key servers, webhooks of dapps.
 *
 * Guarantees: it talks to no address inside our network, except to those that the operator allows. The address is checked
 * where the connection is made, by the resolver that the connection itself uses, so a name that changes its mind between
 * check and use gains nothing. It is bounded: https (plain http only to allowed addresses), a few redirects of a GET (each
 * checked like the first request, those of a POST not followed), so many bytes, so much time for all of it together.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { type IncomingHttpHeaders, type IncomingMessage, request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { type AddressRules, addressRules } from './public-address.ts'

export interface PublicAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

export interface PublicRequest {
  /** For everything together, redirects and body included. */
  milliseconds: number
  /** Of the answer's body. */
  bytes: number
  signal?: AbortSignal | undefined
  headers?: Record<string, string>
  /** Makes it a POST. */
  body?: string
}

/**
 * Throws the `refusal` for an address that this server does not talk to, `unavailable` for everything else that does not
 * end in an answer, `bad_params` for what is no URL.
 */
export type PublicFetch = (url: string, request: PublicRequest) => Promise<PublicAnswer>

export interface PublicFetchOptions {
  rules?: AddressRules
  /** With which code an address is refused. Default: `forbidden`. */
  refusal?: ErrorCode
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
  // Said before it is sent: the rest need not be waited for.
  if (Number(response.headers['content-length'] ?? 0) > bytes) throw unavailable('the answer is too long')
  for await (const chunk of response) {
    const piece = Buffer.from(chunk)
    length += piece.length
    if (length > bytes) throw unavailable('the answer is too long')
    chunks.push(piece)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const urlOf = (text: string, base?: URL): URL => {
  if (!URL.canParse(text, base)) throw new ProtocolError('bad_params', 'it is not a URL')
  return new URL(text, base)
}

export const createPublicFetch = (options: PublicFetchOptions = {}): PublicFetch => {
  const {
    rules = addressRules(),
    refusal = 'forbidden',
    resolve = systemResolve,
    ca,
    redirects = 3,
  } = options

  const refuse = (why: string | undefined): void => {
    if (why !== undefined) throw new ProtocolError(refusal, why)
  }

  const lookupFor =
    (url: URL): LookupFunction =>
    (host, _, done) => {
      resolve(host)
        .then((addresses) => {
          if (addresses.length === 0) throw unavailable('its name has no address')
          // One address inside among public ones is an attempt, not an accident.
          for (const { address } of addresses) refuse(rules.refusalOfAddress(url, address))
          done(null, addresses)
        })
        .catch((error: NodeJS.ErrnoException) => done(error, '', 4))
    }

  const open = (url: URL, { headers, body }: PublicRequest, signal: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolved, rejected) => {
      refuse(rules.refusalOfUrl(url))
      // Node asks no resolver about a literal address.
      const literal = url.hostname.replace(/^\[|\]$/g, '')
      if (isIP(literal) !== 0) refuse(rules.refusalOfAddress(url, literal))
      const request = url.protocol === 'https:' ? secureRequest : plainRequest
      request(
        url,
        {
          method: body === undefined ? 'GET' : 'POST',
          lookup: lookupFor(url),
          signal,
          agent: false,
          headers: {
            Accept: 'application/json',
            'User-Agent': 'belfry',
            ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
            ...headers,
          },
          ...(ca !== undefined && { ca }),
        },
        resolved,
      )
        .once('error', rejected)
        .end(body)
    })

  return async (start, request) => {
    const { milliseconds, bytes, signal, body } = request
    const timeout = AbortSignal.timeout(milliseconds)
    const ending = signal ? AbortSignal.any([timeout, signal]) : timeout
    let url = urlOf(start)
    try {
      for (let left = redirects; ; left--) {
        const response = await open(url, request, ending)
        const { statusCode: status = 0, headers } = response
        try {
          if (status >= 300 && status < 400 && headers.location !== undefined) {
            if (body !== undefined) throw unavailable('it redirects, which is not followed')
            if (left <= 0) throw unavailable('it redirects too often')
            url = urlOf(headers.location, url)
            continue
          }
          return { status, headers, body: await readText(response, bytes) }
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
