import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { paidWork } from '../support/unpaid.ts'
import {
  expectPushed,
  type HubWorld,
  quiet,
  startHub,
  type TestPeer,
  topicNamed,
} from '../support/world/relay-hub.ts'

const alice = 'did:key:z6MkAlice'
const bob = 'did:key:z6MkBob'
const carol = 'did:key:z6MkCarol'
const topic = topicNamed('a topic')
const MIB = 1024 * 1024

let world: HubWorld
beforeEach(async () => {
  world = await startHub({
    trusted: (clientId) => clientId === alice,
  })
})
afterEach(() => world[Symbol.asyncDispose]())

const listening = async (clientId: string, options?: { autoAcknowledge?: boolean }) => {
  const peer = world.connect(clientId, options)
  await peer.subscribe(topic)
  await world.clock.advance(100)
  return peer
}

describe('the window', () => {
  it('holds 256 unacknowledged messages; the others follow in order as they are acknowledged', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    const messages = Array.from({ length: 700 }, (_, at) => `m ${at}`)
    for (let at = 0; at < 700; at += 100) {
      const batch = messages.slice(at, at + 100).map((message) => ({ topic, message, ttl: 300 }))
      await a.request('irn_batchPublish', { messages: batch })
    }
    await expectPushed(b, messages.slice(0, 256))
    await quiet(world)
    expect(b.pushed()).toHaveLength(256)
    for (const message of b.pushed()) b.acknowledge(message)
    b.autoAcknowledge = true
    await eventually(() => expect(b.pushed().length).toBeGreaterThan(256))
    for (const message of messages.slice(256, 512)) if (b.pushed().includes(message)) b.acknowledge(message)
    await expectPushed(b, messages)
  })

  it('holds 4 MiB, and at least one message', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    const messages = Array.from({ length: 20 }, (_, at) => String.fromCharCode(97 + at).repeat(250_000))
    for (const message of messages) await a.publish(topic, message)
    await eventually(() => expect(b.pushed().length).toBeGreaterThan(15))
    await quiet(world)
    expect(b.pushed().length).toBeLessThan(19)
    b.autoAcknowledge = true
    for (const message of b.pushed()) b.acknowledge(message)
    await expectPushed(b, messages)
  })

  it('that is full on one topic leaves the messages of other topics waiting too, and none is lost', async () => {
    const other = topicNamed('another')
    const [a, b] = [world.connect(alice), await listening(bob)]
    await b.subscribe(other)
    await world.clock.advance(100)
    const many = Array.from({ length: 300 }, (_, at) => ({ topic, message: `m ${at}`, ttl: 300 }))
    await a.request('irn_batchPublish', { messages: many })
    await a.publish(other, 'other')
    await eventually(() => expect(b.pushed()).toHaveLength(256))
    b.autoAcknowledge = true
    for (const message of b.pushed()) b.acknowledge(message)
    await eventually(() =>
      expect(b.pushed().toSorted()).toEqual([...many.map(({ message }) => message), 'other'].toSorted()),
    )
  })
})

describe('a connection that does not read', () => {
  it('is pushed nothing more and not read from, and goes on where it stopped', async () => {
    const [a, b, c] = [
      world.connect(alice),
      await listening(bob),
      await listening(carol, { autoAcknowledge: true }),
    ]
    b.buffered = MIB + 1
    for (const message of ['one', 'two', 'three']) await a.publish(topic, message)
    await expectPushed(c, ['one', 'two', 'three'])
    expect(b.pushed()).toEqual(['one'])
    expect(b.paused).toBe(true)
    await world.clock.advance(29_000)
    b.buffered = 0
    world.hub.drained(b.session)
    await expectPushed(b, ['one', 'two', 'three'])
    expect(b.paused).toBe(false)
    await world.clock.advance(1_500)
    expect(b.closed).toBeUndefined()
  })

  it('is closed with 4008 after 30 s, and nobody else notices', async () => {
    const [a, b, c] = [
      world.connect(alice),
      await listening(bob),
      await listening(carol, { autoAcknowledge: true }),
    ]
    b.buffered = MIB + 1
    await a.publish(topic, 'one')
    await expectPushed(b, ['one'])
    await world.clock.advance(29_999)
    expect(b.closed).toBeUndefined()
    await world.clock.advance(1)
    expect(b.closed).toEqual({ code: 4008, reason: 'too slow' })
    expect(world.counted.get('relay_slow_readers_total')).toBe(1)
    b.close()
    await a.publish(topic, 'two')
    await expectPushed(c, ['one', 'two'])
    const again = world.connect(bob)
    await world.clock.advance(250)
    await expectPushed(again, ['one', 'two'])
  })

  it('is not read from when its answers pile up, and its fetches wait', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    await a.publish(topic, 'x'.repeat(200_000))
    b.buffered = MIB + 1
    await b.publish(topic, 'mine')
    expect(b.paused).toBe(true)
    const fetched = b.request('irn_fetchMessages', { topic })
    await quiet(world)
    expect(b.frames).toHaveLength(1)
    b.buffered = 0
    world.hub.drained(b.session)
    expect(await fetched).toMatchObject({ messages: { length: 1 } })
  })
})

