// Builds the pages for browsers, and the inbox's service worker. `scripts/build.mjs` does it as a part of the whole; run by itself
// it builds them anew into dist/web.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'vite'

const CONFIG = resolve('src/web/vite.config.ts')
/** What the inbox is made of beside its scripts and styles. */
const FILES = ['/icon.svg', '/icon-192.png', '/inbox.webmanifest']

/** Everything that the page loads, at once or when it needs it, by its name in the manifest of the build. */
const loadedBy = (manifest, name, found = new Set()) => {
  if (found.has(name)) return found
  found.add(name)
  const { imports = [], dynamicImports = [] } = manifest[name]
  for (const other of [...imports, ...dynamicImports]) loadedBy(manifest, other, found)
  return found
}

/** What the service worker keeps, so that the inbox opens without the server, and a version that changes with any of it. */
const shellOf = (folder) => {
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
  const chunks = [...loadedBy(manifest, 'inbox/index.html')].map((name) => manifest[name])
  const assets = chunks.flatMap(({ file, css = [] }) => [file, ...css].map((each) => `/${each}`))
  const version = createHash('sha256').update(readFileSync(join(folder, 'inbox/index.html')))
  for (const file of FILES) version.update(readFileSync(join(folder, file)))
  return { version: version.digest('base64url').slice(0, 12), files: ['/', ...new Set(assets), ...FILES] }
}

/** Paths of the modules in what was built. */
const modulesOf = (built) =>
  [built].flat().flatMap(({ output }) => output.flatMap(({ moduleIds = [] }) => moduleIds))

/**
 * @param outDir Where the files go; what was there is removed.
 * @returns paths of the modules that the pages are made of.
 */
export const buildPages = async (outDir) => {
  const pages = await build({ configFile: CONFIG, build: { outDir, emptyOutDir: true }, logLevel: 'warn' })
  // A service worker is one script, whose address stays.
  const worker = await build({
    configFile: CONFIG,
    publicDir: false,
    define: { SHELL: JSON.stringify(shellOf(outDir)) },
    build: {
      ...{ outDir, emptyOutDir: false, manifest: false },
      rolldownOptions: {
        input: resolve('src/web/inbox/worker.ts'),
        output: { format: 'iife', entryFileNames: 'worker.js' },
      },
    },
    logLevel: 'warn',
  })
  if (!readdirSync(outDir).includes('worker.js')) throw new Error('The service worker was not built')
  return [pages, worker].flatMap(modulesOf)
}

if (process.argv[1] === import.meta.filename) await buildPages(resolve('dist/web'))
