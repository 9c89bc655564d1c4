// Builds what is published beside the server, each folder of packages/, into its own dist/. A file of `packages/x/src` is an entry
// of its `exports`: a bundle of what it needs of src/, with the libraries left to npm, and the declarations that it reaches.
// Code for Node alone is bundled where an entry has a condition `node`. `--if-stale` leaves alone what is newer than its sources.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { newest } from './newest.mjs'

const FOLDER = 'packages'
/** What the oldest Hermes that React Native ships reads, after Metro's own transforms. */
const TARGET = 'es2020'

/** `AsyncDisposable` is none of the libraries that applications choose, and `ErrorOptions` is not in the older ones. */
const LIBRARY = '/// <reference lib="es2022.error" />\n/// <reference lib="esnext.disposable" />\n'
/** What is imported for what it does. */
const WITH_EFFECTS = new Set([resolve('src/platform/runtime/dispose-symbols.ts')])

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

/** Folders of packages: each has a manifest. */
export const packages = () =>
  readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(FOLDER, entry.name, 'package.json')))
    .map(({ name }) => join(FOLDER, name))

/** Files that an entry of `exports` names, by their name in `src` and `dist`: `index`, with `node` where Node has code of its own. */
export const entriesOf = (folder) =>
  Object.values(readJson(join(folder, 'package.json')).exports)
    .filter((target) => target.types && target.default.endsWith('.js'))
    .map(({ default: path, node }) => ({
      name: path.replace(/^\.\/dist\/|\.js$/g, ''),
      ...{ path, node },
    }))

const sourceOf = (folder, name) => {
  const found = ['.ts', '.tsx'].map((end) => join(folder, 'src', name + end)).find((path) => existsSync(path))
  if (!found) throw new Error(`${folder}: ${name} of its exports has no source in ${join(folder, 'src')}`)
  return found
}

// ── the manifest ────────────────────────────────────────────────────────────────────────────────────────────────────

/** The version and the ranges of libraries are those of the server's package: one place to raise them. */
const alignManifest = (folder) => {
  const path = join(folder, 'package.json')
  const root = readJson('package.json')
  const known = { ...root.devDependencies, ...root.dependencies }
  const manifest = readJson(path)
  manifest.version = root.version
  const { dependencies = {} } = manifest
  for (const name of Object.keys(dependencies)) {
    if (name.startsWith('@belfry/')) dependencies[name] = `^${root.version}`
    else if (known[name]) dependencies[name] = known[name]
  }
  const text = `${JSON.stringify(manifest, null, 2)}\n`
  if (text !== readFileSync(path, 'utf8')) writeFileSync(path, text)
}

/** What npm installs with it, or expects of who installs it. */
const librariesOf = (folder) => {
  const { dependencies, peerDependencies } = readJson(join(folder, 'package.json'))
  return Object.keys({ ...dependencies, ...peerDependencies })
}

// ── code ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const runtime = (name) => resolve(`src/platform/runtime/${name}.ts`)
export const aliases = (socket) => ({
  '#bytes': runtime('bytes-portable'),
  '#crypto': runtime('crypto-portable'),
  '#schema': resolve('src/platform/schema/portable.ts'),
  '#secp256k1': runtime('secp256k1-portable'),
  '#socket': runtime(`socket-${socket}`),
})

/**
 * How each package is bundled. Libraries stay outside: an application that has them already gets no second copy, and npm
 * can raise them. A bundle for Node differs in its socket alone, so that what is tested in one runs in the other.
 */
export const bundleOptions = (folder, isNode) => {
  return {
    ...{ bundle: true, format: 'esm', target: TARGET, legalComments: 'none', logLevel: 'warning' },
    // As every bundler of an application does: what only Node has fails the build.
    platform: isNode ? 'node' : 'browser',
    alias: aliases(isNode ? 'node' : 'browser'),
    plugins: [withoutUnusedModules(librariesOf(folder))],
    jsx: 'automatic',
  }
}

/**
 * Libraries stay outside. They and modules of src/ do nothing when they are loaded, so one whose names are not used is left
 * out: its schemas and tables, too, which a bundler cannot tell to be without effect.
 */
const withoutUnusedModules = (libraries) => ({
  name: 'without-unused-modules',
  setup({ onResolve }) {
    const sources = resolve('src') + sep
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const found = resolve(resolveDir, path)
      return found.startsWith(sources) ? { path: found, sideEffects: WITH_EFFECTS.has(found) } : undefined
    })
    onResolve({ filter: /^[@a-z]/ }, ({ path }) =>
      libraries.some((name) => path === name || path.startsWith(`${name}/`))
        ? { path, external: true, sideEffects: false }
        : undefined,
    )
  },
})

/** A copy of a library inside the bundle could be neither shared nor raised. */
const refuseLibraries = (folder, { metafile }) => {
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? []
      if (name && bytesInOutput > 0)
        throw new Error(`${folder} needs ${name}, which is none of its dependencies`)
    }
  }
}

