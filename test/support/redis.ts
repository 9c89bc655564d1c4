/**
 * Real Redis servers for tests: on loopback, on a port that was free, in a directory of their own, ended by their pid.
 *
 * Where they come from: `redis-server` or `valkey-server` on PATH; without them root installs Debian's package; anybody
 * else is told in one sentence what is missing. `REDIS_URL` names a server that is there already, for the tests that
 * neither restart nor kill it (`sharedRedis`). A test that needs no Redis does not import this file.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findOrInstall } from './debian.ts'
import { atEndOfFile } from './end-of-file.ts'
import { eventually } from './eventually.ts'
import { freePort } from './process.ts'

const run = promisify(execFile)

/** Paths of the server and of the command line beside it. */
export const findRedis = async (): Promise<{ server: string; cli: string }> => {
  const server = await findOrInstall({
    variable: 'REDIS_SERVER',
    names: ['redis-server', 'valkey-server'],
    package: 'redis-server',
  })
  return { server, cli: server.replace(/-server$/, '-cli') }
}

// While a file is loaded, no test's time runs: an installation takes longer than a test may. What fails here fails again.
if (!process.env.REDIS_URL) await findRedis().catch(() => {})

export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Of the process that runs now. */
  readonly pid: number
  /** Ends the server (SIGTERM writes what `appendonly` has; SIGKILL is a crash). The data stays. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on its port and its data, after `stop` where it still runs. */
  restart(): Promise<void>
  /** `redis-cli` on this server; gives its output. */
  cli(...args: string[]): Promise<string>
}

// A test process that is torn down must not leave servers behind.
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

export interface RedisSettings {
  appendonly?: boolean
  /** More of `redis.conf`, as `--name value` arguments. */
  config?: readonly string[]
  port?: number
}

export const startRedis = async (settings: RedisSettings = {}): Promise<RedisServer> => {
  const { server, cli } = await findRedis()
  const port = settings.port ?? (await freePort())
  const dir = mkdtempSync(join(tmpdir(), 'belfry-redis-'))
  let child: ChildProcess | undefined

  const ask = async (...args: string[]): Promise<string> =>
    (await run(cli, ['-h', '127.0.0.1', '-p', `${port}`, ...args])).stdout.trim()

  const start = async () => {
    const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '']
    args.push('--appendonly', settings.appendonly ? 'yes' : 'no', ...(settings.config ?? []))
    const started = spawn(server, args, { stdio: 'ignore' })
    child = started
    children.add(started)
    started.once('exit', () => children.delete(started))
    await eventually(async () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`)
      if ((await ask('ping')) !== 'PONG') throw new Error('not ready')
    })
  }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    const running = child
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill(signal)
    await ended
  }

  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child?.pid ?? -1
    },
    stop,
    async restart() {
      await stop()
      await start()
    },
    cli: ask,
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export interface RedisCluster extends AsyncDisposable {
  /** `redis+cluster://` with all nodes. */
  readonly url: string
  /** Three masters, then their three replicas, as they were at the start. */
  readonly nodes: readonly RedisServer[]
}

/** Three masters and three replicas. A node counts as dead after `nodeTimeout` ms. */
export const startCluster = async ({ nodeTimeout = 2_000 } = {}): Promise<RedisCluster> => {
  const nodes: RedisServer[] = []
  const dispose = async () => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
  }
  try {
    const config = ['--cluster-enabled', 'yes', '--cluster-node-timeout', `${nodeTimeout}`]
    config.push('--repl-diskless-sync-delay', '0')
    const started = await Promise.allSettled(Array.from({ length: 6 }, () => startRedis({ config })))
    for (const one of started) if (one.status === 'fulfilled') nodes.push(one.value)
    for (const one of started) if (one.status === 'rejected') throw one.reason
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes']
    await run((await findRedis()).cli, create)
    await eventually(async () => {
      for (const node of nodes) {
        if (!(await node.cli('cluster', 'info')).includes('cluster_state:ok')) throw new Error('not ok')
      }
      for (const node of nodes.slice(3)) {
        if (!(await node.cli('info', 'replication')).includes('master_link_status:up'))
          throw new Error('no link')
      }
    }, 30_000)
    return { url: `redis+cluster://${addresses.join(',')}`, nodes, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

let shared: Promise<RedisServer | { url: string }> | undefined
/** One server for all tests of a file; each store keeps to a prefix of its own. */
export const sharedRedis = (): Promise<{ url: string }> => {
  const url = process.env.REDIS_URL
  if (url) return Promise.resolve({ url })
  shared ??= startShared(startRedis, () => (shared = undefined))
  return shared
}

let sharedOfMany: Promise<RedisCluster> | undefined
/** One cluster for all tests of a file, or of the run: see cluster-setup.ts. */
export const sharedCluster = (): Promise<{ url: string }> => {
  const url = process.env.REDIS_CLUSTER_URL
  if (url) return Promise.resolve({ url })
  sharedOfMany ??= startShared(startCluster, () => (sharedOfMany = undefined))
  return sharedOfMany
}

const startShared = async <T extends AsyncDisposable>(
  start: () => Promise<T>,
  forget: () => void,
): Promise<T> => {
  const server = await start()
  atEndOfFile(async () => {
    forget()
    await server[Symbol.asyncDispose]()
  })
  return server
}

/** See vitest.config.ts: unset, everything is run. */
const cluster = process.env.BELFRY_TEST_CLUSTER
export const isOfThisRun = (usesCluster: boolean): boolean =>
  cluster === undefined || usesCluster === (cluster === 'only')

/** What suites of Redis' own are held on. */
export const sharedServers = [
  ...(isOfThisRun(false) ? [['Redis', sharedRedis] as const] : []),
  ...(isOfThisRun(true) ? [['a Redis Cluster', sharedCluster] as const] : []),
]
