/**
 * Nodes of chains for wallets in browsers, as published clients ask `rpc.walletconnect.org`: they look whether an account is a
 * contract before they register it. Without a node unless the operator says so, because every call is the operator's: a client that
 * hears of no node takes the account for one of a key.
 *
 * | method, path | answer |
 * |---|---|
 * | POST /v1?chainId=eip155:1 | one JSON-RPC request, ≤ 16 KiB; 200 with what the node answered |
 * | | 404 a chain without a node · 422 another method than `METHODS`, or a batch · 429 · 503 the node does not answer |
 *
 * Only what reads the present state is passed on, for these cost a node little and nobody can do harm with them. Answers are not
 * kept: a contract may be deployed at any moment. Published clients do not all say that their text is JSON.
 */
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import type { Payer } from '../platform/budgets/payer.ts'
import type { RateLimits } from '../platform/budgets/rate-limits.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { httpErrors, jsonOf, readBody } from '../platform/net/http.ts'
import type { PublicFetch } from '../platform/net/public-fetch.ts'
import type { Log } from '../platform/telemetry.ts'
import { checked } from '../platform/validate.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { CHAIN_RATES } from './limits.ts'

const MAX_BODY_BYTES = 16 * 1024
const NODE_LIMITS = { milliseconds: 5_000, bytes: 64 * 1024 }
const METHODS = [
  ...(['eth_getCode', 'eth_call', 'eth_chainId', 'eth_blockNumber', 'eth_getBalance'] as const),
  ...(['eth_getTransactionCount', 'net_version'] as const),
] as const

export const ChainQuery = z.object({ chainId: z.string().regex(/^eip155:\d{1,32}$/) })
export const Call = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.number(), z.string().max(64)]),
  method: z.enum(METHODS),
  params: z.array(z.unknown()).max(3).default([]),
})
/** A node's answer is passed on as far as it is one. */
const Answer = z.union([
  z.object({ result: z.unknown() }),
  z.object({ error: z.object({ code: z.number(), message: z.string() }).loose() }),
])

interface ChainsDeps {
  /** To the operator's own nodes. */
  fetch: PublicFetch
  limits: RateLimits<keyof typeof CHAIN_RATES>
  payerFor: (c: Context) => Payer
  /** Whose rate of calls it is. */
  nameOf: (c: Context) => string
  log: Log
}

export const chainRoutes = (
  { fetch, limits, payerFor, nameOf, log }: ChainsDeps,
  /** By CAIP-2 chain. */
  { rpcUrls }: { rpcUrls: Readonly<Record<string, string>> },
): Hono => {
  const urls = new Map(Object.entries(rpcUrls))

  const askNode = async (url: string, chain: string, body: string): Promise<z.infer<typeof Answer>> => {
    try {
      const headers = { 'Content-Type': 'application/json' }
      return Answer.parse(JSON.parse((await fetch(url, { ...NODE_LIMITS, headers, body })).body))
    } catch (err) {
      log.warn({ err, chain }, 'The RPC endpoint of a chain could not be asked')
      throw new ProtocolError('unavailable', 'the chain could not be asked', { cause: err })
    }
  }

  const app = new Hono()
  app.onError(httpErrors(log))
  for (const path of ['/v1', '/v1/']) {
    app.use(
      path,
      cors({ origin: '*', allowMethods: ['POST'], exposeHeaders: ['Retry-After'], maxAge: 86_400 }),
    )
    app.post(path, async (c) => {
      const { id, method, params } = checked(Call, jsonOf(await readBody(c.req.raw, MAX_BODY_BYTES)))
      const { chainId } = checked(ChainQuery, c.req.query())
      const url = urls.get(chainId)
      if (url === undefined) throw new ProtocolError('not_found', `there is no node of ${chainId}`)
      await payerFor(c).work(WORK_COST.lookUp)
      await limits.take('chainCall', nameOf(c))
      const request = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
      return c.json({ jsonrpc: '2.0', id, ...(await askNode(url, chainId, request)) })
    })
  }
  return app
}
