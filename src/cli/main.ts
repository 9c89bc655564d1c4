#!/usr/bin/env node
/** Where the command begins: in the bundle that the build made of ./program.ts, and without one (`npm run dev`) there. */
import { openBundle } from './bundle.ts'

const { run } = openBundle(new URL('.', import.meta.url))?.start() ?? (await import('./program.ts'))
await run(process.argv.slice(2))
