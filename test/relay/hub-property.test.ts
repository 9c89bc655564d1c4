/** Random histories of connections, subscriptions, publishes and acknowledgements against the delivery rules. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { quiet, startHub, type TestPeer, topicNamed } from '../support/world/relay-hub.ts'

const CLIENTS = ['did:key:z6MkOne', 'did:key:z6MkTwo', 'did:key:z6MkThree']
const TOPICS = [topicNamed('first'), topicNamed('second')]

const who = fc.nat(CLIENTS.length - 1)
const where = fc.nat(TOPICS.length - 1)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('publish'), who, where, count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('subscribe'), who, where, count: fc.constant(1) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('acknowledge'),
      who,
      where,
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fetch'), who, where, count: fc.constant(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reconnect'), who, where, count: fc.constant(1) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait'), who, where, count: fc.constantFrom(1, 100, 250, 1_000) }),
  },
)

const runHistory = async (steps: readonly { do: string; who: number; where: number; count: number }[]) => {
  await using world = await startHub({ inFlightMessages: 4 })
  const peers: TestPeer[] = []
  const live = CLIENTS.map((clientId) => {
    const peer = world.connect(clientId)
    peers.push(peer)
    return peer
  })
  const published: { topic: string; message: string; publisher: string }[] = []
  const acknowledged = new Map(CLIENTS.map((clientId) => [clientId, new Set<string>()]))
  /** How much each connection had been pushed when its client was done with the message. */
  const ends: { clientId: string; message: string; seen: Map<TestPeer, number> }[] = []
  const promises: Promise<unknown>[] = []
  let count = 0

  const done = (clientId: string, message: string) => {
    acknowledged.get(clientId)?.add(message)
    ends.push({ clientId, message, seen: new Map(peers.map((peer) => [peer, peer.pushes().length])) })
  }

  const acknowledgeSome = (peer: TestPeer, some: number) => {
    const known = acknowledged.get(peer.clientId) ?? new Set()
    for (const { message } of peer
      .pushes()
      .filter((push) => !known.has(push.message))
      .slice(0, some)) {
      peer.acknowledge(message)
      done(peer.clientId, message)
    }
  }

  for (const { do: action, who: client, where: place, count: amount } of steps) {
    const peer = live[client]
    const topic = TOPICS[place]
    if (!peer || !topic) continue
    if (action === 'publish') {
      for (let at = 0; at < amount; at++) {
        const message = `m${++count}`
        published.push({ topic, message, publisher: peer.clientId })
        promises.push(peer.publish(topic, message, { ttl: 86_400 }))
      }
    } else if (action === 'subscribe') promises.push(peer.subscribe(topic))
    else if (action === 'acknowledge') acknowledgeSome(peer, amount)
    else if (action === 'fetch') {
      await Promise.all(promises)
      const got = JSON.stringify(await peer.request('irn_fetchMessages', { topic }))
      for (const [, message] of got.matchAll(/"message":"(m\d+)"/g)) {
        if (message === undefined) continue
        expect(acknowledged.get(peer.clientId)?.has(message), `${message} fetched after its end`).toBe(false)
        done(peer.clientId, message)
      }
    } else if (action === 'reconnect') {
      // What is not answered yet never will be on this connection.
      await Promise.all(promises)
      peer.close()
      const again = world.connect(peer.clientId)
      live[client] = again
      peers.push(again)
    } else await world.clock.advance(amount)
  }

  // In the end everybody listens on everything and acknowledges all.
  await Promise.all(promises)
  for (const peer of live) await peer.request('irn_batchSubscribe', { topics: TOPICS })
  await world.clock.advance(6_000)
  await eventually(async () => {
    for (const peer of live) acknowledgeSome(peer, Number.POSITIVE_INFINITY)
    await quiet(world)
    for (const peer of live) {
      const due = published
        .filter(({ publisher }) => publisher !== peer.clientId)
        .map(({ message }) => message)
      expect([...(acknowledged.get(peer.clientId) ?? [])].toSorted()).toEqual(due.toSorted())
    }
  })

  for (const { clientId, message, seen } of ends) {
    for (const peer of peers.filter((each) => each.clientId === clientId)) {
      expect(peer.pushed().slice(seen.get(peer) ?? 0), 'after its end').not.toContain(message)
    }
  }
  for (const peer of peers) {
    for (const topic of TOPICS) {
      const pushed = peer
        .pushes()
        .filter((push) => push.topic === topic)
        .map(({ message }) => message)
      // Only what was pushed before its client subscribed on this connection may come a second time, and only once.
      for (const message of pushed) expect(pushed.filter((each) => each === message).length).toBeLessThan(3)
      const order = published.filter((each) => each.topic === topic).map(({ message }) => message)
      const first = [...new Set(pushed)]
      expect(first).toEqual(order.filter((message) => first.includes(message)))
    }
    const own = published.filter(({ publisher }) => publisher === peer.clientId).map(({ message }) => message)
    expect(peer.pushed().filter((message) => own.includes(message))).toEqual([])
  }
}

it('whatever happens, every client gets every message of others, in order, and none again that it acknowledged', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), runHistory), {
    numRuns: 40,
  })
}, 60_000)
