/** A Belfry of its own process on a temporary store, and what the kernel says of its memory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** In `/proc`, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

export interface BenchServer extends AsyncDisposable {
  url: string
  wsUrl: string
  dataDir: string
  /** Anonymous resident memory in bytes: heap and buffers, without mapped files. */
  memory(): Promise<number>
  /** How long it has computed since it started, all threads together, in seconds. */
  cpu(): Promise<number>
}

/** Which one to start: on the embedded store, or on the Redis that is named; the build of this checkout, or of another's folder. */
export interface Wanted {
  redisUrl?: string
  checkout?: string
}

export const startServer = async ({ redisUrl, checkout = '.' }: Wanted = {}): Promise<BenchServer> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-bench-'))
  const child = spawn(
    process.execPath,
    [
      // For whoever looks for the reason behind a figure: BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=…'.
      ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? []),
      resolve(checkout, 'dist/cli/main.js'),
      'serve',
      '--port',
      '0',
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
  const url = await readyUrl(child)
  return {
    url,
    wsUrl: url.replace(/^http/, 'ws'),
    dataDir,
    async memory() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
    },
    async cpu() {
      // Behind the name, which may hold anything: state and ten more, then what it computed itself and in the kernel.
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8')
      const [user, system] = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13)
      return (Number(user) + Number(system)) / TICKS_PER_SECOND
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      await rm(dataDir, { recursive: true, force: true })
    },
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
