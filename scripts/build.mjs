// Compiles src/ to dist/, file by file for who imports the package; the program behind the command becomes a bundle, because
// a start would spend most of its time on loading files and compiling them (src/cli/bundle.ts). The pages of browsers
// and the bundle of the API page lie beside it; each of packages/ has a dist/ of its own. `--if-stale` leaves dist/ alone when
// neither src/ nor an installed package is newer, so that `npm start` costs nothing after `npm ci` and is right after `git pull`.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve as resolvePath } from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildPackages } from './build-packages.mjs'
import { newest } from './newest.mjs'
import { thirdPartyNotices } from './third-party.mjs'

const { resolve } = createRequire(import.meta.url)

const COMMAND = 'cli/main.js'
const PROGRAM = 'cli/program.cjs'
/** What agents are served with: few start it, and the program would be a third longer with it. */
const AGENTS = 'cli/mcp.cjs'
/**
 * What the bundle finds where it is installed: binaries and what loads them, packages that look for files beside their
 * own, what is optional or used by few, and the one module of ours that tests watch and that loads a binary.
 */
const NOT_BUNDLED = [
  ...['#crypto', 'lmdb', 'cbor-x', 'ioredis', 'tiny-secp256k1', 'viem', '@simplewebauthn/server'],
  ...['bufferutil', 'utf-8-validate', 'supports-color'],
]
const PAGES = 'web'
const API_PAGE = 'api-page'
const NOTICES = 'THIRD-PARTY.txt'
const API_PAGE_BUNDLE = join(API_PAGE, 'reference.js.gz')

const isFresh = () => {
  try {
    const sources = Math.max(
      newest('src'),
      statSync('tsconfig.build.json').mtimeMs,
      statSync(import.meta.filename).mtimeMs,
      statSync(join(import.meta.dirname, 'build-pages.mjs')).mtimeMs,
      // npm writes it whenever it changes what is installed, which the bundle contains.
      statSync('node_modules/.package-lock.json').mtimeMs,
    )
    return (
      statSync(join('dist', PROGRAM)).mtimeMs >= sources &&
      existsSync(join('dist', API_PAGE_BUNDLE)) &&
      existsSync(join('dist', PAGES))
    )
  } catch {
    return false
  }
}

/**
 * In CommonJS, the only form for which V8 makes a code cache. `import.meta.url` lies as deep as in `src/cli`. Without
 * indentation, which every start would read. Names stay, so that stack traces tell them, in lines short enough to be found;
 * source maps would have to be read at each start.
 */
const bundle = async (entry, outfile, plugins = []) => {
  const { build } = await import('esbuild')
  const { metafile } = await build({
    entryPoints: [entry],
    outfile,
    metafile: true,
    plugins,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    alias: {
      '#bytes': './src/platform/runtime/bytes-node.ts',
      '#schema': 'zod',
      '#secp256k1': './src/platform/runtime/secp256k1-node.ts',
      '#socket': './src/platform/runtime/socket-node.ts',
    },
    external: NOT_BUNDLED,
    // V8 gives code that comes from a code cache no import().
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'bundleUrl' },
    banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
    // `THIRD-PARTY.txt` has all of them.
    legalComments: 'none',
    minifyWhitespace: true,
    lineLimit: 120,
    logLevel: 'warning',
  })
  return Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs))
}

/** The program, and beside it what it loads only for agents. */
const bundleProgram = async (dist) => {
  let agents
  const apart = {
    name: 'agents-apart',
    setup({ onResolve }) {
      onResolve({ filter: /\/mcp\/main\.ts$/ }, ({ path, resolveDir }) => {
        agents = resolvePath(resolveDir, path)
        return { path: `./${basename(AGENTS)}`, external: true }
      })
    },
  }
  const modules = await bundle('src/cli/program.ts', join(dist, PROGRAM), [apart])
  if (agents !== undefined) modules.push(...(await bundle(agents, join(dist, AGENTS))))
  return modules
}

/** In place, where the program finds `#crypto`. Where the build can start no server there is no code cache, and starts take longer. */
const writeCodeCache = () => {
  const data = mkdtempSync(join(tmpdir(), 'belfry-build-'))
  try {
    const script = join(import.meta.dirname, 'write-code-cache.mjs')
    // What is configured here is for the server that will run, not for this one.
    const { PATH } = process.env
    const options = { cwd: data, env: { PATH }, encoding: 'utf8', timeout: 30_000 }
    const { status, stderr } = spawnSync(process.execPath, [script, resolvePath('dist'), data], options)
    if (status !== 0) process.stderr.write(`There is no code cache, so starts take longer: ${stderr}\n`)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

/** Of @scalar/api-reference the bundle for browsers is needed alone; this package brings it without its 280 parts. */
const copyApiPage = (dist) => {
  const page = join(dirname(resolve('@scalar/fastify-api-reference')), 'js/standalone.js')
  mkdirSync(join(dist, API_PAGE))
  writeFileSync(join(dist, API_PAGE_BUNDLE), gzipSync(readFileSync(page), { level: 9 }))
  return page
}

/** npm makes the command executable only when it links it, which is before a later build writes it anew. */
const makeExecutable = (dist) => chmodSync(join(dist, COMMAND), 0o755)

const ifStale = process.argv.includes('--if-stale')
if (ifStale && isFresh()) {
  makeExecutable('dist')
} else {
  const compiler = join(dirname(resolve('typescript/package.json')), 'bin/tsc')
  // Swapped in when it is whole, so that whoever runs from dist/ meanwhile never sees half of it.
  const next = `dist.${process.pid}`
  // Types are checked by `npm run types`: whoever installs does not wait for that.
  const options = ['-p', 'tsconfig.build.json', '--outDir', next, '--noCheck']
  const { status } = spawnSync(process.execPath, [compiler, ...options], { stdio: ['ignore', 2, 2] })
  try {
    if (status === 0) {
      const modules = await bundleProgram(next)
      // What it needs is loaded for a build alone: `npm start` needs none of it.
      const { buildPages } = await import('./build-pages.mjs')
      modules.push(...(await buildPages(resolvePath(next, PAGES))), copyApiPage(next))
      writeFileSync(join(next, NOTICES), thirdPartyNotices(modules))
      makeExecutable(next)
      rmSync('dist', { recursive: true, force: true })
      renameSync(next, 'dist')
      writeCodeCache()
    } else {
      process.exitCode = status ?? 1
    }
  } finally {
    rmSync(next, { recursive: true, force: true })
  }
}
if (!process.exitCode) await buildPackages({ ifStale })
