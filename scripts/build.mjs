// Compiles src/ to dist/. `--if-stale` leaves dist/ alone when nothing in src/ is newer,
// so that `npm start` costs nothing after `npm ci` and is right after `git pull`.
import { spawnSync } from 'node:child_process'
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
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
  // Swapped in when it is whole, so that whoever runs from dist/ meanwhile never sees half of it.
  const next = `dist.${process.pid}`
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', next], {
    stdio: ['ignore', 2, 2],
  })
  if (status === 0) {
    rmSync('dist', { recursive: true, force: true })
    renameSync(next, 'dist')
  } else {
    rmSync(next, { recursive: true, force: true })
    process.exitCode = status ?? 1
  }
}
