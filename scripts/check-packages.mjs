// Holds the packages of packages/ to what they promise: how large each is in a browser, with all that it brings, minified and as
// gzip; that its libraries are those that its code imports; and that it has the version of the server. Needs their dist/.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { entriesOf, packages } from './build-packages.mjs'

/** Bytes, of all entries together. What an application has anyway, its framework and other packages of ours, is not counted. */
const MAX_BYTES = { wallet: 45_000, dapp: 15_000, react: 4_000, compat: 3_000 }
/** Belongs to servers, or is too large to be behind a client. */
const NEVER_BEHIND_A_CLIENT = ['lmdb', 'hono', 'ioredis', 'zod', 'socket.io', 'socket.io-client', 'pino']

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))
const root = readJson('package.json')

/** Bytes of a package in a browser, everything in that it may load later. */
const sizeOf = async (folder, outside) => {
  const { outputFiles } = await build({
    stdin: {
      contents: entriesOf(folder)
        // Those are for Node alone.
        .filter(({ path, node }) => path !== node)
        .map(({ path }, at) => `export * as entry${at} from ${JSON.stringify(path)}`)
        .join('\n'),
      resolveDir: folder,
    },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2020' },
    ...{ external: outside, legalComments: 'none', write: false, logLevel: 'error' },
  })
  return gzipSync(outputFiles[0].contents, { level: 9 }).length
}

/** Names of the libraries that the built code imports. */
const importedBy = async (folder) => {
  const files = entriesOf(folder).flatMap(({ path, node }) => [path, ...(node ? [node] : [])])
  const { metafile } = await build({
    entryPoints: files.map((path) => join(folder, path)),
    ...{ bundle: true, format: 'esm', packages: 'external', platform: 'node', metafile: true },
    // Packages of ours are found by their names, as by who installs them.
    ...{ write: false, outdir: 'out', logLevel: 'error', tsconfigRaw: '{}' },
  })
  const paths = Object.values(metafile.inputs).flatMap(({ imports }) => imports)
  const specifiers = paths.filter(({ external }) => external).map(({ path }) => path)
  const libraries = specifiers.filter((path) => !path.startsWith('node:'))
  return new Set(libraries.map((path) => /^(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path))
}

const mistakesOf = async (folder) => {
  const mistakes = []
  const manifest = readJson(join(folder, 'package.json'))
  const { dependencies = {}, peerDependencies = {}, version } = manifest
  if (version !== root.version) mistakes.push(`has version ${version}, not ${root.version}`)
  // Without it npm takes a package with a scope for a private one.
  if (manifest.publishConfig?.access !== 'public')
    mistakes.push('is published for nobody: publishConfig.access')
  // What reads no `exports` finds the same entry.
  const { types, default: main } = manifest.exports['.']
  if (manifest.main !== main || manifest.types !== types)
    mistakes.push('names another entry in main or types')
  for (const name of NEVER_BEHIND_A_CLIENT) {
    if (name in dependencies || name in peerDependencies) mistakes.push(`depends on ${name}`)
  }
  const imported = await importedBy(folder)
  for (const name of Object.keys(dependencies)) {
    if (!imported.has(name)) mistakes.push(`depends on ${name}, and does not import it`)
  }
  for (const name of imported) {
    if (!(name in dependencies || name in peerDependencies)) mistakes.push(`imports ${name}`)
  }
  const most = MAX_BYTES[folder.split('/').at(-1)]
  const ours = Object.keys(dependencies).filter((name) => name.startsWith('@belfry/'))
  const bytes = await sizeOf(folder, [...Object.keys(peerDependencies), ...ours])
  console.log(`${manifest.name}: ${bytes} bytes as gzip, of ${most ?? 'no'} allowed`)
  if (most === undefined) mistakes.push('has no budget in scripts/check-packages.mjs')
  if (bytes > most) mistakes.push(`is ${bytes - most} bytes over its budget`)
  return mistakes
}

for (const folder of packages()) {
  for (const mistake of await mistakesOf(folder)) {
    console.error(`${folder}: ${mistake}`)
    process.exitCode = 1
  }
}
