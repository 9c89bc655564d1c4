import { expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/platform/runtime/clock.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { rpcRequest } from '../../../src/protocol/jsonrpc.ts'
import { decodeJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import type { RelayMessage } from '../../../src/relay/client/index.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startRelay } from '../../support/world/relay.ts'
import { connect, randomMessage, randomTopic, startScripted } from '../../support/world/scripted-relay.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })

test('what one client publishes the other receives, whole', async () => {
  await using relay = await startRelay()
  const received: RelayMessage[] = []
  await using bob = connect(relay.url, { onMessage: (message) => void received.push(message) })
  await using alice = connect(relay.url.replace('ws:', 'http:'))
  const topic = randomTopic()
  const message = randomMessage()
  await bob.subscribe([topic])
  await alice.publish({ topic, message, tag: 4002, ttl: 60, prompt: true, attestation: 'att' })
  await eventually(() => expect(received).toHaveLength(1))
  expect(received[0]).toEqual({
    topic,
    message,
    tag: 4002,
    attestation: 'att',
    publishedAt: expect.any(Number),
  })
})

test('messages of a topic are handled in order, one after the other, and do not hold up another topic', async () => {
  await using relay = await startRelay()
  const [slow, fast] = [randomTopic(), randomTopic()]
  const handled: string[] = []
  let atWork = 0
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  await using bob = connect(relay.url, {
    async onMessage({ topic, message }) {
      if (topic === slow) {
        atWork++
        expect(atWork).toBe(1)
        await held
        atWork--
      }
      handled.push(message)
    },
  })
  await using alice = connect(relay.url)
  await bob.subscribe([slow, fast])
  const messages = Array.from({ length: 50 }, () => randomMessage())
  const other = randomMessage()
  await Promise.all([
    ...messages.map((message) => alice.publish({ topic: slow, message, tag: 1, ttl: 60 })),
    alice.publish({ topic: fast, message: other, tag: 1, ttl: 60 }),
  ])
  await eventually(() => expect(handled).toEqual([other]))
  release()
  await eventually(() => expect(handled).toEqual([other, ...messages]))
})

test('a message that was not handled is not acknowledged and comes again', async () => {
  await using relay = await startRelay({ limits: { redeliverAfterMs: 200 } })
  let attempts = 0
  const handled: string[] = []
  await using bob = connect(relay.url, {
    onMessage({ message }) {
      attempts++
      if (attempts < 3) throw new Error('not yet')
      handled.push(message)
    },
  })
  await using alice = connect(relay.url)
  const topic = randomTopic()
  const message = randomMessage()
  await bob.subscribe([topic])
  await alice.publish({ topic, message, tag: 1, ttl: 60 })
  await eventually(() => expect(handled).toEqual([message]))
  expect(attempts).toBe(3)
})

test('a publish during an outage arrives after it, once', async () => {
  await using relay = await startRelay()
  const received: string[] = []
  await using bob = connect(relay.url, { onMessage: ({ message }) => void received.push(message) })
  await using alice = connect(relay.url)
  const topic = randomTopic()
  await bob.subscribe([topic])
  await alice.ready()
  await relay.stop()
  await eventually(() => expect(alice.connected || bob.connected).toBe(false))
  const messages = Array.from({ length: 20 }, () => randomMessage())
  const published = Promise.all(messages.map((message) => alice.publish({ topic, message, tag: 1, ttl: 60 })))
  await relay.start()
  await published
  await eventually(() => expect(received).toEqual(messages))
})

test('on a relay that forgot everything the client subscribes again by itself', async () => {
  await using relay = await startRelay()
  const received: string[] = []
  await using bob = connect(relay.url, { onMessage: ({ message }) => void received.push(message) })
  await using alice = connect(relay.url)
  const topics = Array.from({ length: 1_200 }, randomTopic)
  const [first = '', last = topics.at(-1) ?? ''] = topics
  await bob.subscribe(topics)
  await bob.unsubscribe([first])
  await relay.stop()
  await relay.startForgetful()
  const gone = randomMessage()
  const wanted = randomMessage()
  await alice.publish({ topic: first, message: gone, tag: 1, ttl: 60 })
  await alice.publish({ topic: last, message: wanted, tag: 1, ttl: 60 })
  await eventually(() => expect(received).toEqual([wanted]))
})

test('a subscription that a relay could not renew for the moment is asked for again', async () => {
  const clock = manualClock(Date.now())
  await using relay = await startScripted()
  await using client = connect(relay.url, {}, { clock })
  const topic = randomTopic()
  await client.subscribe([topic])
  relay.script.answer = () => ({ error: { code: -32000, message: 'The service is not available right now' } })
  relay.connections[0]?.socket.terminate()
  await eventually(async () => {
    await clock.advance(1_000)
    expect(relay.asked.length).toBeGreaterThan(1)
  })
  relay.script.answer = () => ({ result: true })
  const refused = relay.asked.length
  await eventually(async () => {
    await clock.advance(1_000)
    expect(relay.asked.length).toBeGreaterThan(refused)
  })
  expect(relay.asked.at(-1)).toMatchObject({ method: 'irn_subscribe', params: { topic }, connection: 2 })
})

test('subscriptions outlive the client: a new one with the same key continues where the old one ended', async () => {
  await using relay = await startRelay()
  const key = generateSigningKey()
  const topic = randomTopic()
  await using alice = connect(relay.url)
  const before: string[] = []
  const old = connect(relay.url, { key, onMessage: ({ message }) => void before.push(message) })
  await old.subscribe([topic])
  const [first, second] = [randomMessage(), randomMessage()]
  await alice.publish({ topic, message: first, tag: 1, ttl: 60 })
  await eventually(() => expect(before).toEqual([first]))
  await old[Symbol.asyncDispose]()
  await alice.publish({ topic, message: second, tag: 1, ttl: 60 })
  const after: string[] = []
  await using _again = connect(relay.url, {
    key,
    remembers: true,
    onMessage: ({ message }) => void after.push(message),
  })
  await eventually(() => expect(after).toEqual([second]))
})

test('of two connections that share a client id each message reaches one', async () => {
  await using relay = await startRelay()
  const key = generateSigningKey()
  const received: string[] = []
  const onMessage = ({ message }: RelayMessage) => void received.push(message)
  await using one = connect(relay.url, { key, share: true, onMessage })
  await using two = connect(relay.url, { key, share: true, onMessage })
  await using alice = connect(relay.url)
  const topics = Array.from({ length: 10 }, randomTopic)
  await one.subscribe(topics)
  await two.ready()
  const messages = topics.flatMap((topic) =>
    Array.from({ length: 5 }, () => ({ topic, message: randomMessage() })),
  )
  await Promise.all(messages.map((message) => alice.publish({ ...message, tag: 1, ttl: 60 })))
  await eventually(() => expect(received.length).toBeGreaterThanOrEqual(50))
  expect(received.toSorted()).toEqual(messages.map(({ message }) => message).toSorted())
})

test('fetch takes what waits', async () => {
  await using relay = await startRelay({ limits: { fetchMessages: 4 } })
  await using alice = connect(relay.url)
  await using bob = connect(relay.url)
  const topics = [randomTopic(), randomTopic()]
  const messages = topics.flatMap((topic) =>
    Array.from({ length: 7 }, () => ({ topic, message: randomMessage() })),
  )
  await Promise.all(messages.map((message) => alice.publish({ ...message, tag: 5, ttl: 60 })))
  const fetched = await bob.fetch(topics)
  expect(fetched.map(({ message }) => message).toSorted()).toEqual(
    messages.map(({ message }) => message).toSorted(),
  )
  expect(await bob.fetch(topics)).toEqual([])
})

test('a client that is not let in stops trying and rejects everything', async () => {
  await using relay = await startRelay({ projectIds: ['known'] })
  const changes: boolean[] = []
  await using stranger = connect(relay.url, { projectId: 'unknown' })
  using _listener = stranger.onConnectionChange((connected) => void changes.push(connected))
  const publish = { topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 }
  await expect(stranger.publish(publish)).rejects.toEqual(code('unauthenticated'))
  await expect(stranger.ready()).rejects.toEqual(code('unauthenticated'))
  await expect(stranger.subscribe([randomTopic()])).rejects.toEqual(code('unauthenticated'))
  expect(stranger.connected).toBe(false)
  await using friend = connect(relay.url, { projectId: 'known' })
  await friend.publish(publish)
})

test('each connection has a fresh token for the same nonce, made out to the origin of the relay', async () => {
  await using relay = await startScripted()
  await using client = connect(`${relay.url}/relay`, { projectId: 'p', share: true })
  await client.ready()
  relay.connections[0]?.socket.terminate()
  await eventually(() => expect(relay.connections).toHaveLength(2))
  const tokens = relay.connections.map(({ url }) => decodeJwt(url.searchParams.get('auth') ?? '').claims)
  expect(tokens[0]).toMatchObject({ iss: client.clientId, aud: relay.url.replace('http', 'ws') })
  expect(tokens[1]?.sub).toBe(tokens[0]?.sub)
  const url = relay.connections[0]?.url
  expect(url?.pathname).toBe('/relay')
  expect(Object.fromEntries(url?.searchParams ?? [])).toMatchObject({
    projectId: 'p',
    share: '1',
    useOnCloseEvent: 'true',
  })
})

test('what is published in one tick goes out in batches of 500 at most, in frames below 1 MiB', async () => {
  await using relay = await startScripted()
  await using client = connect(relay.url)
  const topic = randomTopic()
  const small = Array.from({ length: 1_200 }, () => randomMessage())
  const large = Array.from({ length: 10 }, () => randomMessage(150_000))
  await Promise.all(
    [...small, ...large].map((message) => client.publish({ topic, message, tag: 1, ttl: 60 })),
  )
  const batches = relay.asked.filter(({ method }) => method === 'irn_batchPublish')
  const sent = relay.asked.flatMap(({ params }) => messagesOf(params))
  expect(sent).toEqual([...small, ...large])
  expect(batches.length).toBeLessThan(8)
  for (const { params, bytes } of relay.asked) {
    expect(messagesOf(params).length).toBeLessThanOrEqual(500)
    expect(bytes).toBeLessThan(1024 * 1024)
  }
})

test('what is subscribed to in one tick goes out in batches, the last wish for a topic counting', async () => {
  await using relay = await startScripted()
  await using client = connect(relay.url)
  const topics = Array.from({ length: 700 }, randomTopic)
  const [fickle = ''] = topics
  await Promise.all([...topics.map((topic) => client.subscribe([topic])), client.unsubscribe([fickle])])
  const methods = relay.asked.map(({ method }) => method)
  expect(methods.toSorted()).toEqual(
    ['irn_batchSubscribe', 'irn_batchSubscribe', 'irn_unsubscribe'].toSorted(),
  )
})

test('a relay without the batch methods gets single ones', async () => {
  const unknown = { error: { code: -32601, message: 'method not found' } }
  await using relay = await startScripted(({ method }) => {
    if (method.startsWith('irn_batch')) return unknown
    return { result: method === 'irn_fetchMessages' ? { messages: [], hasMore: false } : true }
  })
  await using client = connect(relay.url)
  const topics = [randomTopic(), randomTopic(), randomTopic()]
  await client.subscribe(topics)
  await Promise.all(
    topics.map((topic) => client.publish({ topic, message: randomMessage(), tag: 1, ttl: 60 })),
  )
  await Promise.all(
    topics.map((topic) => client.publish({ topic, message: randomMessage(), tag: 1, ttl: 60 })),
  )
  expect(await client.fetch(topics)).toEqual([])
  await client.unsubscribe(topics)
  const count = (name: string) => relay.asked.filter(({ method }) => method === name).length
  expect(count('irn_batchPublish')).toBe(1)
  expect(count('irn_publish')).toBe(6)
  expect(count('irn_subscribe')).toBe(3)
  expect(count('irn_fetchMessages')).toBe(3)
  expect(count('irn_unsubscribe')).toBe(3)
})

test('one message that is refused takes nothing from the others of its batch', async () => {
  const bad = randomMessage()
  await using relay = await startScripted(({ params }) =>
    messagesOf(params).includes(bad) ? { error: { code: -32602, message: 'no' } } : { result: true },
  )
  await using client = connect(relay.url)
  const results = await Promise.allSettled(
    [randomMessage(), bad, randomMessage()].map((message) =>
      client.publish({ topic: randomTopic(), message, tag: 1, ttl: 60 }),
    ),
  )
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(results[1]).toEqual({ status: 'rejected', reason: code('bad_params') })
})

test('a batch that is refused because of the relay is refused as a whole', async () => {
  await using relay = await startScripted(() => ({
    error: { code: -32000, message: 'Internal server error' },
  }))
  await using client = connect(relay.url)
  const publish = () => client.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 })
  const results = await Promise.allSettled([publish(), publish(), publish()])
  for (const result of results) expect(result).toEqual({ status: 'rejected', reason: code('internal') })
  expect(relay.asked).toHaveLength(1)
})

