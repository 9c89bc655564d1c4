import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { createRelayHub } from '../../src/relay/hub.ts'
import { eventually } from '../support/eventually.ts'
import { unpaid } from '../support/unpaid.ts'
import {
  expectPushed,
  type HubWorld,
  quiet,
  startHub,
  type TestPeer,
  topicNamed,
} from '../support/world/relay-hub.ts'

const alice = 'did:key:z6MkAlice'
const server = 'did:key:z6MkServer'
const topic = topicNamed('a topic')

let world: HubWorld
beforeEach(async () => {
  world = await startHub()
  await world.store.subscribe(server, [topic], { now: world.clock.now() })
})
afterEach(() => world[Symbol.asyncDispose]())

const all = (peers: TestPeer[]) => peers.flatMap((peer) => peer.pushed()).toSorted()

const workers = async (count: number, options = {}) => {
  const peers = Array.from({ length: count }, () => world.connect(server, { share: true, ...options }))
  await world.clock.advance(250)
  return peers
}

describe('a shared subscription', () => {
  it('gives each message to exactly one of its connections, evenly', async () => {
    const peers = await workers(3)
    const a = world.connect(alice)
    const messages = Array.from({ length: 60 }, (_, at) => `m ${at}`)
    await Promise.all(messages.map((message) => a.publish(topic, message)))
    await eventually(() => expect(all(peers)).toEqual(messages.toSorted()))
    for (const peer of peers) expect(peer.pushed()).toHaveLength(20)
    await world.clock.advance(10_000)
    await quiet(world)
    expect(all(peers)).toEqual(messages.toSorted())
  })

  it('gives a message that stays unacknowledged for 30 s to another connection', async () => {
    const [first, second] = await workers(2)
    if (!first || !second) throw new Error('two workers')
    const a = world.connect(alice)
    await a.publish(topic, 'stuck')
    await eventually(() => expect(all([first, second])).toEqual(['stuck']))
    const [stuck, other] = first.pushed().length ? [first, second] : [second, first]
    await world.clock.advance(30_100)
    await expectPushed(other, ['stuck'])
    expect(stuck.pushed()).toEqual(['stuck'])
    // A late answer of the first one counts.
    stuck.acknowledge('stuck')
    await world.clock.advance(120_000)
    await quiet(world)
    expect(all([first, second])).toEqual(['stuck', 'stuck'])
  })

  it('gives what a closed connection had to another one at once', async () => {
    const [first, second] = await workers(2)
    if (!first || !second) throw new Error('two workers')
    const a = world.connect(alice)
    const messages = ['1', '2', '3', '4', '5', '6']
    for (const message of messages) await a.publish(topic, message)
    await eventually(() => expect(all([first, second])).toEqual(messages))
    const held = first.pushed()
    const [done] = held
    if (done) first.acknowledge(done)
    first.close()
    await eventually(() => expect(second.pushed().toSorted()).toEqual(messages.filter((m) => m !== done)))
  })

  it('takes nothing with it that its client acknowledged a moment before it went', async () => {
    const [only] = await workers(1)
    if (!only) throw new Error('one worker')
    const a = world.connect(alice)
    for (const message of ['1', '2', '3']) await a.publish(topic, message)
    await expectPushed(only, ['1', '2', '3'])
    // The second one would wait for the next group.
    only.acknowledge('1')
    await quiet(world)
    only.acknowledge('2')
    only.close()
    await eventually(async () => {
      const { messages } = await world.store.pending(server, topic, {
        ...{ after: 0, limit: 10, maxBytes: 1e6, now: world.clock.now() },
      })
      expect(messages.map(({ message }) => message)).toEqual(['3'])
    })
  })

  it('of one connection is redelivered to that one', async () => {
    const [only] = await workers(1)
    if (!only) throw new Error('one worker')
    const a = world.connect(alice)
    await a.publish(topic, 'again')
    await expectPushed(only, ['again'])
    await world.clock.advance(30_100)
    await expectPushed(only, ['again', 'again'])
  })

  it('gets what waited while nobody was connected, and each of it once', async () => {
    const a = world.connect(alice)
    const messages = Array.from({ length: 300 }, (_, at) => `m ${at}`)
    await a.request('irn_batchPublish', {
      messages: messages.map((message) => ({ topic, message, ttl: 300 })),
    })
    const peers = await workers(2, { autoAcknowledge: true })
    await eventually(() => expect(all(peers)).toEqual(messages.toSorted()))
  })

  it('leaves the connections of the client that do not share with every message', async () => {
    const peers = await workers(2)
    const plain = world.connect(server)
    await world.clock.advance(250)
    const a = world.connect(alice)
    for (const message of ['1', '2', '3']) await a.publish(topic, message)
    await expectPushed(plain, ['1', '2', '3'])
    await eventually(() => expect(all(peers)).toEqual(['1', '2', '3']))
    plain.acknowledge('1')
    await world.clock.advance(30_100)
    await eventually(() => expect(all(peers)).toEqual(['1', '2', '2', '3', '3']))
  })

  it('divides the work between processes on one store, and takes over from one that died', async () => {
    const [here] = await workers(1)
    if (!here) throw new Error('one worker')
    // A second hub on the same store, as another process would have; it looks for itself, since no engine wakes it here.
    const deps = {
      store: world.store,
      clock: world.clock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      meter: unmeasured,
      randomBytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
    }
    const there = createRelayHub({ ...deps, ...unpaid }, { catchUpEveryMs: 10_000 })
    const got: string[] = []
    const session = there.connect(
      { send: (text) => got.push(text), buffered: () => 0, pause() {}, resume() {}, close() {} },
      { clientId: server, share: true, address: '' },
    )
    await world.clock.advance(250)
    const a = world.connect(alice)
    await a.publish(topic, 'for one')
    await expectPushed(here, ['for one'])
    await world.clock.advance(20_000)
    await quiet(world)
    expect(got).toEqual([])
    // The first process forgets all about it without a word.
    here.buffered = Number.MAX_SAFE_INTEGER
    here.session.send('{"id":0,"result":true}')
    await world.clock.advance(25_000)
    await eventually(() => expect(got.join()).toContain('for one'))
    there.close(session)
    await there[Symbol.asyncDispose]()
  })
})
