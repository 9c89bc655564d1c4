// Compiles src/ to dist/. `--if-stale` leaves dist/ alone when nothing in src/ is newer,
// so that `npm start` costs nothing after `npm ci` and is right after `git pull`.
import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const newest = (dir) =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)

const stamp = 'dist/cli/main.js'
const isFresh = () => {
  try {
    return statSync(stamp).mtimeMs >= Math.max(newest('src'), statSync('tsconfig.build.json').mtimeMs)
  } catch {
    return false
  }
}

if (!(process.argv.includes('--if-stale') && isFresh())) {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
  rmSync('dist', { recursive: true, force: true })
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    stdio: ['ignore', 2, 2],
  })
  process.exitCode = status ?? 1
}
