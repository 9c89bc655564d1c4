/**
 * A device that sets values until it is killed: `crash-writer.ts <file> <relay URL> <account> <signature>`. It prints the
 * value of each `set` that was answered, and nothing before.
 */
import { writeSync } from 'node:fs'
import { openSync } from '../../src/sdk/sync.ts'
import { openFileStorage } from '../../src/sync/file.ts'

const [file = '', relayUrl = '', account = '', signature = ''] = process.argv.slice(2)
const sync = await openSync({ relayUrl, storage: await openFileStorage(file) })
const where = { account, store: 'crash' }
if (!(await sync.isRegistered({ account }))) await sync.register({ account, signature })
await sync.create(where)

const lane = async (name: string) => {
  const key = `key ${name}`
  for (let next = Number(sync.value({ ...where, key }) ?? -1) + 1; ; next++) {
    await sync.set({ ...where, key, value: `${next}` })
    writeSync(1, `${name} ${next}\n`)
  }
}
await Promise.all(['a', 'b', 'c'].map(lane))
