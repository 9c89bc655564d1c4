import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { subscriptionIdOf } from '../../src/protocol/topic.ts'
import { eventually } from '../support/eventually.ts'
import { paidWork } from '../support/unpaid.ts'
import { expectPushed, type HubWorld, quiet, startHub, topicNamed } from '../support/world/relay-hub.ts'

const alice = 'did:key:z6MkAlice'
const bob = 'did:key:z6MkBob'
const topic = topicNamed('a topic')
const pairing = topicNamed('pairing')

let world: HubWorld
beforeEach(async () => {
  world = await startHub({ topicsPerClient: 10, trusted: (clientId) => clientId === alice })
})
afterEach(() => world[Symbol.asyncDispose]())

/** The answers of the hub to raw frames, as text. */
const talk = (clientId = bob) => {
  const sent: string[] = []
  const session = world.hub.connect(
    { send: (text) => sent.push(text), buffered: () => 0, pause() {}, resume() {}, close() {} },
    { clientId, share: false, address: '' },
  )
  return {
    sent,
    async say(text: string): Promise<string> {
      const before = sent.length
      world.hub.receive(session, text)
      return eventually(() => {
        expect(sent.length).toBeGreaterThan(before)
        return sent.at(-1) ?? ''
      })
    },
  }
}

describe('JSON-RPC', () => {
  it.each(['"1234567890123456789"', '12345678901234567890123', '7', '"seven"', '1.50', 'null'])(
    'echoes the id %s byte for byte',
    async (id) => {
      const { say } = talk()
      const text = `{"id":${id},"jsonrpc":"2.0","method":"irn_subscribe","params":{"topic":"${topic}"}}`
      expect(await say(text)).toBe(`{"id":${id},"jsonrpc":"2.0","result":"${subscriptionIdOf(topic, bob)}"}`)
      const unknown = `{"jsonrpc":"2.0","method":"nothing","id": ${id} }`
      expect(await say(unknown)).toMatch(`{"id":${id},"jsonrpc":"2.0","error":{"code":-32601,`)
    },
  )

  it('answers two clients that use the same id, each its own', async () => {
    const [a, b] = [talk(alice), talk(bob)]
    const text = `{"id":"1","jsonrpc":"2.0","method":"irn_subscribe","params":{"topic":"${topic}"}}`
    const answers = await Promise.all([a.say(text), b.say(text)])
    expect(answers[0]).toContain(subscriptionIdOf(topic, alice))
    expect(answers[1]).toContain(subscriptionIdOf(topic, bob))
  })

  it('does not answer notifications and answers to pushes that it never made', async () => {
    const { sent, say } = talk()
    await say('{"id":1,"jsonrpc":"2.0","method":"irn_batchPublish","params":{"messages":[]}}')
    const session = world.connect(bob)
    session.raw(`{"jsonrpc":"2.0","method":"irn_publish","params":{}}`)
    session.raw('{"id":1234567890123456,"jsonrpc":"2.0","result":true}')
    session.raw('{"id":"nonsense","jsonrpc":"2.0","result":true}')
    session.raw('{"id":null,"jsonrpc":"2.0","error":{"code":1,"message":"no"}}')
    await quiet(world)
    expect(session.frames).toEqual([])
    expect(sent).toHaveLength(1)
  })

  it.each(['irn', 'iridium', 'waku'])('knows the methods by the prefix %s', async (prefix) => {
    const b = world.connect(bob)
    expect(await b.request(`${prefix}_subscribe`, { topic })).toBe(subscriptionIdOf(topic, bob))
    expect(await b.request(`${prefix}_batchSubscribeBlocking`, { topics: [topic, topic] })).toHaveLength(2)
    expect(await b.request(`${prefix}_subscribeBlocking`, { topic })).toBe(subscriptionIdOf(topic, bob))
  })

  it.each([
    'irn_watchRegister',
    'irn_watchUnregister',
    'irn_subscription',
    'irn_heartbeat',
    'constructor',
    '__proto__',
  ])('does not know %s', async (method) => {
    await expect(world.connect(bob).request(method, {})).rejects.toMatchObject({ code: -32601 })
  })
})

