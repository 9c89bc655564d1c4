import { expect, it } from 'vitest'
import { createBudgets, NO_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import { eventually } from '../support/eventually.ts'
import { startHub, type TestPeer, topicNamed } from '../support/world/relay-hub.ts'

const house = 'did:key:z6MkHouse'
const requests = topicNamed('requests')

const start = async () => {
  const world = await startHub({ trusted: (clientId) => clientId === house }, undefined, undefined, (clock) =>
    createBudgets({ buckets: createBuckets(clock), clock }, NO_BUDGETS),
  )
  const server = world.connect(house, { share: true })
  await server.request('irn_subscribe', { topic: requests, exclusive: true })
  await world.clock.advance(300)
  return { world, server }
}

/** Acknowledges the oldest of what is not yet; answers how many there were. */
const acknowledge = (peer: TestPeer, done: Set<string>, most: number): void => {
  const open = peer.pushed().filter((message) => !done.has(message))
  for (const message of new Set(open.slice(0, most))) {
    done.add(message)
    peer.acknowledge(message)
  }
}

it('a request waits for what is in flight, and for nothing else that a stranger left', async () => {
  const { world, server } = await start()
  await using _ = world
  const stranger = world.connect('did:key:z6MkStranger', { address: 'a' })
  const wallet = world.connect('did:key:z6MkWallet', { address: 'b' })
  for (let at = 0; at < 2_000; at++) await stranger.publish(requests, `junk ${at}`)
  await wallet.publish(requests, 'first')
  await wallet.publish(requests, 'second')
  const done = new Set<string>()
  for (let round = 0; !server.pushed().includes('second'); round++) {
    expect(round).toBeLessThan(8)
    const before = server.pushed().length
    acknowledge(server, done, 32)
    await eventually(() => expect(server.pushed().length + (round === 0 ? 1 : 0)).toBeGreaterThan(before))
  }
  expect(server.pushed().length).toBeLessThan(400)
  const places = ['first', 'second'].map((message) => server.pushed().indexOf(message))
  expect(places).toEqual([...places].sort((one, other) => one - other))
})

it('nothing is lost or out of the order of its publisher, whichever connection takes it', async () => {
  const { world, server } = await start()
  await using _ = world
  const other = world.connect(house, { share: true })
  const peers = ['a', 'b', 'c'].map((address) => world.connect(`did:key:z6Mk${address}`, { address }))
  const published: string[] = []
  for (let at = 0; at < 900; at++) {
    const which = at % 10 === 0 ? 1 : at % 25 === 1 ? 2 : 0
    const message = `${which} ${at}`
    published.push(message)
    await peers[which]?.publish(requests, message)
  }
  const done = new Set<string>()
  acknowledge(other, done, 40)
  other.close()
  await eventually(() => {
    acknowledge(server, done, 50)
    expect(done.size).toBe(published.length)
  })
  const seen = [...new Set([...other.pushed(), ...server.pushed()])]
  expect([...seen].sort()).toEqual([...published].sort())
  for (const which of ['1 ', '2 ']) {
    const own = published.filter((message) => message.startsWith(which))
    // What the closed connection had comes again.
    const late = server
      .pushed()
      .filter((message) => message.startsWith(which) && !other.pushed().includes(message))
    expect(late).toEqual(own.filter((message) => late.includes(message)))
  }
})
