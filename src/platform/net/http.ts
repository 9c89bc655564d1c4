/**
 * What every room's `net/http.ts` does the same way: read a JSON body within limits, and answer a failure.
 *
 *     const app = new Hono()
 *     app.onError(httpErrors(log))
 *     app.notFound(noSuchPath)
 *     app.use(wrongMethods(app))
 *     app.post('/things', jsonBody(Thing), (c) => c.json(service.add(c.req.valid('json'))))
 *
 * A failure is `{"error": sentence, "code", "field"?, "id"?}` with the status of the vocabulary in `protocol/errors`.
 * `field` names what is wrong with the input (`notification.title`, `[0].accounts[3]`); `id` is there when the fault is
 * ours, and is what the log has too. A room whose published answers look otherwise (keys) translates with its own
 * handler and still uses `asProtocolError`.
 */
import type { Context, Env, ErrorHandler, Hono, MiddlewareHandler, NotFoundHandler, Schema } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type * as z from 'zod'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Log } from '../telemetry.ts'
import { checked } from '../validate.ts'

/** Bytes of a body that are read at most, unless a route says otherwise. */
export const MAX_BODY_BYTES = 1024 * 1024
/** Brackets that may be open at once in a body. Nothing that we take needs more than a handful. */
const MAX_JSON_DEPTH = 64

export interface Failure {
  error: string
  code: string
  field?: string
  id?: string
}

/** The expected failure behind what was thrown, or undefined when it is a defect. */
export const asProtocolError = (thrown: unknown): ProtocolError | undefined => {
  if (thrown instanceof ProtocolError) return thrown
  // Hono's own, thrown by its helpers.
  if (thrown instanceof HTTPException && thrown.status < 500) {
    return new ProtocolError('bad_request', thrown.message, { cause: thrown })
  }
  return undefined
}

/** Seconds after which a caller may try again. */
const RETRY_SOON_S = '1'
const RETRY_LATER_S = '5'

/** The headers that tell a caller what to do about its failure. */
export const setRetryHeaders = (c: Context, { code, http, retryAfter }: ProtocolError): void => {
  if (http === 401) c.header('WWW-Authenticate', 'Bearer')
  if (code === 'rate_limited')
    c.header('Retry-After', retryAfter === undefined ? RETRY_SOON_S : `${retryAfter}`)
  if (code === 'unavailable' || code === 'store_full') c.header('Retry-After', RETRY_LATER_S)
}

const answer = (
  c: Context,
  error: ProtocolError,
  id?: string,
  headers?: Record<string, string>,
): Response => {
  const failure: Failure = {
    error: error.message,
    code: error.code,
    ...(error.field !== undefined && { field: error.field }),
    ...(id !== undefined && { id }),
  }
  setRetryHeaders(c, error)
  return c.json(failure, error.http, headers)
}

/**
 * For `app.onError`. What is not a `ProtocolError` is logged with an id, and the caller sees that id only. What is
 * `unavailable` has no id: the log does not tell of each request that met the same trouble.
 */
export const httpErrors =
  (log: Log, newId: () => string = () => globalThis.crypto.randomUUID()): ErrorHandler =>
  (thrown, c) => {
    const known = asProtocolError(thrown)
    if (known && (known.http < 500 || known.code === 'store_full')) return answer(c, known)
    const { path, method } = c.req
    if (known?.code === 'unavailable') {
      log.warn({ err: known, method, path }, 'An HTTP request could not be served now')
      return answer(c, known)
    }
    const id = newId()
    log.error({ err: thrown, id, method, path }, 'An HTTP request failed unexpectedly')
    return answer(c, known ?? new ProtocolError('internal'), id)
  }

/** For `app.notFound`. */
export const noSuchPath: NotFoundHandler = (c) => answer(c, new ProtocolError('not_found'))