describe('params', () => {
  const message = 'm'
  it.each([
    ['no params', 'irn_publish', undefined],
    ['a list', 'irn_publish', []],
    ['no topic', 'irn_publish', { message, ttl: 300, tag: 1 }],
    ['a short topic', 'irn_publish', { topic: 'abc', message, ttl: 300, tag: 1 }],
    ['a topic that is no hex', 'irn_publish', { topic: 'z'.repeat(64), message, ttl: 300, tag: 1 }],
    ['a message that is no string', 'irn_publish', { topic, message: 7, ttl: 300, tag: 1 }],
    ['a message of more than 256 KiB', 'irn_publish', { topic, message: 'x'.repeat(262_145), ttl: 300 }],
    ['a TTL of 0', 'irn_publish', { topic, message, ttl: 0, tag: 1 }],
    ['a TTL of more than 30 days', 'irn_publish', { topic, message, ttl: 2_592_001, tag: 1 }],
    ['a huge TTL', 'irn_publish', { topic, message, ttl: 1e300, tag: 1 }],
    ['a negative tag', 'irn_publish', { topic, message, ttl: 300, tag: -1 }],
    [
      '501 messages',
      'irn_batchPublish',
      { messages: Array.from({ length: 501 }, () => ({ topic, message })) },
    ],
    ['one bad message of two', 'irn_batchPublish', { messages: [{ topic, message }, { topic }] }],
    ['no topic', 'irn_subscribe', {}],
    ['10,000 topics', 'irn_batchSubscribe', { topics: Array.from({ length: 10_000 }, () => topic) }],
    ['one bad topic', 'irn_batchSubscribe', { topics: [topic, 'x'] }],
    ['10,000 topics', 'irn_batchFetchMessages', { topics: Array.from({ length: 10_000 }, () => topic) }],
    ['no topic', 'irn_fetchMessages', {}],
    [
      '501 receipts',
      'irn_batchReceive',
      { receipts: Array.from({ length: 501 }, () => ({ topic, messageId: 'a' })) },
    ],
    ['a receipt without an id', 'irn_batchReceive', { receipts: [{ topic }] }],
    ['no topic', 'irn_unsubscribe', { id: 'x' }],
    ['no proposal', 'wc_proposeSession', { pairingTopic: topic, ttl: 300 }],
    ['no settlement', 'wc_approveSession', { sessionTopic: topic, pairingTopic: pairing, ttl: 300 }],
  ])('that are wrong get -32602: %s for %s', async (_, method, params) => {
    await expect(world.connect(bob).request(method, params)).rejects.toMatchObject({ code: -32602 })
  })

  it('are not repeated in the error', async () => {
    const answer = world.connect(bob).request('irn_publish', { topic, message: { secret: 'hush' } })
    await expect(answer).rejects.toThrow(expect.not.stringContaining('hush'))
  })

  it('may hold more than is known, and none of that is passed on', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await b.subscribe(topic)
    await world.clock.advance(100)
    const extras = {
      prompt: true,
      correlationId: 1,
      rpcMethods: ['eth_sign'],
      chainId: 'eip155:1',
      txHashes: ['0x'],
    }
    expect(await a.publish(topic, 'private', { ...extras, attestation: null })).toBe(true)
    await expectPushed(b, ['private'])
    expect(JSON.stringify(b.frames)).not.toMatch(/eth_sign|eip155|txHashes|prompt/)
  })

  it('take topics of any case as the same topic', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await b.subscribe(topic.toUpperCase())
    await world.clock.advance(100)
    await a.publish(topic, 'hello')
    await expectPushed(b, ['hello'])
    expect(b.pushes()[0]?.topic).toBe(topic)
  })
})

describe('limits', () => {
  it('a client may have so many topics, a trusted one any number', async () => {
    const topics = Array.from({ length: 11 }, (_, at) => topicNamed(`topic ${at}`))
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await expect(b.request('irn_batchSubscribe', { topics })).rejects.toThrow(/Too many/)
    expect(await b.request('irn_batchSubscribe', { topics: topics.slice(1) })).toHaveLength(10)
    await expect(b.subscribe(topics[0] ?? '')).rejects.toThrow(/Too many/)
    expect(await b.subscribe(topics[1] ?? '')).toBe(subscriptionIdOf(topics[1] ?? '', bob))
    expect(await a.request('irn_batchSubscribe', { topics })).toHaveLength(11)
  })

  it('a topic that is over them drops its oldest message, and the publisher is told true', async () => {
    await world[Symbol.asyncDispose]()
    world = await startHub({}, { messages: 2, bytes: 1_000_000 })
    const a = world.connect(alice)
    for (const message of ['one', 'two', 'three']) expect(await a.publish(topic, message)).toBe(true)
    expect(world.counted.get('relay_messages_dropped_total:full')).toBe(1)
    expect(await world.connect(bob).request('irn_fetchMessages', { topic })).toMatchObject({
      messages: [{ message: 'two' }, { message: 'three' }],
    })
  })
})

