/** What protocol.md §4 says of single methods, beyond what the delivery tests hold. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { expectPushed, type HubWorld, quiet, startHub, topicNamed } from '../support/world/relay-hub.ts'

const alice = 'did:key:z6MkAlice'
const bob = 'did:key:z6MkBob'
const topic = topicNamed('a topic')
const pairing = topicNamed('pairing')
const SECOND = 1000

let world: HubWorld
beforeEach(async () => {
  world = await startHub()
})
afterEach(() => world[Symbol.asyncDispose]())

const listening = async (clientId: string) => {
  const peer = world.connect(clientId)
  await peer.subscribe(topic)
  await world.clock.advance(100)
  return peer
}

describe('a message', () => {
  it.each([1, 30, 300, 2_592_000])('with a TTL of %i s waits for so long, restart or not', async (ttl) => {
    // Where nobody else is subscribed a message is kept for minutes.
    await listening(bob)
    await world.restart()
    await world.connect(alice).publish(topic, 'waits', { ttl })
    await world.clock.advance(ttl * SECOND - 1)
    await world.restart()
    const early = world.connect(bob)
    expect(await early.request('irn_fetchMessages', { topic })).toMatchObject({
      messages: [{ message: 'waits' }],
    })
    await world.clock.advance(1)
    await world.restart()
    const late = world.connect('did:key:z6MkCarol')
    expect(await late.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
  })
})

describe('an unsubscribe', () => {
  it.each(['', 'whatever', 7, null, undefined, { a: 1 }])(
    'takes the id %j, which it does not look at',
    async (id) => {
      const [a, b] = [world.connect(alice), await listening(bob)]
      expect(await b.request('irn_unsubscribe', { topic, id })).toBe(true)
      // Again, of what is not there any more.
      expect(await b.request('irn_batchUnsubscribe', { subscriptions: [{ topic, id }] })).toBe(true)
      await a.publish(topic, 'too late')
      await world.clock.advance(1_000)
      await quiet(world)
      expect(b.pushed()).toEqual([])
    },
  )
})

describe('receipts', () => {
  it.each(['', 'x', '\0', 'z'.repeat(64), '🔔'.repeat(64)])(
    'that name no message (%j) are taken, and those beside them count',
    async (messageId) => {
      const [a, b] = [world.connect(alice), await listening(bob)]
      await a.publish(topic, 'one')
      await expectPushed(b, ['one'])
      const receipts = [
        { topic, messageId },
        { topic, messageId: messageIdOf('one') },
        { topic: pairing, messageId: messageIdOf('never published') },
      ]
      expect(await b.request('irn_batchReceive', { receipts })).toBe(true)
      b.close()
      await world.restart()
      const again = world.connect(bob)
      await again.subscribe(topic)
      await world.clock.advance(31 * SECOND)
      await quiet(world)
      expect(again.pushed()).toEqual([])
    },
  )
})

describe('the older prefixes', () => {
  it.each(['iridium', 'waku'])('%s_ names every method of clients', async (prefix) => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    const message = { topic, message: 'm', ttl: 60 }
    expect(await a.request(`${prefix}_publish`, message)).toBe(true)
    expect(await a.request(`${prefix}_batchPublish`, { messages: [message] })).toBe(true)
    expect(await b.request(`${prefix}_batchSubscribe`, { topics: [pairing] })).toHaveLength(1)
    expect(await b.request(`${prefix}_fetchMessages`, { topic })).toMatchObject({
      messages: [{ message: 'm' }],
    })
    expect(await b.request(`${prefix}_batchFetchMessages`, { topics: [topic] })).toEqual({
      messages: [],
      hasMore: false,
    })
    const receipts = [{ topic, messageId: messageIdOf('m') }]
    expect(await b.request(`${prefix}_batchReceive`, { receipts })).toBe(true)
    expect(await b.request(`${prefix}_unsubscribe`, { topic: pairing, id: '' })).toBe(true)
    expect(await b.request(`${prefix}_batchUnsubscribe`, { subscriptions: [] })).toBe(true)
  })

  it('is none of the wc_ methods', async () => {
    await expect(world.connect(bob).request('iridium_proposeSession', {})).rejects.toMatchObject({
      code: -32601,
    })
  })
})

describe('a session that is proposed and approved again, as clients do that were not answered', () => {
  it('is answered true, and nobody hears of it twice', async () => {
    const [proposer, wallet] = [world.connect(alice), world.connect(bob)]
    const session = topicNamed('session')
    await wallet.request('irn_subscribe', { topic: pairing })
    await world.clock.advance(100)
    const proposal = { pairingTopic: pairing, sessionProposal: 'proposal', ttl: 300, correlationId: 1 }
    const approval = {
      sessionTopic: session,
      pairingTopic: pairing,
      sessionProposalResponse: 'response',
      sessionSettlementRequest: 'settlement',
      ttl: 300,
      correlationId: 1,
    }
    for (let time = 0; time < 2; time++)
      expect(await proposer.request('wc_proposeSession', proposal)).toBe(true)
    await proposer.request('irn_subscribe', { topic: session })
    for (let time = 0; time < 2; time++)
      expect(await wallet.request('wc_approveSession', approval)).toBe(true)
    await world.clock.advance(100)
    await expectPushed(wallet, ['proposal'])
    await expectPushed(proposer, ['response', 'settlement'])
    await quiet(world)
    expect(wallet.pushed()).toEqual(['proposal'])
    expect(proposer.pushed()).toEqual(['response', 'settlement'])
  })
})
