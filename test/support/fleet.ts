/**
 * Belfry as many processes on one Redis, as an operator runs it: relays, and notify servers (with the keys room) that
 * use them. Every process is started from dist/, on a fixed port with its metrics, and may be killed and started again.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, type ServerProcess, startServerProcess } from './process.ts'

export interface Member extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`; stays over restarts. */
  readonly url: string
  readonly wsUrl: string
  /** The process that runs now. */
  readonly process: ServerProcess
  readonly dataDir: string
  /** Ends the process where it still runs, and starts another one in its place. */
  restart(signal?: NodeJS.Signals): Promise<void>
}

export interface Fleet extends AsyncDisposable {
  readonly relays: readonly Member[]
  readonly notifies: readonly Member[]
  /** `BELFRY_SECRET` of all of them. */
  readonly secret: string
}

const startMember = async (
  port: number,
  { args, ...how }: { args: readonly string[]; env: NodeJS.ProcessEnv; launcher: readonly string[] },
): Promise<Member> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'belfry-fleet-'))
  const start = () => startServerProcess(dataDir, { port, args: [...args, '--metrics', 'shared'], ...how })
  let running = await start()
  return {
    url: running.url,
    wsUrl: running.wsUrl,
    dataDir,
    get process() {
      return running
    },
    async restart(signal = 'SIGKILL') {
      await running.end(signal)
      running = await start()
    },
    async [Symbol.asyncDispose]() {
      // For the search at the end of the run; some members have been killed.
      await fetch(`${running.url}/metrics`, { signal: AbortSignal.timeout(1_000) }).catch(() => {})
      await running.end('SIGKILL')
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export interface FleetOptions {
  relays?: number
  notifies?: number
  aliases?: readonly string[]
  /** The URL by which the notify server at `at` reaches its relay, where it is another than the relay's own. */
  relayUrlFor?: (at: number, relayUrl: string) => string
  /** Of the notify servers, with commas. */
  rooms?: string
  env?: NodeJS.ProcessEnv
  /** See `startServerProcess`. */
  launcher?: readonly string[]
}

/**
 * Notify servers are spread over the relays. They know themselves by the URL of the first notify server; `aliases` are
 * other URLs by which clients know them.
 */
export const startFleet = async (
  redisUrl: string,
  {
    relays = 2,
    notifies = 2,
    aliases = [],
    relayUrlFor = (_, relayUrl) => relayUrl,
    rooms = 'notify,keys,archive',
    env = {},
    launcher = [],
  }: FleetOptions = {},
): Promise<Fleet> => {
  const ports: number[] = []
  while (ports.length < relays + notifies) ports.push(await freePort())
  const urls = ports.flatMap((port) => [`http://127.0.0.1:${port}`, `http://localhost:${port}`])
  const secret = randomBytes(32).toString('hex')
  const shared = {
    REDIS_URL: redisUrl,
    BELFRY_SECRET: secret,
    BELFRY_PUBLIC_URL: `http://127.0.0.1:${ports[relays]}`,
    BELFRY_ALIASES: [...urls, ...aliases].join(','),
    ...env,
  }
  const members: Member[] = []
  const dispose = async () => {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
  }
  const startAll = async (some: readonly number[], argsOf: (at: number) => readonly string[]) => {
    const started = await Promise.allSettled(
      some.map((port, at) => startMember(port, { args: argsOf(at), env: shared, launcher })),
    )
    for (const one of started) if (one.status === 'fulfilled') members.push(one.value)
    for (const one of started) if (one.status === 'rejected') throw one.reason
  }
  try {
    await startAll(ports.slice(0, relays), () => ['--rooms', 'relay'])
    await startAll(ports.slice(relays), (at) => [
      ...['--rooms', rooms, '--relay-shared', 'true'],
      ...['--relay-url', relayUrlFor(at, members[at % relays]?.url ?? '')],
    ])
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    relays: members.slice(0, relays),
    notifies: members.slice(relays),
    secret,
    [Symbol.asyncDispose]: dispose,
  }
}
