import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { become, notification, record, subscription, T, watcher } from '../../contract/notify-samples.ts'
import { hex, message, topic } from '../../contract/relay-samples.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'

const MESSAGES = 5_000
/** So many that the sets of a partition are beyond what Redis keeps in its compact form. */
const ACCOUNTS = 12_000
/** As long as a real one: did:key of an Ed25519 key. */
const didKey = (name: string) => `did:key:z6Mk${hex(name).slice(0, 44)}`
const allowed = (payload: number) => 1.6 * payload + 500

/** What Redis needs more for each of many writes, bytes; what connections have in their buffers is not counted. */
const perWrite = async (
  redis: RedisServer,
  count: number,
  write: (at: number) => Promise<unknown>,
): Promise<number> => {
  const memory = async () => {
    const info = await redis.cli('info', 'memory')
    const bytesOf = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1])
    return bytesOf('used_memory') - bytesOf('mem_clients_normal')
  }
  const before = await memory()
  for (let from = 0; from < count; from += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, at) => write(from + at)))
  }
  return ((await memory()) - before) / count
}

it('keeps messages and subscriptions of the relay within 1.6 times their payload and 500 bytes each', async () => {
  await using redis = await startRedis()
  await using stores = await openRedis({ url: redis.url })
  const clientId = (at: number) => didKey(`client ${at}`)
  const topicOf = (at: number) => topic(`${at}`)
  await stores.relay.publish([message(topic('first'), 'loads the script')])

  // One client a topic, one topic a client: everything that is kept per topic or client counts in full.
  const held = await perWrite(redis, MESSAGES, (at) =>
    stores.relay.subscribe(clientId(at), [topicOf(at)], { now: Date.now() }),
  )
  // What a subscription says: who, and to what.
  expect(held).toBeLessThan(allowed(clientId(0).length + 64))
  const payload = 1_000
  const text = (at: number) => `${at} `.padEnd(payload, 'x')
  const stored = await perWrite(redis, MESSAGES, (at) =>
    stores.relay.publish([message(topicOf(at), text(at), { publisher: clientId(at + 1) })]),
  )
  expect(stored).toBeLessThan(allowed(payload))
  // A message in a topic that nobody is subscribed to bears the whole topic.
  const alone = await perWrite(redis, MESSAGES, (at) =>
    stores.relay.publish([message(hex(topicOf(at)), text(at), { publisher: clientId(at) })]),
  )
  expect(alone).toBeLessThan(allowed(payload))
  console.log(`bytes: subscription ${held}, message ${stored}, alone in its topic ${alone}`)
})

it('keeps subscriptions and watchers of the notify server within 1.6 times their payload and 500 bytes each', async () => {
  await using redis = await startRedis()
  await using stores = await openRedis({ url: redis.url })
  const store = stores.notify
  const digest = (text: string) => createHash('sha256').update(text).digest()
  // As long as real ones: a sealed key is 60 bytes, types and subscriptions have UUIDs.
  const sealed = (text: string) => Buffer.concat([digest(text), digest(`${text}!`)], 60).toString('base64url')
  const uuid = (at: number) => `00000000-0000-4000-8000-${`${at}`.padStart(12, '0')}`
  const person = (at: number) => {
    const address = `0x${hex(`account ${at}`).slice(24)}`
    const account = `eip155:1:${address}`
    const [id, key] = [uuid(at), sealed(`P ${at}`)]
    const held = subscription(id, { scope: [id], key, topic: hex(`P ${at}`), account })
    const watches = watcher(didKey(`identity ${at}`), {
      key: sealed(`S ${at}`),
      topic: hex(`S ${at}`),
      account,
    })
    return { key: `eip155:${address}`, held, watches }
  }
  await become(store, 'eip155:0xfirst', record([subscription('loads the script')]))

  // One subscription an account: what is kept once for each account counts in full.
  const perSubscription = await perWrite(redis, ACCOUNTS, (at) =>
    become(store, person(at).key, record([person(at).held])),
  )
  const perWatcher = await perWrite(redis, ACCOUNTS, (at) => {
    const { key, held, watches } = person(at)
    return become(store, key, record([held], [watches]))
  })
  // And a watcher of an account that has nothing else.
  const aloneWatcher = await perWrite(redis, ACCOUNTS, (at) => {
    const { key, watches } = person(ACCOUNTS + at)
    return become(store, key, record([], [watches]))
  })
  // The payload is what the service hands over: the JSON of the thing, and whose it is.
  const payloadOf = (thing: unknown) => JSON.stringify(thing).length + person(0).key.length
  console.log(
    `bytes: subscription ${perSubscription} of ${payloadOf(person(0).held)}, watcher ${perWatcher}, alone ${aloneWatcher}, of ${payloadOf(person(0).watches)}`,
  )
  expect(perSubscription).toBeLessThan(allowed(payloadOf(person(0).held)))
  expect(perWatcher).toBeLessThan(allowed(payloadOf(person(0).watches)))
  expect(aloneWatcher).toBeLessThan(allowed(payloadOf(person(0).watches)))
}, 120_000)

it('keeps a receipt within 100 bytes, or 250 where many of a notification end its compact form', async () => {
  await using redis = await startRedis()
  await using stores = await openRedis({ url: redis.url })
  const store = stores.notify
  const person = (at: number) => `eip155:0x${hex(`account ${at}`).slice(24)}`
  // Receipts alone: those of who was refused are as long as those of who has it, without the reason.
  const bytesOf = async (count: number, from: number) => {
    const kept = await store.putNotification(notification(`to ${count}`))
    return perWrite(redis, 500, async (at) => {
      if (at % 10 > 0) return
      const failures = Array.from({ length: count / 50 }, (_, n) => {
        const accountKey = person(from + (at / 10) * (count / 50) + n)
        return { accountKey, account: accountKey.replace(':', ':1:'), reason: '' }
      })
      await store.refuse(kept, failures, T)
    }).then((bytes) => (bytes * 500) / count)
  }
  const small = await bytesOf(5_000, 0)
  const large = await bytesOf(50_000, 100_000)
  // One receiver each: every receipt bears its own key.
  const alone = await perWrite(redis, 2_000, async (at) => {
    const kept = await store.putNotification(notification(`alone ${at}`))
    await store.refuse(kept, [{ accountKey: person(at), account: 'eip155:1:0x', reason: '' }], T)
  })
  console.log(`bytes: receipt of 5,000 ${small}, of 50,000 ${large}; notification to one ${alone}`)
  expect(small).toBeLessThan(100)
  expect(large).toBeLessThan(250)
  expect(alone).toBeLessThan(1_600)
}, 120_000)
