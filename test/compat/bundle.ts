/**
 * A peer script (`peers/`) and the published client that it holds, as one file, compiled: a process would take more than a
 * second for loading the client's thousand small ones, and another half for compiling them. It is the code that Node would
 * load, found by Node's own rules, and unchanged.
 */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const PEERS = fileURLToPath(new URL('./peers/', import.meta.url))
const RUN = join(PEERS, 'run.cjs')
const RUN_ARGUMENTS = ['--import', new URL('./peers/reroute.mjs', import.meta.url).href]
/** Beside what is installed, which all that is bundled comes from; npm removes it with the rest. */
const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/peers/', import.meta.url))
/** npm writes it whenever it changes what is installed. */
const INSTALLED = fileURLToPath(new URL('../../node_modules/.package-lock.json', import.meta.url))

/**
 * What a peer script asks for: `#client` is the client that the test named, and `#a#b` is the package `b` that the package
 * `a` itself would get.
 */
const asNodeFindsIt = (client: string): Plugin => ({
  name: 'as Node finds it',
  setup(bundle) {
    bundle.onResolve({ filter: /^[#@a-z]/ }, ({ path, importer }) => {
      if (!importer.startsWith(PEERS) || path.startsWith('node:')) return undefined
      const names = path === '#client' ? [client] : path.split('#').filter(Boolean)
      return { path: names.reduce((from, name) => createRequire(from).resolve(name), importer) }
    })
  },
})

const versionOf = async (script: string, client: string): Promise<string> => {
  const sources = [INSTALLED, script, join(PEERS, 'host.mjs'), RUN, fileURLToPath(import.meta.url)]
  const parts = await Promise.all(sources.map((file) => readFile(file)))
  return createHash('sha256')
    .update([process.version, client, ...parts].join('\0'))
    .digest('hex')
    .slice(0, 16)
}

const bundled = async (kind: string, client: string): Promise<string> => {
  const script = join(PEERS, `${kind}.mjs`)
  const file = join(FOLDER, `${kind}-${await versionOf(script, client)}.cjs`)
  if (existsSync(file)) return file
  await mkdir(FOLDER, { recursive: true })
  const own = `${file}.${process.pid}`
  await build({
    entryPoints: [script],
    outfile: own,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // As Node has them: not what is there for bundlers.
    mainFields: ['main'],
    conditions: [],
    external: ['bufferutil', 'utf-8-validate', 'encoding'],
    plugins: [asNodeFindsIt(client)],
    logLevel: 'error',
  })
  const [code] = await once(
    fork(RUN, [own, '--compile'], { execArgv: [...RUN_ARGUMENTS], silent: true }),
    'exit',
  )
  if (code !== 0) throw new Error(`The bundle ${own} could not be loaded`)
  // Another process of the tests may have made the same ones.
  await rename(`${own}.compiled`, `${file}.compiled`)
  await rename(own, file)
  return file
}

const files = new Map<string, Promise<string>>()

/** How a process runs the peer: a script, and its arguments. `client` is the package that it holds where the peer leaves that open. */
export const bundledPeer = async (
  kind: string,
  client = '',
): Promise<{ script: string; args: string[]; execArgv: string[] }> => {
  const name = `${kind} ${client}`
  const file = files.get(name) ?? bundled(kind, client)
  files.set(name, file)
  return { script: RUN, args: [await file], execArgv: [...RUN_ARGUMENTS] }
}
