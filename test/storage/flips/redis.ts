/** A Redis on a copy of its files: it starts, or says why not. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { freePort } from '../../support/process.ts'
import { findRedis } from '../../support/redis.ts'

export interface StartedRedis extends AsyncDisposable {
  url: string
  /** Ends it when everything is in its files. */
  stop(): Promise<void>
}

const stop = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

/** What Redis says of a file that it does not take. */
const REFUSAL = /# (.*)/

/** Answers Redis' own sentence when it does not start. */
export const tryRedis = async (dir: string, appendonly: boolean): Promise<StartedRedis | string> => {
  const { server } = await findRedis()
  const port = await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir]
  // An RDB is written at the end, for what has no file of commands.
  args.push(
    ...(appendonly ? ['--appendonly', 'yes', '--save', ''] : ['--appendonly', 'no', '--save', '3600 1']),
  )
  const child = spawn(server, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const sentence = REFUSAL.exec(line)?.[1]
    if (sentence !== undefined) said.push(sentence)
    if (!line.includes('Ready to accept connections')) continue
    child.stdout.resume()
    return {
      url: `redis://127.0.0.1:${port}`,
      stop: () => stop(child, 'SIGTERM'),
      [Symbol.asyncDispose]: () => stop(child, 'SIGKILL'),
    }
  }
  await stop(child, 'SIGKILL')
  return said.at(-1) ?? ''
}
