/**
 * GET and POST to hosts that somebody else named: key servers, webhooks of dapps.
 *
 * Guarantees: it talks to no address inside our network, except to those that the operator allows. The address is checked
 * where the connection is made, by the resolver that the connection itself uses, so a name that changes its mind between
 * check and use gains nothing. It is bounded: https (plain http only to allowed addresses), a few redirects of a GET (each
 * checked like the first request, those of a POST not followed), so many bytes, so much time for all of it together.
 * Every request settles by its time-out or its signal, whatever the host does: an upgrade, an interim answer, a closed
 * connection are ends, and the socket is destroyed. A gate, where there is one, holds places by host and by owner.
 */
import type { LookupAddress } from 'node:dns'
import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as plainRequest,
} from 'node:http'
import { request as secureRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { type ErrorCode, ProtocolError } from '../../protocol/errors.ts'
import { unlessAborted } from '../concurrency/unless-aborted.ts'
import { systemClock } from '../runtime/clock.ts'
import { type CallEnd, type HostGate, HostNotAsked } from './host-gate.ts'
import { type AddressRules, addressRules } from './public-address.ts'
import { createResolver, type Resolve } from './resolver.ts'

export interface PublicAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

export interface PublicRequest {
  /** For everything together, redirects and body included. */
  milliseconds: number
  /** Of the answer's body. 0: the status decides, and what follows it is not waited for. */
  bytes: number
  signal?: AbortSignal | undefined
  /** On whose behalf it is asked: places at a host are shared by it. */
  owner?: string
  headers?: Record<string, string>
  /** Makes it a POST. */
  body?: string | Uint8Array
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
  /** All addresses of a host. Default: a resolver of its own. */
  resolve?: Resolve
  /** Default: no bounds on how many requests there are at a time. */
  gate?: Pick<HostGate, 'enter'>
  /** Certificate authorities to trust instead of the well-known ones, PEM. */
  ca?: string
  redirects?: number
}

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

const hostOf = (url: URL): string => url.hostname.toLowerCase().replace(/\.$/, '')

/** The final answer. Whatever else a host may do is an end. */
const answerTo = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const end = (why: string) => {
      reject(unavailable(why))
      request.destroy()
    }
    request
      .once('response', resolve)
      .on('error', reject)
      .once('close', () => reject(unavailable('it closed the connection')))
      .once('timeout', () => end('it did not answer in time'))
      .once('information', () => end('it gave an interim answer'))
      .once('upgrade', (_, socket) => {
        socket.destroy()
        end('it switches protocols')
      })
  })

interface Attempt {
  signal: AbortSignal
  /** Whether a connection was made, the last time. */
  isConnected: boolean
}

/** The options with their defaults. */
const settingsOf = (options: PublicFetchOptions) => {
  const {
    rules = addressRules(),
    refusal = 'forbidden',
    resolve = createResolver({ clock: systemClock }, { isSystemName: rules.isNamed }),
    gate,
    ca,
    redirects = 3,
  } = options
  return { rules, refusal, resolve, gate, ca, redirects }
}
type FetchSettings = ReturnType<typeof settingsOf>

const refuse = (settings: FetchSettings, why: string | undefined): void => {
  if (why !== undefined) throw new ProtocolError(settings.refusal, why)
}

const lookupFor =
  (settings: FetchSettings, url: URL, signal: AbortSignal): LookupFunction =>
  (host, _, done) => {
    settings
      .resolve(host, signal)
      .then((addresses: LookupAddress[]) => {
        if (addresses.length === 0) throw unavailable('its name has no address')
        // One address inside among public ones is an attempt, not an accident.
        for (const { address } of addresses) refuse(settings, settings.rules.refusalOfAddress(url, address))
        done(null, addresses)
      })
      .catch((error: NodeJS.ErrnoException) => done(error, '', 4))
  }

const check = (settings: FetchSettings, url: URL) => {
  refuse(settings, settings.rules.refusalOfUrl(url))
  // Node asks no resolver about a literal address.
  const literal = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(literal) !== 0) refuse(settings, settings.rules.refusalOfAddress(url, literal))
}

const open = (
  settings: FetchSettings,
  url: URL,
  { headers, body }: PublicRequest,
  attempt: Attempt,
): Promise<IncomingMessage> => {
  const isSecure = url.protocol === 'https:'
  const request = (isSecure ? secureRequest : plainRequest)(url, {
    method: body === undefined ? 'GET' : 'POST',
    lookup: lookupFor(settings, url, attempt.signal),
    signal: attempt.signal,
    agent: false,
    headers: {
      Accept: 'application/json',
      'User-Agent': 'belfry',
      ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
      ...headers,
    },
    ...(settings.ca !== undefined && { ca: settings.ca }),
  })
  attempt.isConnected = false
  request.once('socket', (socket) =>
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      attempt.isConnected = true
    }),
  )
  const answer = answerTo(request)
  request.end(body)
  return answer
}

/** `moved`: the host leads elsewhere. */
const ask = async (
  settings: FetchSettings,
  url: URL,
  request: PublicRequest,
  attempt: Attempt,
  left: number,
): Promise<PublicAnswer | { moved: URL }> => {
  const response = await open(settings, url, request, attempt)
  const { statusCode: status = 0, headers } = response
  try {
    if (status >= 300 && status < 400 && headers.location !== undefined) {
      if (request.body !== undefined) throw unavailable('it redirects, which is not followed')
      if (left <= 0) throw unavailable('it redirects too often')
      return { moved: urlOf(headers.location, url) }
    }
    const body = request.bytes === 0 ? '' : await readText(response, request.bytes)
    return { status, headers, body }
  } finally {
    response.destroy()
  }
}

/** One request at one host, in a place of its own. */
const atHost = async (
  settings: FetchSettings,
  url: URL,
  request: PublicRequest,
  signal: AbortSignal,
  left: number,
) => {
  check(settings, url)
  const attempt: Attempt = { signal, isConnected: false }
  const leave = await settings.gate?.enter({ host: hostOf(url), owner: request.owner ?? '', signal })
  let end: CallEnd = 'answered'
  try {
    return await unlessAborted(ask(settings, url, request, attempt, left), signal)
  } catch (error) {
    // Whoever gave up, or asked for what is refused, says nothing about the host.
    const isOurs =
      request.signal?.aborted || (error instanceof ProtocolError && error.code === settings.refusal)
    if (!isOurs) end = attempt.isConnected ? 'failed' : 'unreachable'
    throw error
  } finally {
    leave?.(end)
  }
}

export const createPublicFetch = (options: PublicFetchOptions = {}): PublicFetch => {
  const settings = settingsOf(options)

  return async (start, request) => {
    const { milliseconds, signal } = request
    const timeout = AbortSignal.timeout(milliseconds)
    const ending = signal ? AbortSignal.any([timeout, signal]) : timeout
    let url = urlOf(start)
    try {
      for (let left = settings.redirects; ; left--) {
        const answer = await atHost(settings, url, request, ending, left)
        if (!('moved' in answer)) return answer
        url = answer.moved
      }
    } catch (error) {
      if (error instanceof HostNotAsked) throw error
      if (timeout.aborted) throw unavailable('it did not answer in time', error)
      if (error instanceof ProtocolError) throw error
      throw unavailable('it could not be asked', error)
    }
  }
}
