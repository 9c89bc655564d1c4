/**
 * JSON over HTTP as the clients use it: bounded in time and size, and with failures of one kind. Node and browsers.
 */
import { fromUtf8 } from '../../protocol/bytes.ts'
import { fromSentence, ProtocolError } from '../../protocol/errors.ts'
import type { Clock } from '../runtime/clock.ts'

export interface FetchDeps {
  clock: Clock
  fetch: typeof globalThis.fetch
  /** Ends every request. */
  signal?: AbortSignal
}

export interface JsonRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: unknown
  signal?: AbortSignal
  /** How long an answer may take, ms. Default: 15 s. */
  patience?: number
}

export interface JsonAnswer {
  status: number
  /** Undefined when the answer was empty. */
  body: unknown
  /** When it is of use to ask again, s from now; only where the answer says so. */
  retryAfter?: number
}

const DEFAULT_TIMEOUT_MS = 15_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The whole body, in UTF-8. Throws `too_large` beyond that many bytes; the rest is not taken. */
export const readText = async (response: Response, most: number): Promise<string> => {
  if (!response.body) {
    // An empty one; in React Native each of them, where the whole body has come already.
    const text = await response.text()
    if (text.length > most) throw new ProtocolError('too_large', 'the answer')
    return text
  }
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = response.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > most) {
      await reader.cancel()
      throw new ProtocolError('too_large', 'the answer')
    }
    chunks.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return fromUtf8(bytes)
}

const read = async (response: Response): Promise<unknown> => {
  const text = await readText(response, MAX_ANSWER_BYTES)
  return text.trim() === '' ? undefined : JSON.parse(text)
}

/** Seconds, or a date (RFC 9110 §10.2.3); undefined for neither. */
const retryAfterOf = (header: string | null, now: number): number | undefined => {
  if (header === null) return undefined
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1000
  return Number.isNaN(seconds) ? undefined : Math.max(0, Math.ceil(seconds))
}

/** Any status is an answer. Throws `unavailable` when there is none in time, or none that is JSON. */
export const fetchJson = async (
  { clock, fetch, signal: end }: FetchDeps,
  url: string,
  { method = 'GET', headers = {}, body, signal, patience = DEFAULT_TIMEOUT_MS }: JsonRequest = {},
): Promise<JsonAnswer> => {
  const controller = new AbortController()
  const abort = () => controller.abort()
  for (const one of [signal, end]) {
    one?.addEventListener('abort', abort, { once: true })
    if (one?.aborted) abort()
  }
  const timer = clock.after(patience, abort)
  try {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: controller.signal,
    })
    const retryAfter = retryAfterOf(response.headers.get('retry-after'), clock.now())
    return {
      ...{ status: response.status, body: await read(response) },
      ...(retryAfter !== undefined && { retryAfter }),
    }
  } catch (cause) {
    if (cause instanceof ProtocolError && cause.code === 'too_large') throw cause
    // Without the query: it may hold a token.
    throw new ProtocolError('unavailable', `no answer from ${url.split('?')[0]}`, { cause })
  } finally {
    timer[Symbol.dispose]()
    for (const one of [signal, end]) one?.removeEventListener('abort', abort)
  }
}

/** What a status means when the answer does not say it in our words. */
const codeOf = (status: number) => {
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  if (status === 404) return 'not_found'
  if (status === 409) return 'conflict'
  if (status === 413) return 'too_large'
  if (status === 422) return 'bad_params'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'unavailable' : 'bad_request'
}

/** The failure behind an answer with an error status: what its sentence says where that is ours, else the status. */
export const httpFailure = (
  status: number,
  sentence = '',
  field?: string,
  retryAfter?: number,
): ProtocolError => {
  const options = { ...(field !== undefined && { field }), ...(retryAfter !== undefined && { retryAfter }) }
  return (
    fromSentence(sentence, options) ??
    new ProtocolError(codeOf(status), sentence || `HTTP ${status}`, options)
  )
}
