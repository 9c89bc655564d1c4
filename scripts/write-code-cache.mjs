// `node scripts/write-code-cache.mjs DIST DATA`: serves from the bundle in DIST until it is ready, with its data in DATA, and
// leaves V8's code cache beside the bundle. A process of its own: the cache is to have what a server needs, no more.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [dist, data] = process.argv.slice(2)
const folder = pathToFileURL(`${resolve(dist, 'cli')}/`)
const { openBundle } = await import(new URL('bundle.js', folder).href)
const bundle = openBundle(folder)

// Said once, when it is ready.
process.stdout.write = () => process.emit('SIGTERM', 'SIGTERM')
await bundle.start().run(['serve', '--port', '0', '--metrics', 'off', '--log-level', 'error', '--data', data])
bundle.writeCodeCache()
