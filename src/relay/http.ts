/**
 * The relay over HTTP, for callers that publish and fetch without a connection.
 *
 * | | |
 * |---|---|
 * | `GET /public-key` | the Ed25519 key that signs watch events, hex text |
 * | `POST /rpc?auth=…` or `Authorization: Bearer …` | one JSON-RPC request, ≤ 1 MiB; 200 with the JSON-RPC answer, also when that is an error |
 * | 400 | the body is not JSON, or not UTF-8 |
 * | 401, 403 | no or a wrong token; an unknown project id, or a client that the operator has blocked |
 * | 413, 429 | too large; too many requests |
 * | 503 | the store does not answer in time; what was asked may have its effect, and may be asked again |
 *
 * Every body is a JSON-RPC message. A caller without a connection is pushed nothing: it fetches.
 */
import { type Context, Hono } from 'hono'
import { readBody, setRetryHeaders } from '../platform/net/http.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { fromUtf8, toHex } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { rpcFailure } from '../protocol/jsonrpc.ts'
import { LIMITS } from '../protocol/relay-methods.ts'
import { type Admission, admit, credentialsOf } from './auth.ts'
import type { Identified, RelayHub } from './hub.ts'

const textOf = (body: Uint8Array): string => {
  try {
    return fromUtf8(body)
  } catch (cause) {
    throw new ProtocolError('bad_json', 'it is not UTF-8', { cause })
  }
}

export const relayRoutes = (
  deps: {
    hub: RelayHub
    /** Who pays for a request. */
    addressOf: (c: Context) => string
    /** Throws `blocked` for whom the operator keeps out. */
    demandUnblocked?: (who: Identified) => void
    clock: Clock
    log: Log
    publicKey?: Uint8Array
  },
  admission: Admission = {},
): Hono => {
  const { hub, addressOf, demandUnblocked, clock, log, publicKey } = deps
  const routes = new Hono()

  if (publicKey) routes.get('/public-key', (c) => c.text(toHex(publicKey)))

  routes.post('/rpc', async (c) => {
    c.header('Content-Type', 'application/json')
    try {
      const query = new URL(c.req.url).searchParams
      const { clientId } = admit(credentialsOf(query, c.req.header('authorization')), clock.now(), admission)
      const who = { clientId, address: addressOf(c) }
      if (!hub.trusts(clientId)) demandUnblocked?.(who)
      const text = textOf(await readBody(c.req.raw, LIMITS.frameBytes))
      return c.body(await hub.call(who, text))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      setRetryHeaders(c, error)
      log.debug({ code: error.code }, 'A relay request over HTTP was refused')
      return c.body(
        rpcFailure(null, error.rpc, error.message),
        error.code === 'bad_request' ? 200 : error.http,
      )
    }
  })
  return routes
}
