/** A process that the demo starts: it never outlives the demo, however that ends. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { systemClock } from '../../platform/runtime/clock.ts'
import { codeOf } from '../../server/config/start-error.ts'
import { DemoFailure } from './page.ts'

/** On a machine that starts many processes at once, and does other work, too. */
const START_TIMEOUT_MS = 60_000

export interface Child extends AsyncDisposable {
  readonly pid: number
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>
}

/** There is no program of that name. */
export class NoSuchProgram extends Error {
  override readonly name = 'NoSuchProgram'
}

/**
 * Resolves when a line of its stdout says that it is ready. Rejects with `NoSuchProgram`, with `DemoFailure`, or for the
 * signal's reason, and has ended the process then.
 */
export const startChild = async (wanted: {
  /** Begins a sentence: `Relay 1`. */
  name: string
  command: string
  args: readonly string[]
  /** The whole of it; without one, the environment of this process. */
  env?: Record<string, string>
  isReady(line: string): boolean
  signal: AbortSignal
}): Promise<Child> => {
  const { name, command, args, env, isReady, signal } = wanted
  signal.throwIfAborted()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(env && { env }) })
  const killNow = () => void child.kill('SIGKILL')
  process.once('exit', killNow)
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      process.off('exit', killNow)
      resolve()
    })
  })
  const kill = () => {
    killNow()
    return ended
  }
  let last = ''
  const lines = createInterface({ input: child.stdout })
  createInterface({ input: child.stderr }).on('line', (line) => {
    last = line
  })
  const done = new AbortController()
  const ready = new Promise<void>((resolve, reject) => {
    const late = systemClock.after(START_TIMEOUT_MS, () =>
      reject(new DemoFailure(`${name} did not start within ${START_TIMEOUT_MS / 1000} s. ${last}`.trim())),
    )
    done.signal.addEventListener('abort', () => late[Symbol.dispose]())
    child.once('error', (error) => reject(codeOf(error) === 'ENOENT' ? new NoSuchProgram(command) : error))
    void ended.then(() => reject(new DemoFailure(`${name} ended before it was ready. ${last}`.trim())))
    signal.addEventListener('abort', () => reject(signal.reason), { signal: done.signal })
    lines.on('line', (line) => {
      last = line
      if (isReady(line)) resolve()
    })
  })
  try {
    await ready
  } catch (error) {
    await kill()
    throw error
  } finally {
    done.abort()
  }
  return { pid: child.pid ?? -1, kill, [Symbol.asyncDispose]: kill }
}