const bundle = async (folder, out) => {
  const { build } = await import('esbuild')
  for (const { name, path, node } of entriesOf(folder)) {
    const entryPoints = [sourceOf(folder, name)]
    // An entry whose files are the same is for Node alone.
    const isForBrowsers = path !== node
    for (const [file, isNode] of [
      ...(isForBrowsers ? [[path, false]] : []),
      ...(node ? [[node, true]] : []),
    ]) {
      const outfile = join(out, relative('dist', file))
      const options = { ...bundleOptions(folder, isNode), entryPoints, outfile, metafile: true }
      refuseLibraries(folder, await build(options))
    }
  }
}

// ── declarations ────────────────────────────────────────────────────────────────────────────────────────────────────

const declare = (out) => {
  const { resolve: find } = createRequire(import.meta.url)
  const compiler = join(dirname(find('typescript/package.json')), 'bin/tsc')
  const options = ['-p', 'tsconfig.packages.json', '--outDir', out, '--noCheck']
  const { status } = spawnSync(process.execPath, [compiler, ...options], { stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error('The declarations of the packages could not be written')
}

/** Copies the declarations that the entries reach. Those of the package lie beside its code, those of src/ in `types`. */
const copyDeclarations = async (folder, declared, out) => {
  const { parseSync } = await import('oxc-parser')
  const own = join(declared, folder, 'src')
  const libraries = librariesOf(folder)
  const placeOf = (path) =>
    path.startsWith(own + sep)
      ? join(out, relative(own, path))
      : join(out, 'types', relative(join(declared, 'src'), path))
  const targetOf = (path, specifier) => {
    if (specifier === '#schema') return join(declared, 'src/platform/schema/portable.d.ts')
    if (specifier.startsWith('.')) return join(dirname(path), specifier.replace(/\.(js|ts|tsx)$/, '.d.ts'))
    if (!libraries.some((name) => specifier === name || specifier.startsWith(`${name}/`))) {
      throw new Error(`${folder}: a public type needs ${specifier}, which is none of its dependencies`)
    }
  }
  const done = new Set()
  const copy = (path) => {
    if (done.has(path)) return
    done.add(path)
    const text = readFileSync(path, 'utf8')
    const { module, program } = parseSync(path, text)
    const places = [...module.staticImports, ...module.staticExports.flatMap(({ entries }) => entries)]
      .map(({ moduleRequest }) => moduleRequest)
      .filter(Boolean)
    for (const { source } of typeImportsIn(program)) places.push(source)
    let written = ''
    let at = 0
    const specifiers = new Map(places.map((place) => [place.start, place]))
    for (const { start, end, value } of [...specifiers.values()].sort((a, b) => a.start - b.start)) {
      const target = targetOf(path, value)
      if (!target) continue
      copy(target)
      const to = relative(dirname(placeOf(path)), placeOf(target)).replace(/\.d\.ts$/, '.js')
      written += `${text.slice(at, start)}'${to.startsWith('.') ? to : `./${to}`}'`
      at = end
    }
    mkdirSync(dirname(placeOf(path)), { recursive: true })
    writeFileSync(placeOf(path), (path.startsWith(own) ? LIBRARY : '') + written + text.slice(at))
  }
  for (const { name } of entriesOf(folder)) copy(join(own, `${name}.d.ts`))
}

/** Types in the form `import('…').Name`. */
const typeImportsIn = (node, found = []) => {
  if (node?.type === 'TSImportType') found.push(node)
  for (const value of Object.values(node ?? {})) {
    if (value && typeof value === 'object') typeImportsIn(value, found)
  }
  return found
}

// ── all of it ───────────────────────────────────────────────────────────────────────────────────────────────────────

const isFresh = () => {
  try {
    const sources = Math.max(
      newest('src', (path) => !path.startsWith(join('src', 'web'))),
      ...packages().flatMap((folder) => [
        newest(join(folder, 'src')),
        statSync(join(folder, 'package.json')).mtimeMs,
      ]),
      ...['package.json', 'tsconfig.json', 'tsconfig.packages.json', import.meta.filename].map(
        (path) => statSync(path).mtimeMs,
      ),
    )
    return packages().every((folder) =>
      entriesOf(folder).every(({ path }) => statSync(join(folder, path)).mtimeMs >= sources),
    )
  } catch {
    return false
  }
}

export const buildPackages = async ({ ifStale = false } = {}) => {
  if (ifStale && isFresh()) return
  const declared = resolve(`.build/declared.${process.pid}`)
  try {
    declare(declared)
    for (const folder of packages()) {
      alignManifest(folder)
      // Swapped in when it is whole, so that whoever reads dist/ meanwhile never sees half of it.
      const next = join(folder, `dist.${process.pid}`)
      await copyDeclarations(folder, declared, next)
      await bundle(folder, next)
      copyFileSync('LICENSE', join(folder, 'LICENSE'))
      rmSync(join(folder, 'dist'), { recursive: true, force: true })
      renameSync(next, join(folder, 'dist'))
    }
  } finally {
    rmSync(declared, { recursive: true, force: true })
    for (const folder of packages())
      rmSync(join(folder, `dist.${process.pid}`), { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  await buildPackages({ ifStale: process.argv.includes('--if-stale') })
}
