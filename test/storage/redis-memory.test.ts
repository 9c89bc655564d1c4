import { expect, it } from 'vitest'
import { openRedis } from '../../src/storage/redis/open.ts'
import { hex, message, topic } from '../contract/relay-samples.ts'
import { startRedis } from '../support/redis.ts'

const COUNT = 5_000
/** As long as a real one: did:key of an Ed25519 key. */
const clientId = (at: number) => `did:key:z6Mk${hex(`client ${at}`).slice(0, 44)}`
const allowed = (payload: number) => 1.6 * payload + 500

it('keeps messages and subscriptions in Redis within 1.6 times their payload and 500 bytes each', async () => {
  await using redis = await startRedis()
  await using stores = await openRedis({ url: redis.url })
  const memory = async () => Number(/used_memory:(\d+)/.exec(await redis.cli('info', 'memory'))?.[1])
  const topics = Array.from({ length: COUNT }, (_, at) => topic(`${at}`))
  const each = async (write: (of: string, at: number) => Promise<unknown>): Promise<number> => {
    const before = await memory()
    for (let from = 0; from < COUNT; from += 500) {
      await Promise.all(topics.slice(from, from + 500).map((of, at) => write(of, from + at)))
    }
    return ((await memory()) - before) / COUNT
  }
  await stores.relay.publish([message(topic('first'), 'loads the script')])

  // One client a topic, one topic a client: everything that is kept per topic or client counts in full.
  const subscription = await each((of, at) => stores.relay.subscribe(clientId(at), [of]))
  expect(subscription).toBeLessThan(allowed(clientId(0).length + 64))
  const payload = 1_000
  const text = (at: number) => `${at} `.padEnd(payload, 'x')
  const stored = await each((of, at) =>
    stores.relay.publish([message(of, text(at), { publisher: clientId(at + 1) })]),
  )
  expect(stored).toBeLessThan(allowed(payload))
  // A message in a topic that nobody is subscribed to bears the whole topic.
  const alone = await each((of, at) =>
    stores.relay.publish([message(hex(of), text(at), { publisher: clientId(at) })]),
  )
  expect(alone).toBeLessThan(allowed(payload))
  console.log(`bytes: subscription ${subscription}, message ${stored}, alone in its topic ${alone}`)
})
