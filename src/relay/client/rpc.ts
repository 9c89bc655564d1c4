/** The relay over HTTP: one request, one answer (`POST /rpc`), and the key that signs its watch events. For servers. */
import * as z from '#schema'
import { type FetchDeps, fetchJson, httpFailure } from '../../platform/net/fetch-json.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { CLIENT_TOKEN_LIFE_S } from '../../protocol/client-token.ts'
import { ed25519Did } from '../../protocol/did.ts'
import { fromRpcFailure, ProtocolError } from '../../protocol/errors.ts'
import { parseRpc, payloadIds } from '../../protocol/jsonrpc.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'

export interface RelayRpc {
  /** Rejects with what the relay answered, or with `unavailable`. */
  call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown>
  /** Signs claims for the relay, good for so many seconds. */
  sign(claims: Record<string, unknown>, seconds: number): string
  /** did:key of the relay. */
  relayKey(): Promise<string>
}

const KEY_TIMEOUT_MS = 15_000

/** Undefined for what is no JSON-RPC. */
const rpcOf = (body: unknown): ReturnType<typeof parseRpc> | undefined => {
  try {
    return parseRpc(JSON.stringify(body))
  } catch {
    return undefined
  }
}

const Refusal = z.object({ error: z.string() })

/**
 * What stands before the relay says no in words of its own: its guard of addresses, or a proxy. The relay itself says in JSON-RPC
 * what is wrong with a request, so these words are not about the request: it may be made again.
 */
const refusalOf = (status: number, body: unknown, retryAfter: number | undefined): ProtocolError => {
  const refusal = httpFailure(status, Refusal.safeParse(body).data?.error, undefined, retryAfter)
  if (refusal.code !== 'bad_request' && refusal.code !== 'bad_params') return refusal
  return new ProtocolError('unavailable', 'what answers is no relay', { cause: refusal })
}

export const createRelayRpc = (
  deps: FetchDeps & { randomBytes: (length: number) => Uint8Array },
  options: { url: string; key: SigningKey; projectId?: string | undefined },
): RelayRpc => {
  const { clock, fetch, randomBytes } = deps
  const { key, projectId } = options
  const base = new URL(options.url.replace(/^ws/, 'http'))
  const nextId = payloadIds(clock.now, randomBytes)
  const sub = toHex(randomBytes(32))
  const address = new URL('/rpc', base)
  if (projectId !== undefined) address.searchParams.set('projectId', projectId)

  const sign: RelayRpc['sign'] = (claims, seconds) => {
    const iat = Math.floor(clock.now() / 1000)
    return signJwt({ iss: key.did, aud: base.origin, ...claims, iat, exp: iat + seconds }, key)
  }

  return {
    sign,
    async call(method, params, signal) {
      const { status, body, retryAfter } = await fetchJson(deps, address.href, {
        method: 'POST',
        headers: { authorization: `Bearer ${sign({ sub }, CLIENT_TOKEN_LIFE_S)}` },
        body: { id: nextId(), jsonrpc: '2.0', method, params },
        ...(signal && { signal }),
      })
      const answer = body === undefined ? undefined : rpcOf(body)
      if (answer?.kind === 'result') return answer.result
      if (answer?.kind === 'failure') throw fromRpcFailure(answer.code, answer.message)
      throw refusalOf(status, body, retryAfter)
    },
    async relayKey() {
      const timeout = new AbortController()
      const timer = clock.after(KEY_TIMEOUT_MS, () => timeout.abort())
      try {
        const response = await fetch(new URL('/public-key', base), { signal: timeout.signal })
        const text = (await response.text()).trim()
        if (!response.ok) throw httpFailure(response.status)
        return ed25519Did(fromHex(text))
      } catch (cause) {
        if (cause instanceof ProtocolError && cause.code !== 'bad_params') throw cause
        throw new ProtocolError('unavailable', 'the relay does not tell its key', { cause })
      } finally {
        timer[Symbol.dispose]()
      }
    },
  }
}
