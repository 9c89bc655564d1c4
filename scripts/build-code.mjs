// `node scripts/build-code.mjs DIST DATA`: serves from the bundle in DIST until it is ready, with its data in DATA, and leaves
// beside the bundle what V8 compiled for that. A process of its own: it is to compile what a server needs, no more.
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [dist, data] = process.argv.slice(2)
const folder = pathToFileURL(`${resolve(dist, 'cli')}/`)
const { openBundle } = await import(new URL('bundle.js', folder).href)
const bundle = openBundle(folder)

// Said once, when it is ready.
process.stdout.write = () => process.emit('SIGTERM', 'SIGTERM')
await bundle.start().run(['serve', '--port', '0', '--metrics', 'off', '--log-level', 'error', '--data', data])
bundle.keepCode()
