import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { reservePorts } from '../../src/cli/demo/ports.ts'
import { capture, isCapturing, knownSecret } from './capture/record.mjs'

/** Whose code runs: `BELFRY_UNDER_TEST` names the `dist` of another checkout. */
export const COMMAND = join(process.env.BELFRY_UNDER_TEST ?? 'dist', 'cli/main.js')

/** A server in a process of its own, as an operator starts it; it can be killed. */
export interface ServerProcess extends AsyncDisposable {
  url: string
  wsUrl: string
  pid: number
  /** Everything that it wrote to stdout and stderr so far. */
  output(): string
  /** Sends the signal and resolves with the exit code (null after SIGKILL) when the process has ended. */
  end(signal: NodeJS.Signals): Promise<number | null>
  /** How it ended, whoever ended it. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

const ports = reservePorts()
/** A port that nobody else is given while this process runs: for a server that must come back on the same one. */
export const freePort = (): Promise<number> => ports.next()

/**
 * Starts `belfry serve` from dist/ and resolves when it has said that it is ready. Without limits and budgets unless `env`
 * says otherwise: stories ask faster than people.
 */
export const startServerProcess = async (
  dataDir: string,
  {
    port = 0,
    args = [],
    env = {},
    metrics = 'off',
    launcher = [],
  }: {
    port?: number
    args?: readonly string[]
    env?: NodeJS.ProcessEnv
    /** `--metrics`; null leaves them where they are by default. */
    metrics?: string | null
    /** A command that becomes the one that is appended to it, with the same pid. */
    launcher?: readonly string[]
  } = {},
): Promise<ServerProcess> => {
  const recorder = new URL('./capture/server-process.mjs', import.meta.url).href
  const [program = '', ...programArgs] = [...launcher, process.execPath]
  const child = spawn(
    program,
    [
      ...programArgs,
      ...(isCapturing ? ['--import', recorder] : []),
      COMMAND,
      'serve',
      '--port',
      String(port),
      ...(metrics === null ? [] : ['--metrics', metrics]),
      '--data',
      dataDir,
      ...args,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        BELFRY_LIMITS: 'off',
        BELFRY_BUDGETS: 'off',
        ...(isCapturing && { BELFRY_LOG_LEVEL: 'debug' }),
        ...env,
      },
    },
  )
  let output = ''
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    // Not `exit`: everything that it wrote has come.
    child.once('close', (code, signal) => {
      capture('log', output.replace(SHOWN_ONCE, ''))
      resolve({ code, signal })
    }),
  )
  const exited = ended.then(({ code }) => code)
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      output += `${line}\n`
      const said = parsed(line)
      if (said?.ready === true && typeof said.url === 'string') resolve(said.url)
    })
    void exited.then((code) =>
      reject(new Error(`the server ended with ${code} before it was ready:\n${output}`)),
    )
  })
  knownSecret('admin token', await adminTokenIn(dataDir))
  // What it says is its public URL, which may lead to another process.
  const local = new URL(`http://127.0.0.1:${port === 0 ? new URL(url).port : port}`)
  const end = async (signal: NodeJS.Signals) => {
    if (isRunning(child)) child.kill(signal)
    return exited
  }
  return {
    url: local.origin,
    wsUrl: local.origin.replace(/^http/, 'ws'),
    pid: child.pid ?? -1,
    output: () => output,
    ended,
    end,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL')
    },
  }
}

/** At the first start the operator is told the secret, outside of the log. */
const SHOWN_ONCE = /^ {2}project secret .*$/m

const adminTokenIn = async (dataDir: string): Promise<string | undefined> => {
  const token = parsed(await readFile(join(dataDir, 'admin.json'), 'utf8').catch(() => ''))?.token
  return typeof token === 'string' ? token : undefined
}

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

const parsed = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    return value && typeof value === 'object' ? { ...value } : undefined
  } catch {
    return undefined
  }
}
