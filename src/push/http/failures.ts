/** Failures in the published push server's shape. */
import type { Context, ErrorHandler } from 'hono'
import { asProtocolError, setRetryHeaders } from '../../platform/net/http.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'

export const SUCCESS = { status: 'SUCCESS' }

const answer = (c: Context, error: ProtocolError, id?: string): Response => {
  setRetryHeaders(c, error)
  const message = id === undefined ? error.message : `${error.message} (${id})`
  const { field } = error
  return c.json(
    {
      status: 'FAILURE',
      errors: [{ name: error.code, message }],
      fields: field === undefined ? [] : [{ field, description: error.message, location: 'body' }],
    },
    // Published callers know no 422.
    error.http === 422 ? 400 : error.http,
  )
}

export const publishedFailures =
  (log: Log, newId: () => string = () => globalThis.crypto.randomUUID()): ErrorHandler =>
  (thrown, c) => {
    const known = asProtocolError(thrown)
    const { path, method } = c.req
    if (known && (known.http < 500 || known.code === 'store_full')) return answer(c, known)
    if (known?.code === 'unavailable') {
      log.warn({ err: known, method, path }, 'A push request could not be served now')
      return answer(c, known)
    }
    const id = newId()
    log.error({ err: thrown, id, method, path }, 'A push request failed unexpectedly')
    return answer(c, known ?? new ProtocolError('internal'), id)
  }
