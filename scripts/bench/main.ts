/**
 * `npm run bench`: one table, in some ten minutes. Everything is measured in this one run, so that figures may be
 * compared with each other; on a shared machine quote ratios. Names of sections as arguments run only these;
 * `against <folder> [text]` compares this checkout with another. Each section is shown on stderr as soon as it ends, and
 * all of them as one table at the end. See `sizes.ts` for more subscribers, clients and subscriptions.
 */
import { cpus } from 'node:os'
import { benchAgainst } from './against.ts'
import { benchBroadcast } from './broadcast.ts'
import { benchFleet } from './fleet.ts'
import { benchMemory } from './memory.ts'
import { benchNotify } from './notify.ts'
import { benchPrimitives } from './primitives.ts'
import { benchPush } from './push.ts'
import { benchRelay } from './relay.ts'
import { benchRelayLoad } from './relay-load.ts'
import { benchRequests } from './requests.ts'
import { benchRestart } from './restart.ts'
import { printTable, type Row } from './table.ts'

const sections: Record<string, () => Row[] | Promise<Row[]>> = {
  primitives: benchPrimitives,
  relay: benchRelay,
  load: benchRelayLoad,
  notify: benchNotify,
  broadcast: benchBroadcast,
  requests: benchRequests,
  push: benchPush,
  memory: benchMemory,
  restart: benchRestart,
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
  const start = performance.now()
  const measured = await run()
  rows.push(...measured)
  process.stderr.write(`${printTable(measured)}\n${((performance.now() - start) / 1000).toFixed(0)} s\n\n`)
}
console.log(printTable(rows))
console.log(`\n${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.versions.node}`)
