/** An example as a newcomer starts it: the words of its own script, in its own folder, as a process of its own. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { capture } from '../support/capture/record.mjs'
import { eventually } from '../support/eventually.ts'

const FOLDER = 'examples'
const { resolve: find } = createRequire(import.meta.url)

export const EXAMPLES = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

export const folderOf = (name: string): string => resolve(FOLDER, name)

const Ranges = z.record(z.string(), z.string()).default({})
const Manifest = z.object({
  name: z.string(),
  private: z.literal(true),
  type: z.literal('module'),
  scripts: z.record(z.string(), z.string()),
  dependencies: Ranges,
  devDependencies: Ranges,
})
export const manifestOf = (name: string) =>
  Manifest.parse(JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8')))

/** Names of its own files, without what npm and a build leave there. */
export const filesOf = (name: string): string[] =>
  readdirSync(folderOf(name), { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)

/** Where npm would link the commands of packages. */
const COMMANDS: Record<string, () => string> = {
  node: () => '',
  tsc: () => join(dirname(find('typescript/package.json')), 'bin/tsc'),
  vite: () => join(dirname(find('vite/package.json')), 'bin/vite.js'),
}

interface Started extends AsyncDisposable {
  /** What it wrote to stdout and stderr so far. */
  output(): string
  /** Resolves when it wrote that. */
  says(text: string | RegExp): Promise<void>
  /** Sends the signal, if any, and resolves with the exit code (null: it was killed) and the output. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts what the script of that name says, with more words behind it. */
export const start = (
  name: string,
  script: string,
  { env = {}, args = [] }: { env?: NodeJS.ProcessEnv; args?: readonly string[] } = {},
): Started => {
  const [command = '', ...words] = manifestOf(name).scripts[script]?.split(' ') ?? []
  const path = COMMANDS[command]?.()
  if (path === undefined) throw new Error(`${name}: ${script} starts ${command}, which is not known here`)
  const child = spawn(process.execPath, [...(path === '' ? [] : [path]), ...words, ...args], {
    cwd: folderOf(name),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const ended = new Promise<number | null>((done, failed) => {
    child.once('error', failed)
    // Not `exit`: everything that it wrote has come.
    child.once('close', (code) => {
      capture('log', output)
      done(code)
    })
  })
  const isRunning = () => child.exitCode === null && child.signalCode === null
  const end: Started['end'] = (signal) => {
    if (signal && isRunning()) child.kill(signal)
    return ended
  }
  return {
    output: () => output,
    says: (text) =>
      eventually(() => {
        if (typeof text === 'string' ? output.includes(text) : text.test(output)) return
        throw new Error(`${name} has not said ${text}${isRunning() ? '' : ', and has ended'}:\n${output}`)
      }),
    end,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL')
    },
  }
}