test('a message that comes again is handled once and acknowledged each time, with the id as it was written', async () => {
  await using relay = await startScripted()
  let handled = 0
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  await using client = connect(relay.url, {
    onMessage() {
      handled++
      return held
    },
  })
  await client.ready()
  const [topic, message] = [randomTopic(), randomMessage()]
  relay.push(1, topic, message)
  await eventually(() => expect(handled).toBe(1))
  relay.push(2, topic, message)
  relay.send(rpcRequest('"0123456789012345678"', 'irn_heartbeat', {}))
  await client.publish({ topic, message: randomMessage(), tag: 1, ttl: 60 })
  expect(relay.answers).toEqual([])
  release()
  await eventually(() => expect(relay.answers).toEqual(['{"id":2,"jsonrpc":"2.0","result":true}']))
  relay.push(3, topic, message)
  await eventually(() => expect(relay.answers).toHaveLength(2))
  expect(handled).toBe(1)
})

test('a message that was handled while the connection broke is acknowledged on the next one', async () => {
  await using relay = await startScripted()
  let handled = 0
  let release: () => void = () => {}
  await using client = connect(relay.url, {
    onMessage() {
      handled++
      return new Promise<void>((resolve) => {
        release = resolve
      })
    },
  })
  await client.ready()
  const [topic, message] = [randomTopic(), randomMessage()]
  relay.push(1, topic, message)
  await eventually(() => expect(handled).toBe(1))
  relay.connections[0]?.socket.terminate()
  await eventually(() => expect(relay.connections).toHaveLength(2))
  release()
  relay.push(9, topic, message)
  await eventually(() => expect(relay.answers).toEqual(['{"id":9,"jsonrpc":"2.0","result":true}']))
  expect(handled).toBe(1)
})