describe('a session proposal', () => {
  it('is published on the pairing topic with tag 1100, and the proposer subscribed to it', async () => {
    const [proposer, wallet] = [world.connect(alice), world.connect(bob)]
    await wallet.subscribe(pairing)
    await world.clock.advance(100)
    const params = {
      pairingTopic: pairing,
      sessionProposal: 'proposal',
      ttl: 300,
      correlationId: 1,
      attestation: 'at',
    }
    expect(await proposer.request('wc_proposeSession', params)).toBe(true)
    await expectPushed(wallet, ['proposal'])
    expect(wallet.frames.at(-1)?.params?.data).toMatchObject({ tag: 1100, attestation: 'at', topic: pairing })
    await world.clock.advance(100)
    await wallet.publish(pairing, 'answer')
    await expectPushed(proposer, ['answer'])
  })

  it('is approved with a response (1101), a settlement (1102) and a subscription of the approver', async () => {
    const [proposer, wallet] = [world.connect(alice), world.connect(bob)]
    const session = topicNamed('session')
    await proposer.request('irn_batchSubscribe', { topics: [pairing, session] })
    await world.clock.advance(100)
    const params = {
      sessionTopic: session,
      pairingTopic: pairing,
      sessionProposalResponse: 'response',
      sessionSettlementRequest: 'settlement',
      ttl: 300,
      correlationId: 1,
      approvedChains: ['eip155:1'],
    }
    expect(await wallet.request('wc_approveSession', params)).toBe(true)
    await expectPushed(proposer, ['response', 'settlement'])
    const pushed = proposer.frames.filter(({ method }) => method).map(({ params: push }) => push?.data)
    expect(pushed).toMatchObject([
      { topic: pairing, tag: 1101 },
      { topic: session, tag: 1102 },
    ])
    await world.clock.advance(100)
    await proposer.publish(session, 'settled')
    await expectPushed(wallet, ['settled'])
  })
})

describe('a caller without a connection', () => {
  const call = (clientId: string, method: string, params: unknown, address = '') =>
    world.hub.call({ clientId, address }, JSON.stringify({ id: 1, jsonrpc: '2.0', method, params }))

  it('publishes to those who are connected, subscribes for later, and fetches', async () => {
    const b = world.connect(bob)
    await b.subscribe(topic)
    await world.clock.advance(100)
    expect(await call(alice, 'irn_publish', { topic, message: 'hello', ttl: 60 })).toBe(
      '{"id":1,"jsonrpc":"2.0","result":true}',
    )
    await expectPushed(b, ['hello'])
    await call(alice, 'irn_subscribe', { topic })
    await b.publish(topic, 'answer')
    expect(await call(alice, 'irn_fetchMessages', { topic })).toContain('"message":"answer"')
    expect(await call(alice, 'irn_fetchMessages', { topic })).toContain('"messages":[]')
  })

  it('that unsubscribes ends the delivery to its connections', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await b.subscribe(topic)
    await call(bob, 'irn_unsubscribe', { topic, id: '' })
    await a.publish(topic, 'too late')
    await world.clock.advance(1_000)
    await quiet(world)
    expect(b.pushed()).toEqual([])
  })

  it('is refused over its rate', async () => {
    await world[Symbol.asyncDispose]()
    world = await startHub({}, undefined, undefined, (clock) => paidWork(clock, { burst: 10, seconds: 2 }))
    const ask = () => call(bob, 'irn_fetchMessages', { topic }, 'b')
    await ask()
    await ask()
    await expect(ask()).rejects.toMatchObject({ code: 'rate_limited' })
    await world.clock.advance(2_000)
    await ask()
  })
})
