import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { messageIdOf, subscriptionIdOf } from '../../src/protocol/topic.ts'
import { eventually } from '../support/eventually.ts'
import { expectPushed, type HubWorld, quiet, startHub, topicNamed } from '../support/world/relay-hub.ts'

const alice = 'did:key:z6MkAlice'
const bob = 'did:key:z6MkBob'
const carol = 'did:key:z6MkCarol'
const topic = topicNamed('a topic')

let world: HubWorld
beforeEach(async () => {
  world = await startHub()
})
afterEach(() => world[Symbol.asyncDispose]())

/** A connection that listens on the topic. */
const listening = async (clientId: string, options?: { autoAcknowledge?: boolean }) => {
  const peer = world.connect(clientId, options)
  await peer.subscribe(topic)
  await world.clock.advance(100)
  return peer
}

describe('live delivery', () => {
  it('pushes to every subscriber, in publish order, with the subscription id of each', async () => {
    const [a, b, c] = [world.connect(alice), await listening(bob), await listening(carol)]
    await Promise.all(['one', 'two', 'three'].map((message) => a.publish(topic, message)))
    await expectPushed(b, ['one', 'two', 'three'])
    await expectPushed(c, ['one', 'two', 'three'])
    expect(b.pushes()[0]?.subscription).toBe(subscriptionIdOf(topic, bob))
    expect(c.pushes()[0]?.subscription).toBe(subscriptionIdOf(topic, carol))
  })

  it('tells the message as it was published, with an empty attestation when there is none', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'plain', { tag: 1108 })
    await a.publish(topic, 'attested', { attestation: 'a.b.c' })
    await expectPushed(b, ['plain', 'attested'])
    const pushed = b.frames.filter(({ method }) => method === 'irn_subscription')
    expect(pushed[0]?.params?.data).toEqual({
      topic,
      message: 'plain',
      publishedAt: world.clock.now(),
      tag: 1108,
      attestation: '',
    })
    expect(pushed[1]?.params?.data.attestation).toBe('a.b.c')
    expect(String(pushed[0]?.id)).toMatch(/^\d{16}$/)
  })

  it('answers the publisher before anybody is pushed the message', async () => {
    const order: string[] = []
    const [a, b] = [world.connect(alice), await listening(bob)]
    a.frames.push = (...frames) => order.push(...frames.map(() => 'answer'))
    b.frames.push = (...frames) => order.push(...frames.map(() => 'push'))
    await Promise.all([a.publish(topic, 'one'), a.publish(topic, 'two')])
    await eventually(() => expect(order).toHaveLength(4))
    expect(order).toEqual(['answer', 'answer', 'push', 'push'])
  })

  it('never pushes to the publishing client id, on none of its connections', async () => {
    const [first, second, b] = [await listening(alice), await listening(alice), await listening(bob)]
    await first.publish(topic, 'mine')
    await expectPushed(b, ['mine'])
    await world.clock.advance(31_000)
    await quiet(world)
    expect([...first.pushed(), ...second.pushed()]).toEqual([])
    expect(await first.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
  })

  it('goes on in order when the client publishes on the topic itself in between', async () => {
    const [a, b] = [await listening(alice), await listening(bob)]
    await a.publish(topic, 'one')
    await b.publish(topic, 'own')
    await a.publish(topic, 'two')
    await expectPushed(b, ['one', 'two'])
    await expectPushed(a, ['own'])
  })

  it('answers a duplicate true and delivers it once', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    expect(await a.publish(topic, 'once')).toBe(true)
    expect(await a.publish(topic, 'once')).toBe(true)
    await a.publish(topic, 'after')
    await expectPushed(b, ['once', 'after'])
    expect(world.counted.get('relay_messages_dropped_total:duplicate')).toBe(1)
  })

  it('keeps the same message on two topics apart', async () => {
    const other = topicNamed('another topic')
    const [a, b] = [world.connect(alice), await listening(bob)]
    await b.subscribe(other)
    await world.clock.advance(100)
    await a.publish(topic, 'same')
    await a.publish(other, 'same')
    await expectPushed(b, ['same', 'same'])
    expect(b.pushes().map((push) => push.topic)).toEqual([topic, other])
  })
})

