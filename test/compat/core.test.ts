import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** Published relay clients of three generations on one relay. */
const versions = { '2.12': 'core-2.12', '2.17': 'core-2.17', '2.25': '@walletconnect/core' }

interface Received {
  topic: string
  publishedAt: number
  payload: { id: number; params: { text: string } }
}

const note = (text: string) => ({ id: 1, jsonrpc: '2.0', method: 'note', params: { text } })
const textOf = ({ payload }: Received) => payload.params.text
const newKey = () => randomBytes(32).toString('hex')

let system: System
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

const startCore = async (client: string, index: number): Promise<Peer> => {
  const peer = await startPeer('core', { client })
  await peer.call('init', { relayUrl: system.relayUrl(index), projectId: system.projectId })
  return peer
}

const join = async (peer: Peer, key: string): Promise<string> => {
  const topic = await peer.call<string>('useKey', key)
  await peer.call('subscribe', topic)
  return topic
}

describe('@walletconnect/core 2.12, 2.17 and 2.25 on one relay', () => {
  it('each hears what the two others publish, once and in their order, and never its own', async () => {
    await using oldest = await startCore(versions['2.12'], 0)
    await using older = await startCore(versions['2.17'], 1)
    await using newest = await startCore(versions['2.25'], 2)
    const peers = [
      { version: '2.12', peer: oldest },
      { version: '2.17', peer: older },
      { version: '2.25', peer: newest },
    ]
    const key = newKey()
    const topic = (await Promise.all(peers.map(({ peer }) => join(peer, key))))[0]
    // A notify server's, and at least one of ours.
    for (const connections of await system.connections()) expect(connections).toBeGreaterThanOrEqual(2)

    await Promise.all(
      peers.map(async ({ version, peer }) => {
        for (const number of [1, 2, 3]) {
          await peer.call('publish', topic, note(`${version} ${number}`), { ttl: 300, tag: 1 })
        }
      }),
    )
    for (const { version, peer } of peers) {
      for (const other of Object.keys(versions).filter((name) => name !== version)) {
        for (const number of [1, 2, 3]) {
          const message = await peer.next<Received>('message', (data) => textOf(data).startsWith(other))
          expect(textOf(message)).toBe(`${other} ${number}`)
          expect(message.publishedAt).toBeGreaterThan(Date.now() - 60_000)
        }
      }
    }
    // What a peer says last arrives last, so nothing else is under way.
    await oldest.call('publish', topic, note('last'), { ttl: 300, tag: 1 })
    for (const peer of [older, newest]) {
      await peer.next<Received>('message', (data) => textOf(data) === 'last')
      expect(peer.left('message')).toEqual([])
    }
    expect(oldest.left('message')).toEqual([])
  }, 60_000)

  it.each(Object.entries(versions))(
    '%s hears in order what was said while it was away, and nothing twice',
    async (_version, client) => {
      await using listener = await startCore(client, 0)
      await using speaker = await startCore(versions['2.25'], 1)
      const key = newKey()
      const topic = await join(listener, key)
      await join(speaker, key)

      await speaker.call('publish', topic, note('here'), { ttl: 300, tag: 1 })
      await listener.next<Received>('message', (data) => textOf(data) === 'here')
      await listener.call('offline')
      for (const text of ['first', 'second', 'third']) {
        await speaker.call('publish', topic, note(text), { ttl: 300, tag: 1 })
      }
      await listener.call('online')
      for (const text of ['first', 'second', 'third']) {
        expect(textOf(await listener.next<Received>('message'))).toBe(text)
      }
      await speaker.call('publish', topic, note('last'), { ttl: 300, tag: 1 })
      expect(textOf(await listener.next<Received>('message'))).toBe('last')
      expect(listener.left('message')).toEqual([])
    },
    60_000,
  )

  it.each(Object.entries(versions))(
    '%s hears what was published before anybody subscribed, and nothing after it unsubscribed',
    async (_version, client) => {
      await using listener = await startCore(client, 0)
      await using speaker = await startCore(versions['2.17'], 1)
      const key = newKey()
      const quiet = await speaker.call<string>('useKey', key)
      await speaker.call('publish', quiet, note('early'), { ttl: 300, tag: 1 })
      const other = await join(listener, newKey())
      expect(await join(listener, key)).toBe(quiet)
      expect(textOf(await listener.next<Received>('message'))).toBe('early')

      await listener.call('unsubscribe', quiet)
      await speaker.call('publish', quiet, note('unheard'), { ttl: 300, tag: 1 })
      await listener.call('subscribe', quiet)
      expect(textOf(await listener.next<Received>('message'))).toBe('unheard')
      expect(other).not.toBe(quiet)
      expect(listener.left('message')).toEqual([])
    },
    60_000,
  )

  it.each(Object.entries(versions))(
    '%s comes back with more topics than fit in one batch, and hears on the last of them',
    async (_version, client) => {
      await using listener = await startCore(client, 0)
      await using speaker = await startCore(versions['2.25'], 1)
      const key = newKey()
      const others = Array.from({ length: 505 }, newKey)
      await listener.call('subscribeAll', others)
      const topic = await join(listener, key)
      await speaker.call('useKey', key)
      await listener.call('offline')
      await speaker.call('publish', topic, note('meanwhile'), { ttl: 300, tag: 1 })
      await listener.call('online')
      expect(textOf(await listener.next<Received>('message'))).toBe('meanwhile')
    },
    60_000,
  )
})
