/** The relay client that has no connection: requests over HTTP, messages by webhook. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import type { ProtocolError } from '../../../src/protocol/errors.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { createWebhookClient } from '../../../src/relay/client/http-client.ts'
import type { RelayMessage } from '../../../src/relay/client/index.ts'
import { createRelayRpc } from '../../../src/relay/client/rpc.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { type Receiver, startReceiver } from '../../support/receiver.ts'
import { lmdb } from '../../support/stores.ts'
import { startWatchRelay } from '../../support/world/relay-webhooks.ts'

let relay: Awaited<ReturnType<typeof startWatchRelay>>
let receiver: Receiver
beforeEach(async () => {
  relay = await startWatchRelay(lmdb)
  receiver = await startReceiver({ signer: () => relay.key.did })
})
afterEach(async () => {
  await relay[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

const newTopic = () => randomBytes(32).toString('hex')
const base64 = (text: string) => Buffer.from(text).toString('base64')
const envelopes = (count: number) => Array.from({ length: count }, (_, at) => base64(`message ${at}`))

interface Connecting {
  key?: typeof relay.key
  clock?: Clock
  fetch?: typeof globalThis.fetch
}
const connect = (
  onMessage: (message: RelayMessage) => Promise<void>,
  { key = generateSigningKey(), clock = systemClock, fetch = globalThis.fetch }: Connecting = {},
) => {
  const http = { clock, fetch }
  const rpc = createRelayRpc({ ...http, randomBytes }, { url: relay.url.replace('http', 'ws'), key })
  const watch = {
    service: 'https://service.example',
    url: `${receiver.url}/hook`,
    type: 'subscriber',
    tags: [4000],
    statuses: ['accepted'],
  } as const
  const deps = { ...http, rpc, log: silent, meter: unmeasured }
  return createWebhookClient(deps, { clientId: key.did, watch, onMessage, remembers: true })
}

it('has a watch, and marks received what it was given', async () => {
  const [key, topic] = [generateSigningKey(), newTopic()]
  const taken: string[] = []
  await using client = connect(async ({ message }) => void taken.push(message), { key })
  await client.subscribe([topic])
  await relay.publish(generateSigningKey(), topic, 'hello')
  const [event] = await eventually(() => {
    expect(receiver.events()).toHaveLength(1)
    return receiver.events()
  })
  if (!event) throw new Error('there is one')
  await Promise.all([client.arrived(event.evt), client.arrived(event.evt)])
  expect(taken).toEqual(['hello'])
  await eventually(async () =>
    expect(await relay.rpc(key, 'irn_batchFetchMessages', { topics: [topic], keep: true })).toEqual({
      messages: [],
      hasMore: false,
    }),
  )
})

it('takes what waited before anybody watched, all of it, in order, once', async () => {
  const [key, sender, topics] = [generateSigningKey(), generateSigningKey(), [newTopic(), newTopic()]]
  await relay.rpc(key, 'irn_batchSubscribe', { topics })
  for (const topic of topics) {
    for (let from = 0; from < 1_200; from += 400) {
      const some = envelopes(1_200).slice(from, from + 400)
      const messages = some.map((message) => ({ topic, message, ttl: 300, tag: 4000 }))
      await relay.rpc(sender, 'irn_batchPublish', { messages })
    }
  }
  const taken = new Map<string, string[]>(topics.map((topic) => [topic, []]))
  await using client = connect(async ({ topic, message }) => void taken.get(topic)?.push(message), { key })
  await client.subscribe(topics)
  await eventually(
    () => expect([...taken.values()].map(({ length }) => length)).toEqual([1_200, 1_200]),
    15_000,
  )
  for (const topic of topics) expect(taken.get(topic)).toEqual(envelopes(1_200))
  await eventually(async () =>
    expect(await relay.rpc(key, 'irn_batchFetchMessages', { topics, keep: true })).toMatchObject({
      messages: [],
    }),
  )
})

it('leaves at the relay what was not handled, and takes it again', async () => {
  const clock = manualClock(Date.now())
  const [key, topic] = [generateSigningKey(), newTopic()]
  await relay.rpc(key, 'irn_subscribe', { topic })
  await relay.publish(generateSigningKey(), topic, 'hello', { ttl: 3_600 })
  let attempts = 0
  await using client = connect(
    async () => {
      attempts++
      if (attempts < 3) throw new Error('not now')
    },
    { key, clock },
  )
  await client.subscribe([topic])
  await eventually(() => expect(attempts).toBe(1))
  const wait = () => relay.rpc(key, 'irn_batchFetchMessages', { topics: [topic], keep: true })
  expect(await wait()).toMatchObject({ messages: [{ message: 'hello' }] })
  await eventually(async () => {
    await clock.advance(1_000)
    expect(attempts).toBe(3)
  })
  await eventually(async () => expect(await wait()).toMatchObject({ messages: [] }))
  const event = { topic, message: 'by event', publishedAt: 1, tag: 4000, attestation: '' }
  attempts = 0
  await expect(client.arrived(event)).rejects.toThrow('not now')
})

it('renews its watch before that one runs out, also when the relay was away', async () => {
  const clock = manualClock(Date.now())
  await relay[Symbol.asyncDispose]()
  relay = await startWatchRelay(lmdb, { clock })
  const key = generateSigningKey()
  await using client = connect(async () => {}, { key, clock })
  await client.ready()
  const lasts = async () => {
    const [watch] = await relay.stores.relay.watches([key.did], clock.now())
    return Math.floor(((watch?.expiresAt ?? 0) - clock.now()) / 3_600_000)
  }
  expect(await lasts()).toBeGreaterThan(6 * 24)
  const first = await lasts()
  await clock.advance(5 * 3_600_000)
  expect(await lasts()).toBe(first - 5)
  await relay.restart(() => clock.advance(3_600_000))
  await eventually(async () => {
    await clock.advance(1_000)
    expect(await lasts()).toBe(first)
  })
})

it('publishes in order over an outage of the relay', async () => {
  const [reader, topic] = [generateSigningKey(), newTopic()]
  const taken: string[] = []
  const online = relay.connect(reader, {
    onMessage: ({ message }) => void taken.push(message),
    remembers: true,
  })
  await online.subscribe([topic])
  await using client = connect(async () => {})
  await client.ready()
  const changes: boolean[] = []
  client.onConnectionChange((connected) => void changes.push(connected))
  const published: Promise<void>[] = []
  const publish = (message: string) => {
    published.push(client.publish({ topic, message, tag: 4000, ttl: 300 }))
  }
  const [before, during] = [envelopes(300).slice(0, 100), envelopes(300).slice(100)]
  for (const message of before) publish(message)
  await relay.restart(async () => {
    for (const message of during) publish(message)
    await eventually(() => expect(client.connected).toBe(false))
  })
  await Promise.all(published)
  await eventually(() => expect([...new Set(taken)]).toEqual(envelopes(300)))
  expect(changes).toEqual([false, true])
})

it.each([
  ['its guard, over a budget', 429, { error: 'Too many requests', code: 'rate_limited' }],
  [
    'its guard, of who is blocked',
    403,
    { error: 'The operator of this server has blocked you', code: 'blocked' },
  ],
  ['one that is starting', 503, { error: 'The service is not available right now', code: 'unavailable' }],
  ['a proxy that finds none', 502, { message: 'Bad gateway' }],
  ['a proxy that takes it for wrong', 400, { message: 'Bad request' }],
  ['something else', 200, {}],
])('a refusal of %s is none of what is published', async (_, status, body) => {
  let refused = 0
  const front = createServer((_request, response) => {
    refused++
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const address = front.address()
  const frontUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  let isRefusing = false
  const fetch: typeof globalThis.fetch = (to, init) => globalThis.fetch(isRefusing ? frontUrl : to, init)
  try {
    await using client = connect(async () => {}, { fetch })
    await client.ready()
    isRefusing = true
    const publish = client.publish({ topic: newTopic(), message: base64('x'), tag: 4000, ttl: 300 })
    const outcome = publish.then(
      () => 'published',
      (error: ProtocolError) => error.code,
    )
    await eventually(() => expect(refused).toBeGreaterThan(0))
    isRefusing = false
    // Published when it is tried again, here or by the outbox: what is wrong with a message ends it.
    expect(['published', 'blocked']).toContain(await outcome)
  } finally {
    front.closeAllConnections()
    front.close()
  }
})

it('says that it is closed to whoever waits', async () => {
  const client = connect(async () => {})
  await client.ready()
  await client[Symbol.asyncDispose]()
  await expect(client.ready()).rejects.toMatchObject({ code: 'unavailable' })
  await expect(client.publish({ topic: newTopic(), message: 'x', tag: 1, ttl: 60 })).rejects.toMatchObject({
    code: 'unavailable',
  })
  const message = { topic: newTopic(), message: 'x', publishedAt: 1, tag: 4000, attestation: '' }
  await expect(client.arrived(message)).rejects.toMatchObject({ code: 'unavailable' })
})