describe('acknowledgement', () => {
  it('pushes an unacknowledged message again after 30 s, with the same id, until it is acknowledged', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'again')
    await expectPushed(b, ['again'])
    await world.clock.advance(29_000)
    expect(b.pushed()).toEqual(['again'])
    await world.clock.advance(1_100)
    expect(b.pushed()).toEqual(['again', 'again'])
    expect(new Set(b.pushes().map(({ pushId }) => pushId)).size).toBe(1)
    b.acknowledge('again')
    await world.clock.advance(120_000)
    expect(b.pushed()).toEqual(['again', 'again'])
    expect(world.counted.get('relay_redeliveries_total')).toBe(1)
  })

  it('takes neither an error nor false for an acknowledgement', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'one')
    await expectPushed(b, ['one'])
    const pushId = b.pushes()[0]?.pushId
    b.raw(`{"id":${pushId},"jsonrpc":"2.0","error":{"code":-32000,"message":"no"}}`)
    b.acknowledge('one', false)
    await world.clock.advance(30_100)
    expect(b.pushed()).toEqual(['one', 'one'])
    // Some clients send the id back as a string.
    b.raw(`{"id":"${pushId}","jsonrpc":"2.0","result":true}`)
    await world.clock.advance(60_000)
    expect(b.pushed()).toEqual(['one', 'one'])
  })

  it('of one client takes nothing from another', async () => {
    const [a, b, c] = [world.connect(alice), await listening(bob), await listening(carol)]
    await a.publish(topic, 'for both')
    await expectPushed(b, ['for both'])
    await expectPushed(c, ['for both'])
    b.acknowledge('for both')
    await world.clock.advance(30_100)
    expect(b.pushed()).toHaveLength(1)
    expect(c.pushed()).toHaveLength(2)
  })

  it('on one connection of a client ends the delivery on its others', async () => {
    const [a, phone, tablet] = [world.connect(alice), await listening(bob), await listening(bob)]
    await a.publish(topic, 'hello')
    await expectPushed(phone, ['hello'])
    await expectPushed(tablet, ['hello'])
    phone.acknowledge('hello')
    await world.clock.advance(60_000)
    expect([phone.pushed(), tablet.pushed()]).toEqual([['hello'], ['hello']])
  })

  it('by irn_batchReceive counts as well, under both spellings', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'one')
    await a.publish(topic, 'two')
    await expectPushed(b, ['one', 'two'])
    const receipts = [
      { topic, messageId: messageIdOf('one') },
      { topic, message_id: messageIdOf('two') },
      { topic, messageId: messageIdOf('never seen') },
    ]
    expect(await b.request('irn_batchReceive', { receipts })).toBe(true)
    await world.clock.advance(60_000)
    expect(b.pushed()).toEqual(['one', 'two'])
    expect(await b.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
  })

  it('survives a reconnect and a restart: never again', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'read')
    await a.publish(topic, 'unread')
    await expectPushed(b, ['read', 'unread'])
    b.acknowledge('read')
    await world.restart()
    const again = world.connect(bob)
    await world.clock.advance(250)
    await expectPushed(again, ['unread'])
  })
})

describe('a mailbox', () => {
  it('keeps a message for whoever subscribes before its TTL ends, and not longer', async () => {
    const a = world.connect(alice)
    await a.publish(topic, 'short', { ttl: 60 })
    await a.publish(topic, 'long', { ttl: 3600 })
    await world.clock.advance(59_999)
    await expectPushed(await listening(bob), ['long'])
    // 100 ms of waiting later than the end of the first.
  })

  it('is not pushed again after its TTL', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'brief', { ttl: 40 })
    await expectPushed(b, ['brief'])
    await world.clock.advance(300_000)
    expect(b.pushed()).toEqual(['brief', 'brief'])
    expect(world.counted.get('relay_messages_dropped_total:expired')).toBe(1)
  })

  it('waits for 6 hours when no TTL is given', async () => {
    const a = world.connect(alice)
    await world.connect('did:key:away').subscribe(topic)
    await a.request('irn_publish', { topic, message: 'default' })
    await world.clock.advance(6 * 3600_000 - 1000)
    const b = world.connect(bob)
    expect(await b.request('irn_fetchMessages', { topic })).toMatchObject({ messages: [{ tag: 0 }] })
    await world.clock.advance(1000)
    const c = world.connect(carol)
    expect(await c.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
  })

  it('is delivered before what is published live, however they cross', async () => {
    const a = world.connect(alice)
    const stored = Array.from({ length: 300 }, (_, at) => `stored ${at}`)
    await a.request('irn_batchPublish', { messages: stored.map((message) => ({ topic, message, ttl: 300 })) })
    const b = world.connect(bob, { autoAcknowledge: true })
    const subscribed = b.subscribe(topic)
    const live = Array.from({ length: 200 }, (_, at) => `live ${at}`)
    const published: Promise<unknown>[] = []
    for (const [at, message] of live.entries()) {
      published.push(a.publish(topic, message))
      if (at % 20 === 0) await world.clock.advance(10)
    }
    await subscribed
    await world.clock.advance(100)
    await Promise.all(published)
    await expectPushed(b, [...stored, ...live])
  })
})

