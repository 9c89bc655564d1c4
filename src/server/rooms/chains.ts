/** Nodes of chains for wallets, put together: the operator's own, which may be anywhere. */
import type { Context, Hono } from 'hono'
import { chainRoutes } from '../../chains/http.ts'
import { CHAIN_RATES } from '../../chains/limits.ts'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { createHostGate } from '../../platform/net/host-gate.ts'
import { anyAddress } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'

/** Strangers' calls under way: the nodes are also asked whether contract wallets signed. */
const NODE_CALLS = { all: 32, perHost: 16, perOwner: 16, waiting: 64 }

/** Where the operator passes nothing on there is no node of any chain: pages are told so, and go on as for accounts of a key. */
export const buildChains = (context: RoomContext): Hono => {
  const { config, stores, clock, log, payerFor, payerOf, addressOf } = context
  const rpcUrls = config.rpcProxy === 'on' ? (config.rpcUrls ?? {}) : {}
  const fetch = createPublicFetch({ rules: anyAddress, gate: createHostGate({ clock }, NODE_CALLS) })
  const limits = createRateLimits(stores.buckets, CHAIN_RATES, config.limits)
  const nameOf = (c: Context) => payerOf(contextAddress(addressOf)(c))
  return chainRoutes({ fetch, limits, payerFor, nameOf, log }, { rpcUrls })
}
