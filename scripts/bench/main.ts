/**
 * `npm run bench`: one table, in a few minutes. Everything is measured in this one run, so that figures may be
 * compared with each other; on a shared machine quote ratios. Names of sections as arguments run only these;
 * `against <folder> [text]` compares this checkout with another.
 */
import { cpus } from 'node:os'
import { benchAgainst } from './against.ts'
import { benchFleet } from './fleet.ts'
import { benchNotify } from './notify.ts'
import { benchPrimitives } from './primitives.ts'
import { benchPush } from './push.ts'
import { benchMemory, benchRelay } from './relay.ts'
import { printTable, type Row } from './table.ts'

const sections: Record<string, () => Row[] | Promise<Row[]>> = {
  primitives: benchPrimitives,
  relay: benchRelay,
  notify: benchNotify,
  push: benchPush,
  memory: benchMemory,
  fleet: benchFleet,
}

const wanted = process.argv.slice(2)
const [first, checkout, text] = wanted
if (first === 'against' && checkout === undefined)
  throw new Error('Against which folder? npm run bench against ../before')
const rows: Row[] = first === 'against' && checkout ? await benchAgainst(checkout, text) : []
for (const [name, run] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stderr.write(`measuring: ${name}\n`)
  rows.push(...(await run()))
}
console.log(printTable(rows))
console.log(`\n${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.versions.node}`)