test('frames that are no JSON-RPC do no harm', async () => {
  await using relay = await startScripted()
  await using client = connect(relay.url, { onMessage: () => expect.unreachable() })
  await client.ready()
  for (const junk of [
    '',
    'x',
    '[]',
    '{"id":1}',
    '{"jsonrpc":"2.0","id":5,"result":true}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}',
  ])
    relay.send(junk)
  relay.send(rpcRequest(1, 'irn_subscription', { id: 'x', data: { topic: 'no topic' } }))
  relay.send(rpcRequest(2, 'irn_somethingNew', {}))
  await client.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 })
  expect(relay.connections).toHaveLength(1)
})

test('publish rejects what is too large, no envelope, and what is more than may wait', async () => {
  await using relay = await startScripted(() => undefined)
  const topic = randomTopic()
  const client = connect(relay.url, { maxQueued: 3 })
  const publish = (message: string) => client.publish({ topic, message, tag: 1, ttl: 60 })
  await expect(publish('A'.repeat(262_145))).rejects.toEqual(code('too_large'))
  await expect(publish('"\n')).rejects.toEqual(code('bad_params'))
  const waiting = [publish('AAAA'), publish('AAAB'), publish('AAAC')]
  await expect(publish('AAAD')).rejects.toEqual(code('unavailable'))
  const settled = Promise.allSettled(waiting)
  await client[Symbol.asyncDispose]()
  for (const result of await settled)
    expect(result).toEqual({ status: 'rejected', reason: code('unavailable') })
  await expect(publish('AAAE')).rejects.toEqual(code('unavailable'))
})