/** 405 with `Allow` where `app` (or what is mounted in it) has the path, but not with this method. */
export const wrongMethods = <E extends Env, S extends Schema, P extends string>(
  app: Hono<E, S, P>,
): MiddlewareHandler =>
  methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) =>
      answer(c, new ProtocolError('method_not_allowed'), undefined, { Allow: methods.join(', ') }),
  })

/** The body as bytes. Stops reading at the limit (`too_large`), whatever Content-Length claims. */
export const readBody = async (request: Request, limit: number = MAX_BODY_BYTES): Promise<Uint8Array> => {
  const tooLarge = () => new ProtocolError('too_large', `at most ${limit} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge()
  const reader = request.body?.getReader()
  if (!reader) return new Uint8Array()
  /** A sender that goes away in the middle is nobody's defect. */
  const nextChunk = async () => {
    try {
      return await reader.read()
    } catch (cause) {
      throw new ProtocolError('bad_request', 'it broke off', { cause })
    }
  }
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await nextChunk()
    if (done) break
    length += value.byteLength
    if (length > limit) {
      // Not awaited: a sender that goes on sending must not hold up the answer.
      reader.cancel().catch(() => {})
      throw tooLarge()
    }
    chunks.push(value)
  }
  const [only] = chunks
  if (chunks.length === 1 && only) return only
  const body = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.byteLength
  }
  return body
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Throws when brackets outside strings nest deeper than the limit; cheap, and before anything recursive sees it. */
const checkDepth = (text: string): void => {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (inString) {
      if (char === 0x5c) at++
      else if (char === 0x22) inString = false
    } else if (char === 0x22) inString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > MAX_JSON_DEPTH) throw new ProtocolError('bad_request', 'it is nested too deeply')
    } else if (char === 0x5d || char === 0x7d) depth--
  }
}

/** `application/json` and `application/anything+json`, with or without parameters. */
const JSON_MEDIA = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i

/** The text of a JSON body, not yet parsed: `unsupported_media`, `too_large`, `bad_request` (not UTF-8, too deep). */
export const readJsonText = async (request: Request, limit: number = MAX_BODY_BYTES): Promise<string> => {
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  if (encoding.toLowerCase() !== 'identity') {
    throw new ProtocolError('unsupported_media', 'without a content encoding')
  }
  if (!JSON_MEDIA.test(request.headers.get('content-type')?.trim() ?? '')) {
    throw new ProtocolError('unsupported_media', 'with Content-Type: application/json')
  }
  return jsonTextOf(await readBody(request, limit))
}

/** The text of JSON that was read as bytes: `bad_request` (not UTF-8, too deep). */
const jsonTextOf = (bytes: Uint8Array): string => {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch (cause) {
    throw new ProtocolError('bad_request', 'it is not UTF-8', { cause })
  }
  checkDepth(text)
  return text
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('bad_json', undefined, { cause })
  }
}

/** For who needs the bytes of a body, too: `bad_request` (not UTF-8, too deep), `bad_json`. */
export const jsonOf = (bytes: Uint8Array): unknown => parsed(jsonTextOf(bytes))

/** The body as JSON, not yet checked: `unsupported_media`, `too_large`, `bad_request` (not UTF-8, too deep), `bad_json`. */
export const readJson = async (request: Request, limit: number = MAX_BODY_BYTES): Promise<unknown> =>
  parsed(await readJsonText(request, limit))

/** Middleware: reads and checks a JSON body; the handler gets it with `c.req.valid('json')`. */
export const jsonBody =
  <S extends z.ZodType<object>>(
    schema: S,
    limit: number = MAX_BODY_BYTES,
    // biome-ignore lint/complexity/noBannedTypes: hono's own name for "no variables"
  ): MiddlewareHandler<{}, string, { in: { json: z.input<S> }; out: { json: z.output<S> } }> =>
  async (c, next) => {
    c.req.addValidatedData('json', checked(schema, await readJson(c.req.raw, limit)))
    await next()
  }
