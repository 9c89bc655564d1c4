// Compiles src/ to dist/ and puts the bundle of the API page beside it. `--if-stale` leaves dist/ alone when nothing
// in src/ is newer, so that `npm start` costs nothing after `npm ci` and is right after `git pull`.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
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
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'

const { resolve } = createRequire(import.meta.url)

const newest = (dir) =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)

const COMMAND = 'cli/main.js'
const API_PAGE = 'api-page'
const API_PAGE_BUNDLE = join(API_PAGE, 'reference.js.gz')

const isFresh = () => {
  try {
    const sources = Math.max(
      newest('src'),
      statSync('tsconfig.build.json').mtimeMs,
      statSync(import.meta.filename).mtimeMs,
    )
    return statSync(join('dist', COMMAND)).mtimeMs >= sources && existsSync(join('dist', API_PAGE_BUNDLE))
  } catch {
    return false
  }
}

/** Of @scalar/api-reference the bundle for browsers is needed alone; this package brings it without its 280 parts. */
const copyApiPage = (dist) => {
  const page = join(dirname(resolve('@scalar/fastify-api-reference')), 'js/standalone.js')
  mkdirSync(join(dist, API_PAGE))
  writeFileSync(join(dist, API_PAGE_BUNDLE), gzipSync(readFileSync(page), { level: 9 }))
}

/** npm makes the command executable only when it links it, which is before a later build writes it anew. */
const makeExecutable = (dist) => chmodSync(join(dist, COMMAND), 0o755)

if (process.argv.includes('--if-stale') && isFresh()) {
  makeExecutable('dist')
} else {
  const compiler = join(dirname(resolve('typescript/package.json')), 'bin/tsc')
  // Swapped in when it is whole, so that whoever runs from dist/ meanwhile never sees half of it.
  const next = `dist.${process.pid}`
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', next], {
    stdio: ['ignore', 2, 2],
  })
  if (status === 0) {
    copyApiPage(next)
    makeExecutable(next)
    rmSync('dist', { recursive: true, force: true })
    renameSync(next, 'dist')
  } else {
    rmSync(next, { recursive: true, force: true })
    process.exitCode = status ?? 1
  }
}
