/** A Belfry of its own process on a temporary store. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/support/process.ts'
import { cpuOf, memoryOf } from './process-figures.ts'

export interface BenchServer extends AsyncDisposable {
  url: string
  wsUrl: string
  dataDir: string
  /** Anonymous resident memory in bytes: heap and buffers, without mapped files. */
  memory(): Promise<number>
  /** How long it has computed since it started, all threads together, in seconds. */
  cpu(): Promise<number>
  /** Ends it and starts it again on its port and data; how long that start took, ms. */
  restart(): Promise<number>
}

/** Which one to start: on the embedded store, or on the Redis that is named; the build of this checkout, or of another's folder. */
export interface Wanted {
  redisUrl?: string
  checkout?: string
}

const spawnServer = ({ redisUrl, checkout = '.' }: Wanted, dataDir: string, port: string): ChildProcess =>
  spawn(
    process.execPath,
    [
      // For whoever looks for the reason behind a figure: BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=…'.
      ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? []),
      resolve(checkout, 'dist/cli/main.js'),
      'serve',
      '--port',
      port,
      '--metrics',
      'off',
      '--data',
      dataDir,
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        REDIS_URL: redisUrl,
        // Always the same: a Redis that was benchmarked before must not refuse the next run.
        BELFRY_SECRET: 'belfry benchmark, nothing secret',
        BELFRY_LOG_LEVEL: 'warn',
        BELFRY_LIMITS: 'off',
        BELFRY_BUDGETS: 'off',
      },
    },
  )

const end = async (child: ChildProcess): Promise<void> => {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

export const startServer = async (wanted: Wanted = {}): Promise<BenchServer> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-bench-'))
  const port = String(await freePort())
  let child = spawnServer(wanted, dataDir, port)
  const url = await readyUrl(child)
  return {
    url,
    wsUrl: url.replace(/^http/, 'ws'),
    dataDir,
    memory: () => memoryOf(child.pid),
    cpu: () => cpuOf(child.pid),
    async restart() {
      await end(child)
      const start = performance.now()
      child = spawnServer(wanted, dataDir, port)
      await readyUrl(child)
      return performance.now() - start
    },
    async [Symbol.asyncDispose]() {
      await end(child)
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** How long a server that does nothing may still compute in a pause, in seconds. */
const REST_CPU_SECONDS = 0.02
const PAUSE_MS = 200

/**
 * Waits until the server has ended what it does after its answers (receipts and their events, say), which would disturb
 * whatever is measured next. Returns how long it has computed since it started, in seconds.
 */
export const atRest = async (server: Pick<BenchServer, 'cpu'>): Promise<number> => {
  for (let last = await server.cpu(); ; ) {
    await sleep(PAUSE_MS)
    const now = await server.cpu()
    if (now - last <= REST_CPU_SECONDS) return now
    last = now
  }
}

const readyUrl = async (child: ChildProcess): Promise<string> => {
  if (!child.stdout) throw new Error('the server has no stdout')
  for await (const line of createInterface({ input: child.stdout })) {
    const said: unknown = line.startsWith('{') ? JSON.parse(line) : undefined
    if (said && typeof said === 'object' && 'url' in said && typeof said.url === 'string') return said.url
  }
  throw new Error('the server ended before it was ready')
}
