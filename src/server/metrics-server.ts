/** `/metrics` on a port of its own, so that it need not be kept from the world by a proxy. */
import type { ReleaseStack } from '../platform/release-stack.ts'
import type { Log } from '../platform/telemetry.ts'
import type { Config } from './config.ts'
import { codeOf, StartFailure } from './failure.ts'
import { closeServer, createHttpServer, listen } from './http.ts'
import type { Metrics } from './metrics.ts'
import { metricsRoutes } from './ops.ts'
import { METRICS_PORT } from './settings.ts'

/** Where they are; undefined when they have no port of their own. */
export const serveMetrics = async (
  deps: { metrics: Metrics; log: Log; owned: ReleaseStack },
  { metrics: wanted, host }: Pick<Config, 'metrics' | 'host'>,
): Promise<string | undefined> => {
  if (wanted === 'off' || wanted === 'shared') return undefined
  const { log, owned } = deps
  const server = createHttpServer(metricsRoutes(deps.metrics).fetch, log)
  owned.defer(() => closeServer(server))
  let port: number
  try {
    port = await listen(server, wanted ?? METRICS_PORT, host)
  } catch (error) {
    const isTaken = error instanceof StartFailure && codeOf(error.cause) === 'EADDRINUSE'
    // Nobody asked for this very port.
    if (wanted !== undefined || !isTaken) throw error
    port = await listen(server, 0, host)
    log.warn({ taken: METRICS_PORT, port }, 'The usual port of the metrics is taken; they have another one')
  }
  return `http://localhost:${port}/metrics`
}