describe('an address that asks too much', () => {
  beforeEach(async () => {
    await world[Symbol.asyncDispose]()
    world = await startHub({ trusted: (clientId) => clientId === alice }, undefined, undefined, (clock) =>
      paidWork(clock, { burst: 1_000, seconds: 2 }),
    )
  })
  const batch = (name: string, size: number) => ({
    messages: Array.from({ length: size }, (_, at) => ({ topic, message: `${name} ${at}`, ttl: 60 })),
  })
  /** A frame of less than 4 KiB, and 24 more items. */
  const UNITS_OF_25 = 5 + 24 * 2

  it('is not read from until it has paid; all it asked is answered', async () => {
    const b = world.connect(bob, { address: 'b' })
    const asked = Array.from({ length: 300 }, () => b.request('irn_batchReceive', { receipts: [] }))
    expect(b.paused).toBe(true)
    await world.clock.advance(999)
    expect(b.paused).toBe(true)
    await world.clock.advance(1)
    await Promise.all(asked)
    expect(b.paused).toBe(false)
  })

  it('pays for every message of a batch', async () => {
    const b = world.connect(bob, { address: 'b' })
    for (let at = 0; at < Math.floor(1_000 / UNITS_OF_25); at++) {
      await b.request('irn_batchPublish', batch('m', 25))
    }
    expect(b.paused).toBe(false)
    await b.request('irn_batchPublish', batch('m', 25))
    b.raw('{"id":1,"jsonrpc":"2.0","method":"irn_batchReceive","params":{"receipts":[]}}')
    expect(b.paused).toBe(true)
  })

  it('waits with the next batch until the last one is paid, and is not read from meanwhile', async () => {
    const b = world.connect(bob, { address: 'b' })
    await b.request('irn_batchPublish', batch('first', 500))
    const second = b.request('irn_batchPublish', batch('second', 500))
    let isDone = false
    const third = b.request('irn_batchPublish', batch('third', 500)).then(() => {
      isDone = true
    })
    await world.clock.advance(200)
    await second
    expect(b.paused).toBe(true)
    // Some 1,000 units at 500 a second.
    await world.clock.advance(1_700)
    expect(isDone).toBe(false)
    await world.clock.advance(500)
    await third
  })

  it('leaves nothing to be done when it is gone', async () => {
    const late = topicNamed('late')
    const b = world.connect(bob, { address: 'b' })
    await b.request('irn_batchPublish', batch('m', 500))
    const params = { topic: late, message: 'late', ttl: 60 }
    b.raw(JSON.stringify({ id: 1, jsonrpc: '2.0', method: 'irn_publish', params }))
    b.close()
    await world.clock.advance(10_000)
    const a = world.connect(alice, { autoAcknowledge: true })
    await a.subscribe(late)
    await world.clock.advance(100)
    await quiet(world)
    expect(a.pushed()).toEqual([])
  })

  it('pays for the size of its frames, whatever they are', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((address) => world.connect(bob, { address })) as [
      TestPeer,
      TestPeer,
      TestPeer,
    ]
    const filler = 'x'.repeat(250_000)
    // 66 units each.
    for (let at = 0; at < 15; at++) await a.publish(topic, `${at}${filler}`)
    expect(a.paused).toBe(false)
    const last = a.publish(topic, `last${filler}`)
    expect(a.paused).toBe(true)
    for (const [peer, text] of [
      [b, `{"id":1,"jsonrpc":"2.0","error":{"code":1,"message":"${filler}"}}`],
      [c, `{"id":1,"jsonrpc":"2.0","result":"${filler}"}`],
    ] as const) {
      for (let at = 0; at < 17; at++) peer.raw(text)
      expect(peer.paused).toBe(true)
    }
    await world.clock.advance(1_000)
    await last
  })

  it('is not held to a rate when it is trusted', async () => {
    const a = world.connect(alice)
    for (let at = 0; at < 10; at++) {
      await Promise.all(Array.from({ length: 400 }, () => a.request('irn_batchReceive', { receipts: [] })))
    }
    expect(a.paused).toBe(false)
  })

  it('is not read from while 512 requests or 8 MiB of them are in progress', async () => {
    const [a, b] = [world.connect(alice), world.connect(bob)]
    const many = Array.from({ length: 512 }, (_, at) => a.publish(topic, `m ${at}`))
    expect(a.paused).toBe(true)
    const big = Array.from({ length: 41 }, (_, at) => b.publish(topic, `${at}`.padEnd(210_000)))
    expect(b.paused).toBe(true)
    await Promise.all([...many, ...big])
    // What so many bytes cost.
    await world.clock.advance(300)
    expect([a.paused, b.paused]).toEqual([false, false])
  })
})

describe('a connection that closes', () => {
  it('leaves no timer and no lane behind', async () => {
    const [a, b] = [world.connect(alice), await listening(bob)]
    await a.publish(topic, 'one')
    await expectPushed(b, ['one'])
    const sent = b.frames.length
    b.close()
    b.raw('{"id":1,"jsonrpc":"2.0","method":"irn_subscribe","params":{}}')
    await world.clock.advance(120_000)
    expect(b.frames).toHaveLength(sent)
    expect(world.counted.get('relay_connections')).toBe(1)
  })
})