describe('after a subscribe', () => {
  it('the answer comes first, and what is stored 100 ms later', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await a.publish(topic, 'stored')
    await b.subscribe(topic)
    await world.clock.advance(99)
    await quiet(world)
    expect(b.pushed()).toEqual([])
    await world.clock.advance(1)
    await expectPushed(b, ['stored'])
  })

  it('live messages on that topic wait too', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await b.subscribe(topic)
    await a.publish(topic, 'live')
    await quiet(world)
    expect(b.pushed()).toEqual([])
    await world.clock.advance(100)
    await expectPushed(b, ['live'])
  })

  it('an unsubscribe cancels the push', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await a.publish(topic, 'stored')
    await b.subscribe(topic)
    expect(await b.request('irn_unsubscribe', { topic, id: 'whatever it thinks' })).toBe(true)
    await world.clock.advance(10_000)
    await quiet(world)
    expect(b.pushed()).toEqual([])
  })

  it('an unsubscribe cancels it also before the subscribe was answered', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await a.publish(topic, 'stored')
    const both = [
      b.subscribe(topic),
      b.request('irn_batchUnsubscribe', { subscriptions: [{ topic, id: '' }] }),
    ]
    await Promise.all(both)
    await world.clock.advance(10_000)
    await quiet(world)
    expect(b.pushed()).toEqual([])
    expect(await world.store.isSubscribed(bob, topic)).toBe(false)
  })

  it('an unsubscribe ends live delivery and redelivery, and a late acknowledgement still counts', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'before')
    await expectPushed(b, ['before'])
    await b.request('irn_unsubscribe', { topic, id: '' })
    await a.publish(topic, 'after')
    await world.clock.advance(29_000)
    expect(b.pushed()).toEqual(['before'])
    b.acknowledge('before')
    await world.clock.advance(29_000)
    await b.subscribe(topic)
    await world.clock.advance(100)
    await expectPushed(b, ['before', 'after'])
  })

  it('a second one pushes nothing twice that is in flight', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'one')
    await expectPushed(b, ['one'])
    await b.subscribe(topic)
    await a.publish(topic, 'two')
    await world.clock.advance(100)
    await expectPushed(b, ['one', 'two'])
    await world.clock.advance(1_000)
    await quiet(world)
    expect(b.pushed()).toEqual(['one', 'two'])
  })

  it('a batch answers one id per topic, in order, and delivers on all of them', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    const topics = Array.from({ length: 500 }, (_, at) => topicNamed(`topic ${at}`))
    const messages = topics.map((each, at) => ({ topic: each, message: `m ${at}`, ttl: 300 }))
    expect(await a.request('irn_batchPublish', { messages })).toBe(true)
    b.autoAcknowledge = true
    expect(await b.request('irn_batchSubscribe', { topics })).toEqual(
      topics.map((each) => subscriptionIdOf(each, bob)),
    )
    await world.clock.advance(100)
    await eventually(() =>
      expect(b.pushed().toSorted()).toEqual(messages.map(({ message }) => message).toSorted()),
    )
  })
})

