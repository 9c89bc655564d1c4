/**
 * `belfry serve`: configuration in, a running server, signals, the end.
 *
 * stdout gets one line when the server is ready, stderr the log, and, at the first start only, what the operator needs to
 * know. They are for people on a terminal, and JSON elsewhere. SIGTERM and SIGINT stop it in good order, with exit code 0; a second one ends it at once. A store
 * that this process can never use again ends it with code 1 and a sentence, so that a supervisor starts it anew.
 */
import { collectDefaultMetrics } from 'prom-client'
import { pause, systemClock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { composeServer, type RunningServer } from './compose.ts'
import { type Config, type Flags, readConfig } from './config/config.ts'
import { StartError } from './config/start-error.ts'
import { createLog } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { prettyLines } from './telemetry/pretty-lines.ts'
import { createTracing } from './telemetry/tracing.ts'
import { readVersion } from './version.ts'
import { readyLine, welcome } from './welcome.ts'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Aborted by the first signal. The second one finds no handler of ours and does what it does by itself. */
const firstSignal = (log: Log): AbortSignal => {
  const ending = new AbortController()
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      for (const other of SIGNALS) process.removeAllListeners(other)
      log.info({ signal }, 'Stopping; a second signal ends the process at once')
      ending.abort()
    })
  }
  return ending.signal
}

const aborted = (signal: AbortSignal): Promise<'aborted'> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve('aborted')
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
  })

/** Ends the server within the configured time. */
const stopInTime = async (server: RunningServer, config: Config, log: Log): Promise<void> => {
  const late = AbortSignal.timeout(
    config.shutdownSeconds * 1000 - 1000 * Math.min(1, config.shutdownSeconds / 4),
  )
  const done = new AbortController()
  const stopped = server.stop(late).then(
    () => 'stopped' as const,
    (err: unknown) => {
      log.error({ err }, 'The stop was not in order')
      return 'stopped' as const
    },
  )
  const bound = pause(systemClock, config.shutdownSeconds * 1000, done.signal).then(() => 'late' as const)
  const outcome = await Promise.race([stopped, bound])
  done.abort()
  if (outcome === 'stopped') {
    log.info({}, 'Stopped')
    return
  }
  // What was acknowledged is on disk, so nothing is lost; whatever still holds the process up must not.
  log.warn({ seconds: config.shutdownSeconds }, 'The stop took too long; ending now')
  process.exit()
}

/** Undefined when the signal came while the server waited for its store. */
const compose = async (
  config: Config,
  deps: { log: Log; metrics: ReturnType<typeof createMetrics>; signal: AbortSignal },
): Promise<RunningServer | undefined> => {
  const done = new AbortController()
  const bound = aborted(deps.signal).then(async () => {
    await pause(systemClock, config.shutdownSeconds * 1000, done.signal)
    // Nothing was acknowledged; only calls to a store that does not answer are left.
    if (!done.signal.aborted) process.exit()
  })
  bound.catch(() => {})
  try {
    return await composeServer(config, deps)
  } catch (error) {
    if (!deps.signal.aborted || error instanceof StartError) throw error
    deps.log.info({}, 'Stopped')
    return undefined
  } finally {
    done.abort()
  }
}

const runWith = async (config: Config, { log, inWords }: { log: Log; inWords: boolean }): Promise<void> => {
  const metrics = createMetrics({ log, tracing: createTracing(readVersion()) })
  collectDefaultMetrics({ register: metrics.registry })
  const engine = config.redisUrl === undefined ? 'lmdb' : 'redis'
  metrics.gauge('build_info', 1, { version: readVersion(), node: process.version, engine })
  const stopSignal = firstSignal(log)
  const server = await compose(config, { log, metrics, signal: stopSignal })
  if (!server) return

  const fail = (err: unknown) => {
    log.error({ err }, 'A defect; the process ends')
    process.exitCode = 1
    void stopInTime(server, config, log)
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)

  const isUp = await Promise.race([
    server.ready().then(() => true),
    aborted(stopSignal).then(() => false),
  ]).catch(async (error: unknown) => {
    await server.stop().catch(() => {})
    throw error
  })
  if (isUp) {
    if (server.project?.isNew) process.stderr.write(welcome(server, config, process.stderr.isTTY))
    process.stdout.write(readyLine(server, config, inWords))
    log.info({ url: server.url, rooms: config.rooms }, 'Ready')
  }
  const lost = await Promise.race([aborted(stopSignal).then(() => undefined), server.lost])
  await stopInTime(server, config, log)
  if (lost !== undefined) throw new StartError([`${lost}.`])
}

/** Resolves when the server has ended. Sets the exit code. `isJson`: JSON on a terminal, too. */
export const run = async (flags: Flags, { isJson = false } = {}): Promise<void> => {
  try {
    const { config } = readConfig(flags)
    await runWith(config, {
      log: createLog(config.logLevel, process.stderr.isTTY && !isJson ? prettyLines() : undefined),
      inWords: process.stdout.isTTY && !isJson,
    })
  } catch (error) {
    process.exitCode = 1
    if (!(error instanceof StartError)) throw error
    for (const sentence of error.sentences) process.stderr.write(`${sentence}\n`)
  } finally {
    for (const signal of SIGNALS) process.removeAllListeners(signal)
  }
}
