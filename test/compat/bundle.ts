/**
 * A peer script (`peers/`) and the published client that it holds, as one file: a process would take more than a second
 * for loading the client's thousand small ones. It is the code that Node would load, found by Node's own rules, and
 * unchanged.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const PEERS = fileURLToPath(new URL('./peers/', import.meta.url))
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
  const sources = [INSTALLED, script, join(PEERS, 'host.mjs'), fileURLToPath(import.meta.url)]
  const parts = await Promise.all(sources.map((file) => readFile(file)))
  return createHash('sha256')
    .update([client, ...parts].join('\0'))
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
  // Another process of the tests may have made the same one.
  await rename(own, file)
  return file
}

const files = new Map<string, Promise<string>>()

/** Where the peer is as one file; `client` is the package that it holds where the script leaves that open. */
export const bundledPeer = (kind: string, client = ''): Promise<string> => {
  const name = `${kind} ${client}`
  const file = files.get(name) ?? bundled(kind, client)
  files.set(name, file)
  return file
}
