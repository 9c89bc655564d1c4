/**
 * `/metrics` on a port of its own, which only this machine reaches unless an address is named: they tell of everybody's
 * traffic, and no proxy has to keep them from the world. It has the guard of the main port, with budgets of its own: who
 * floods the one keeps nobody from the other.
 */
import { type BudgetSizes, createBudgets } from '../../platform/budgets/budgets.ts'
import type { ShareSizes } from '../../platform/budgets/shares.ts'
import type { Buckets } from '../../platform/budgets/token-buckets.ts'
import { createClientAddress } from '../../platform/net/client-address.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { Config } from '../config/config.ts'
import { type HostAndPort, writtenAddress } from '../config/settings/address.ts'
import { METRICS_PORT } from '../config/settings/operations.ts'
import { codeOf, StartError } from '../config/start-error.ts'
import { closeServer, createHttpServer, listen } from '../http.ts'
import { createHttpGuard } from '../http-guard.ts'
import { metricsRoutes } from '../ops.ts'
import type { Metrics } from './metrics.ts'

const LOOPBACK = '127.0.0.1'
const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])

/** A scraper has one. They are bounded where budgets are off, too. */
const CONNECTIONS: ShareSizes = { each: 16, all: 256 }

interface MetricsServerDeps {
  metrics: Metrics
  buckets: Buckets
  clock: Clock
  log: Log
  owned: ReleaseStack
}

/** No proxy stands before it, so nobody is believed about another address. */
const guardOf = ({ metrics: meter, buckets, clock }: MetricsServerDeps, sizes: BudgetSizes) =>
  createHttpGuard({
    budgets: createBudgets({ buckets, clock }, { ...sizes, state: null, connections: CONNECTIONS }),
    addressOf: createClientAddress([]),
    isProxy: () => false,
    isOperator: () => false,
    isBlocked: () => false,
    ...{ clock, meter },
  })

const placeOf = (wanted: HostAndPort | number | undefined): HostAndPort =>
  typeof wanted === 'object' ? wanted : { host: LOOPBACK, port: wanted ?? METRICS_PORT }

/** Where they are; undefined when they have no port of their own. */
export const serveMetrics = async (
  deps: MetricsServerDeps,
  { metrics: wanted, budgets }: Pick<Config, 'metrics' | 'budgets'>,
): Promise<string | undefined> => {
  if (wanted === 'off' || wanted === 'shared') return undefined
  const { log, owned } = deps
  const server = createHttpServer(metricsRoutes(deps.metrics).fetch, log, guardOf(deps, budgets))
  owned.defer(() => closeServer(server))
  const { host, port: first } = placeOf(wanted)
  let port: number
  try {
    port = await listen(server, first, host)
  } catch (error) {
    const isTaken = error instanceof StartError && codeOf(error.cause) === 'EADDRINUSE'
    // Nobody asked for this very port.
    if (wanted !== undefined || !isTaken) throw error
    port = await listen(server, 0, host)
    log.warn({ taken: METRICS_PORT, port }, 'The usual port of the metrics is taken; they have another one')
  }
  const named = EVERY_ADDRESS.has(host) ? LOOPBACK : host
  return `http://${writtenAddress({ host: named, port })}/metrics`
}
