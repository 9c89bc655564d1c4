/**
 * POST to a provider that the operator chose, over connections that are kept. Unlike `platform/net/public-fetch` it is for hosts
 * that no stranger names, and for thousands of requests to one of them.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { ProtocolError } from '../../protocol/errors.ts'

const MAX_SOCKETS = 64
/** Providers close idle connections after a minute or more. */
const IDLE_MS = 30_000

export interface ProviderAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** Undefined where it breaks off or does not end: the status stands nevertheless. */
  body: string | undefined
}

interface ProviderPost {
  headers: Record<string, string>
  body: string
  milliseconds: number
  /** Of the answer. */
  bytes: number
  signal: AbortSignal
}

export interface ProviderRequests extends Disposable {
  /** Throws `unavailable` for everything that does not lead to an answer of at most so many bytes. */
  post(url: string, request: ProviderPost): Promise<ProviderAnswer>
}

const readAll = async (response: IncomingMessage, bytes: number): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response) {
      const piece = Buffer.from(chunk)
      length += piece.length
      if (length > bytes) break
      chunks.push(piece)
    }
  } catch {
    return undefined
  }
  if (length > bytes) throw new Error('the answer is too long')
  return Buffer.concat(chunks).toString('utf8')
}

/** `ca`: certificate authorities to trust instead of the well-known ones, PEM. */
export const createProviderRequests = ({ ca }: { ca: string | undefined }): ProviderRequests => {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    timeout: IDLE_MS,
    ...(ca !== undefined && { ca }),
  })
  return {
    async post(url, { headers, body, milliseconds, bytes, signal }) {
      const ending = AbortSignal.any([AbortSignal.timeout(milliseconds), signal])
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          const length = String(Buffer.byteLength(body))
          const sent = request(url, {
            method: 'POST',
            agent,
            signal: ending,
            headers: { 'User-Agent': 'belfry', 'Content-Length': length, ...headers },
          })
          sent
            .once('response', resolve)
            .on('error', reject)
            .once('close', () => reject(new Error('it closed the connection')))
          sent.end(body)
        })
        const text = await readAll(response, bytes)
        return { status: response.statusCode ?? 0, headers: response.headers, body: text }
      } catch (cause) {
        const why = ending.aborted ? 'it did not answer in time' : 'it could not be asked'
        throw new ProtocolError('unavailable', why, { cause })
      }
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}