test('a silent connection is dropped after a minute, and what was not answered is asked again unchanged', async () => {
  const clock = manualClock(Date.now())
  await using relay = await startScripted(() => undefined)
  await using client = connect(relay.url, {}, { clock })
  const published = client.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 600 })
  await eventually(() => expect(relay.asked).toHaveLength(1))
  await clock.advance(59_000)
  expect(client.connected).toBe(true)
  relay.script.answer = () => ({ result: true })
  await clock.advance(12_000)
  await published
  expect(relay.connections).toHaveLength(2)
  expect(relay.asked[1]).toEqual({ ...relay.asked[0], connection: 2, bytes: expect.any(Number) })
})

test('a message that no relay took for as long as it lives is given up', async () => {
  const clock = manualClock(Date.now())
  await using client = connect('ws://127.0.0.1:9', {}, { clock })
  let failure: unknown
  client
    .publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 300 })
    .catch((error: unknown) => {
      failure = error
    })
  await eventually(async () => {
    await clock.advance(30_000)
    expect(failure).toEqual(code('unavailable'))
  })
})

test('attempts to connect are spread over growing spans', async () => {
  const spans: number[] = []
  // Waits are cut short, except those that are no back-off.
  const clock: Clock = {
    now: systemClock.now,
    after(delay, task) {
      if (delay === 10_000 || spans.length > 12) return systemClock.after(60_000, task)
      spans.push(delay)
      return systemClock.after(0, task)
    },
  }
  await using _client = connect('ws://127.0.0.1:9', {}, { clock })
  await eventually(() => expect(spans.length).toBeGreaterThan(12))
  for (const [attempt, span] of spans.entries()) {
    expect(span).toBeGreaterThanOrEqual(0)
    expect(span).toBeLessThanOrEqual(Math.min(30_000, 200 * 2 ** attempt))
  }
  expect(Math.max(...spans)).toBeGreaterThan(1_000)
})

test('an aborted signal closes the client, after the handlers at work have finished', async () => {
  await using relay = await startScripted()
  const controller = new AbortController()
  let started = false
  let release: () => void = () => {}
  const client = connect(relay.url, {
    signal: controller.signal,
    onMessage() {
      started = true
      return new Promise<void>((resolve) => {
        release = resolve
      })
    },
  })
  await client.ready()
  relay.push(4, randomTopic(), randomMessage())
  await eventually(() => expect(started).toBe(true))
  controller.abort()
  release()
  await client[Symbol.asyncDispose]()
  await eventually(() => expect(relay.answers).toHaveLength(1))
  await eventually(() => expect(relay.connections[0]?.socket.readyState).toBe(3))
  await expect(client.ready()).rejects.toBeInstanceOf(ProtocolError)
})

const messagesOf = (params: unknown): string[] => {
  if (!(params instanceof Object)) return []
  if ('messages' in params && Array.isArray(params.messages)) return params.messages.flatMap(messagesOf)
  return 'message' in params && typeof params.message === 'string' ? [params.message] : []
}
