/**
 * A process that writes until it is killed: `crash-writer.ts <directory> <round>`. It prints a line for each result
 * that it was given, and nothing before: what it printed must be there after the crash.
 */
import { writeSync } from 'node:fs'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { entry, notification, record, subscription, target } from '../../contract/notify-samples.ts'
import { client, hex, message, T, topic } from '../../contract/relay-samples.ts'

const [directory = '', round = ''] = process.argv.slice(2)
const stores = await openLmdb({ path: directory })
const say = (what: string, id: string) => writeSync(1, `${what} ${id}\n`)

const relay = async (lane: string) => {
  const of = topic(lane)
  await stores.relay.subscribe(client(lane), [of], { now: Date.now() })
  say('subscribed', lane)
  for (let at = 0; ; at++) {
    const text = `${lane} ${at}`
    await stores.relay.publish([message(of, text)])
    say('published', text)
    if (at % 3 !== 0) continue
    await stores.relay.acknowledge(client(lane), [{ topic: of, id: hex(text) }])
    say('acknowledged', text)
  }
}

const notify = async (lane: string) => {
  for (let at = 0; ; at++) {
    const id = `${lane} ${at}`
    const outcome = await stores.notify.commit({
      accountKey: id,
      expectedVersion: 0,
      record: record([subscription(id)]),
      requestId: { id: `request ${id}`, expiresAt: T + 1 },
      outbox: [entry(`response ${id}`)],
    })
    if (outcome === 'committed') say('committed', id)
    const [handed] = await stores.notify.enqueue(notification(id), [target(id, id, `copy ${id}`)])
    if (handed === 'sent') say('handed', id)
    if (at % 3 !== 0) continue
    await stores.notify.completeOutbox([{ id: `response ${id}` }], T)
    say('completed', id)
  }
}

say('open', round)
await Promise.all([0, 1, 2].flatMap((lane) => [relay(`${round} ${lane}`), notify(`${round} ${lane}`)]))