describe('a reconnected client', () => {
  it('gets what waits on its subscriptions after a moment, without subscribing again', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    b.close()
    await a.publish(topic, 'missed')
    const again = world.connect(bob)
    await world.clock.advance(249)
    await quiet(world)
    expect(again.pushed()).toEqual([])
    await world.clock.advance(1)
    await expectPushed(again, ['missed'])
    await a.publish(topic, 'live')
    await expectPushed(again, ['missed', 'live'])
  })

  it('that subscribes at once gets it 100 ms after the answer, once', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'unacknowledged')
    await expectPushed(b, ['unacknowledged'])
    b.close()
    const again = world.connect(bob)
    await again.subscribe(topic)
    await world.clock.advance(100)
    await expectPushed(again, ['unacknowledged'])
    await world.clock.advance(2_000)
    await quiet(world)
    expect(again.pushed()).toEqual(['unacknowledged'])
  })

  it('that fetches first, as core 2.17 does, gets it in the answer and is pushed nothing of it', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    b.close()
    await a.publish(topic, 'missed')
    const again = world.connect(bob)
    const fetched = await again.request('irn_batchFetchMessages', { topics: [topic] })
    expect(fetched).toMatchObject({
      messages: [{ topic, message: 'missed', tag: 4002, attestation: '' }],
      hasMore: false,
    })
    // Between its fetch and its subscribe it does not listen.
    await a.publish(topic, 'meanwhile')
    await world.clock.advance(200)
    await quiet(world)
    expect(again.pushed()).toEqual([])
    await again.request('irn_batchSubscribe', { topics: [topic] })
    await world.clock.advance(100)
    await expectPushed(again, ['meanwhile'])
  })

  it('that goes on subscribing is not pushed other topics meanwhile, for 5 s at most', async () => {
    const late = topicNamed('the last of many')
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await b.subscribe(late)
    b.close()
    await a.publish(late, 'early bird')
    const again = world.connect(bob)
    for (let at = 0; at < 24; at++) {
      await again.subscribe(topicNamed(`one of many ${at}`))
      await world.clock.advance(200)
    }
    await quiet(world)
    expect(again.pushed()).toEqual([])
    await again.subscribe(topicNamed('one more'))
    await world.clock.advance(250)
    await expectPushed(again, ['early bird'])
  })

  it('that subscribes only after the push, which it ignored, is pushed it again then', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    b.close()
    await a.publish(topic, 'ignored')
    const again = world.connect(bob)
    await world.clock.advance(250)
    await expectPushed(again, ['ignored'])
    await again.subscribe(topic)
    await world.clock.advance(99)
    expect(again.pushed()).toEqual(['ignored'])
    await world.clock.advance(1)
    await expectPushed(again, ['ignored', 'ignored'])
    await again.subscribe(topic)
    await world.clock.advance(100)
    await quiet(world)
    expect(again.pushed()).toEqual(['ignored', 'ignored'])
  })

  it('continues where its acknowledgements ended, with another connection still open', async () => {
    const [a, phone] = [world.connect(alice), await listening(bob)]
    for (const message of ['one', 'two', 'three']) await a.publish(topic, message)
    await expectPushed(phone, ['one', 'two', 'three'])
    phone.acknowledge('one')
    const tablet = world.connect(bob)
    await world.clock.advance(250)
    await expectPushed(tablet, ['two', 'three'])
    await quiet(world)
    expect(phone.pushed()).toEqual(['one', 'two', 'three'])
  })
})

describe('a fetch', () => {
  it('delivers: what it returned is neither pushed nor returned again', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await a.publish(topic, 'one')
    expect(await b.request('irn_fetchMessages', { topic })).toMatchObject({ messages: [{ message: 'one' }] })
    expect(await b.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
    await b.subscribe(topic)
    await world.clock.advance(10_000)
    await quiet(world)
    expect(b.pushed()).toEqual([])
  })

  it('does not return what is in flight on the same connection', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'pushed')
    await expectPushed(b, ['pushed'])
    expect(await b.request('irn_fetchMessages', { topic })).toEqual({ messages: [], hasMore: false })
    const other = world.connect(bob)
    expect(await other.request('irn_fetchMessages', { topic })).toMatchObject({
      messages: [{ message: 'pushed' }],
    })
    await world.clock.advance(31_000)
    expect(b.pushed()).toEqual(['pushed'])
  })

  it('returns at most 500 messages and 900 KiB, and says that there is more', async () => {
    const a = world.connect(alice)
    const small = Array.from({ length: 700 }, (_, at) => ({ topic, message: `small ${at}`, ttl: 300 }))
    await a.request('irn_batchPublish', { messages: small.slice(0, 400) })
    await a.request('irn_batchPublish', { messages: small.slice(400) })
    const b = world.connect(bob)
    const first = await b.request('irn_fetchMessages', { topic })
    const second = await b.request('irn_fetchMessages', { topic })
    expect(first).toMatchObject({ hasMore: true, messages: { length: 500 } })
    expect(second).toMatchObject({ hasMore: false, messages: { length: 200 } })

    const big = topicNamed('big')
    const messages = Array.from({ length: 5 }, (_, at) => ({
      topic: big,
      message: `${at}`.repeat(250_000),
      ttl: 300,
    }))
    for (const message of messages) await a.request('irn_publish', message)
    const page = await b.request('irn_fetchMessages', { topic: big })
    expect(page).toMatchObject({ hasMore: true, messages: { length: 3 } })
    expect(JSON.stringify(page).length).toBeLessThan(1024 * 1024)
    expect(await b.request('irn_fetchMessages', { topic: big })).toMatchObject({
      hasMore: false,
      messages: { length: 2 },
    })
  })
})
