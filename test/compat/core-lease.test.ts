/** Published relay clients keep their topics themselves: what the relay has forgotten of them they say again at a start. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { SUBSCRIPTION_LEASE_MS } from '../../src/relay/store.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld } from '../support/world.ts'
import { startPeer } from './peer.ts'

const DAY_MS = 86_400_000

interface Received {
  payload: { params: { text: string } }
}

/** The subscriptions that a client wrote down. Its keychain names their topics, too, and earlier. */
const storedSubscriptions = async (dir: string): Promise<string> => {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name === 'subscription')
  return (
    await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'utf8')))
  ).join('\n')
}

it.each([
  ['2.17', 'core-2.17'],
  ['2.25', '@walletconnect/core'],
])(
  '%s subscribes again when it starts after its lease ended, and hears what comes then',
  async (_, client) => {
    const dir = await mkdtemp(join(tmpdir(), 'belfry-core-'))
    await using world = await startWorld({ rooms: ['relay'], config: { budgets: DEFAULT_BUDGETS } })
    const { relay } = world.stores
    const start = async (database: string) => {
      const peer = await startPeer('core', { client })
      const options = { relayUrl: world.wsUrl, projectId: 'ab'.repeat(16) }
      const clientId = await peer.call<string>('init', {
        ...options,
        storageOptions: { database: join(dir, database) },
      })
      return { peer, clientId }
    }
    const key = randomBytes(32).toString('hex')
    try {
      const before = await start('listener')
      const topic = await before.peer.call<string>('useKey', key)
      await before.peer.call('subscribe', topic)
      expect(await relay.isSubscribed(before.clientId, topic)).toBe(true)
      // It writes them down a moment later.
      await eventually(async () =>
        expect(await storedSubscriptions(join(dir, 'listener'))).toContain(`"${topic}"`),
      )
      await before.peer[Symbol.asyncDispose]()
      await relay.sweep(Date.now() + SUBSCRIPTION_LEASE_MS + 2 * DAY_MS, 1_000)
      expect(await relay.isSubscribed(before.clientId, topic)).toBe(false)

      const { peer, clientId } = await start('listener')
      await using listener = peer
      expect(clientId).toBe(before.clientId)
      await eventually(async () => expect(await relay.isSubscribed(clientId, topic)).toBe(true))
      const { peer: other } = await start('speaker')
      await using speaker = other
      await speaker.call('useKey', key)
      const payload = { id: 1, jsonrpc: '2.0', method: 'note', params: { text: 'again' } }
      await speaker.call('publish', topic, payload, { ttl: 300, tag: 1 })
      expect((await listener.next<Received>('message')).payload.params.text).toBe('again')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  },
  60_000,
)
