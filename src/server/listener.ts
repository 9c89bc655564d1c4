/** The main port, open before there is anything to serve: until then every request is answered with 503. */
import type { Server } from 'node:http'
import type { Hono } from 'hono'
import type { Budgets } from '../platform/budgets/budgets.ts'
import { type ClientAddress, createProxyTrust } from '../platform/net/client-address.ts'
import type { ReleaseStack } from '../platform/runtime/release-stack.ts'
import type { Config } from './config/config.ts'
import { operatorCheck } from './console/operator.ts'
import { closeServer, createHttpServer, listen } from './http.ts'
import { createHttpGuard } from './http-guard.ts'
import type { Runtime } from './runtime.ts'

export interface Listener {
  readonly server: Server
  readonly port: number
  /** From now on requests are answered by this. */
  serve(fetch: Hono['fetch']): void
}

/** Throws `StartError` when the port cannot be had. */
export const openListener = async (
  { trustedProxies, port, host }: Pick<Config, 'trustedProxies' | 'port' | 'host'>,
  deps: Pick<Runtime, 'clock' | 'log' | 'metrics'> & {
    budgets: Budgets
    addressOf: ClientAddress
    adminToken: string
    isBlocked: (address: string) => boolean
    owned: ReleaseStack
  },
): Promise<Listener> => {
  const { clock, log, metrics: meter, budgets, addressOf, isBlocked, owned } = deps
  let fetch: Hono['fetch'] | undefined
  const isProxy = createProxyTrust(trustedProxies)
  const isOperator = operatorCheck(deps.adminToken)
  const server = createHttpServer(
    (request, env, context) => fetch?.(request, env, context) ?? new Response(null, { status: 503 }),
    log,
    createHttpGuard({ budgets, addressOf, isProxy, isOperator, isBlocked, clock, meter }),
  )
  owned.defer(() => closeServer(server))
  return {
    server,
    port: await listen(server, port, host),
    serve(next) {
      fetch = next
    },
  }
}
