/** The server as its caller holds it, and the order in which it stops. */
import type { Server } from 'node:http'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Stores } from '../storage/stores.ts'
import type { HttpRoutes } from './http.ts'

export interface RunningServer extends AsyncDisposable {
  /** The public one. */
  readonly url: string
  readonly wsUrl: string
  /** Where this machine reaches the server. */
  readonly loopbackUrl: string
  readonly port: number
  /** Undefined when there are none, or on the main port. */
  readonly metricsUrl: string | undefined
  readonly adminToken: string
  /** The default project, where there is a notify room. `isNew`: made by this start. */
  readonly project: { id: string; secret: string; isNew: boolean } | undefined
  readonly stores: Stores
  /** Resolves, with a sentence for the operator, when the server can serve no more until it is started again. */
  readonly lost: Promise<string>
  /** Resolves when everything works, declared apps included; rejects with `StartError` when it never will. */
  ready(): Promise<void>
  /**
   * Takes nothing new, finishes what is in flight, closes every socket with 1001, flushes. When the signal aborts, what
   * is left is cut off; nothing that was acknowledged is lost by that.
   */
  stop(signal?: AbortSignal): Promise<void>
}

/** The part of the shutdown time that requests in flight may take. */
const REQUESTS_SHARE_OF_SHUTDOWN = 0.5

/** Stops the server in good order. What is left when the signal aborts is cut off. */
export const createStop =
  (deps: {
    clock: Clock
    server: Server
    routes: Pick<HttpRoutes, 'stopping' | 'idle'>
    /** Runs first: says that the server stops, and answers requests that wait for something to come. */
    begin: () => void
    /** Run one after another once requests are answered, while everything still stands. */
    drains: readonly ((signal: AbortSignal) => PromiseLike<void> | undefined)[]
    /** Releases everything, the last acquired first. */
    release: () => Promise<void>
    shutdownSeconds: number
  }) =>
  async (signal: AbortSignal): Promise<void> => {
    const { clock, server, routes } = deps
    routes.stopping()
    deps.begin()
    // No new connections; those that are open go on until they are closed below.
    server.close()
    server.closeIdleConnections()
    const late = new AbortController()
    const timer = clock.after(deps.shutdownSeconds * 1000 * REQUESTS_SHARE_OF_SHUTDOWN, () => late.abort())
    signal.addEventListener('abort', () => late.abort(), { once: true })
    await routes.idle(late.signal)
    timer[Symbol.dispose]()
    for (const drain of deps.drains) await drain(signal)
    await deps.release()
  }

/** Starts and stops once, however often it is asked to. */
export const createRunningServer = (
  facts: Omit<RunningServer, 'ready' | 'stop' | typeof Symbol.asyncDispose>,
  { start, stop }: { start: () => Promise<void>; stop: (signal: AbortSignal) => Promise<void> },
): RunningServer => {
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  const running: RunningServer = {
    ...facts,
    ready() {
      starting ??= start()
      return starting
    },
    stop(signal = new AbortController().signal) {
      stopping ??= stop(signal)
      return stopping
    },
    [Symbol.asyncDispose]: () => running.stop(),
  }
  return running
}
