import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** How long a slow mirror may take. */
export const INSTALL_TIMEOUT = 300_000
const ATTEMPTS = 3

const run = (command: string, args: readonly string[]) =>
  new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
      timeout: INSTALL_TIMEOUT,
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text
      })
    }
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })

const onPath = (names: readonly string[]): string | undefined =>
  names
    .flatMap((name) => (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)))
    .find((file) => existsSync(file))

/** Another test file may be installing something: the package locks are waited for, those of the lists are not. */
const install = async (names: readonly string[]): Promise<void> => {
  const options = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=240']
  for (let attempt = 1; ; attempt++) {
    const updated = await run('apt-get', ['update'])
    const installed = await run('apt-get', ['install', ...options, ...names])
    if (installed.code === 0) return
    if (attempt === ATTEMPTS) {
      throw new Error(`${names.join(', ')} could not be installed:\n${updated.output}${installed.output}`)
    }
  }
}

/**
 * A program that the tests need and npm does not have: what the environment variable names, else the first of the names
 * on the PATH, else, for root on a Debian, the package, which is installed. Otherwise it rejects with one sentence.
 */
export const findOrInstall = async (wanted: {
  variable: string
  names: readonly string[]
  package: string
  /** Other packages that it works with, by a file or folder that each brings. */
  beside?: Record<string, string>
}): Promise<string> => {
  const named = process.env[wanted.variable]
  if (named) return named
  const missing = Object.entries(wanted.beside ?? {}).filter(([, path]) => !existsSync(path))
  const packages = [wanted.package, ...missing.map(([name]) => name)]
  const found = onPath(wanted.names)
  if (found && missing.length === 0) return found
  if (process.getuid?.() !== 0 || !onPath(['apt-get'])) {
    throw new Error(
      `This test needs ${wanted.names[0]}: install it (Debian: apt-get install ${packages.join(' ')}) or name it in ${wanted.variable}.`,
    )
  }
  await install(packages)
  const installed = onPath(wanted.names)
  if (installed) return installed
  throw new Error(`The package ${wanted.package} has none of ${wanted.names.join(', ')}.`)
}
