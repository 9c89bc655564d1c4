// Holds the pages for people to their budget: what a page loads before it shows something, its scripts and the scripts that these
// import, is at most 120 KB as gzip. Needs dist/.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const MAX_SCRIPT_BYTES = 120 * 1024
const BUILT = 'dist/web'
const manifest = JSON.parse(readFileSync(join(BUILT, 'manifest.json'), 'utf8'))

/** The chunks that a page imports before it runs. */
const importedBy = (name, found = new Set()) => {
  if (found.has(name)) return found
  found.add(name)
  for (const other of manifest[name].imports ?? []) importedBy(other, found)
  return found
}

const pages = Object.entries(manifest)
  .filter(([, { isEntry }]) => isEntry)
  .map(([name]) => [name, [...importedBy(name)].map((chunk) => manifest[chunk].file)])
for (const [name, files] of [...pages, ['inbox/worker.ts', ['worker.js']]]) {
  const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(join(BUILT, file))).length, 0)
  const fits = bytes <= MAX_SCRIPT_BYTES
  console.log(
    `${name}: ${(bytes / 1024).toFixed(1)} KB of script as gzip${fits ? '' : `, over ${MAX_SCRIPT_BYTES / 1024}`}`,
  )
  if (!fits) process.exitCode = 1
}
