/**
 * Saves states in a file until it is killed: `state-writer.ts <file> <key>`. It prints the length of what was seen in each state
 * that is saved, and nothing before.
 */
import { writeSync } from 'node:fs'
import { fileStore } from '../../../src/notify/client/stores/file.ts'
import { freshState } from '../../../src/notify/client/wallet/state.ts'

const [file = '', key = ''] = process.argv.slice(2)
const store = fileStore(file, { seal: { key: Buffer.from(key, 'hex') } })
const state = (await store.load()) ?? freshState('eip155:1:0x0', (length) => Buffer.alloc(length, 7))
for (;;) {
  state.seen.push(crypto.randomUUID())
  await store.save(state)
  writeSync(1, `${state.seen.length}\n`)
}
