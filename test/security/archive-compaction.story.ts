/**
 * Who knows a topic, which everybody does who sees it at the relay, drops nothing of what the devices of an account have
 * archived there: one that joins later has everything.
 */
import { describe, expect, it } from 'vitest'
import { createArchiveClient } from '../../src/archive/client.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { toBase64, utf8 } from '../../src/protocol/bytes.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { openSync } from '../../src/sdk/sync.ts'
import { memoryStorage } from '../../src/sync/storage.ts'
import { capturedLog } from '../support/capture/log.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { startRedis } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'

const STORE = 'settings'
const COUNT = 40

const deviceOf = async (world: World, owner: Owner, compactAbove = 1_000) => {
  const sync = await openSync({ url: world.url, storage: memoryStorage(), compactAbove })
  const { account } = owner
  await sync.register({ account, signature: owner.sign(await sync.getMessage({ account })) })
  await sync.create({ account, store: STORE })
  await sync.caughtUp()
  return sync
}

const topicOfStore = async (sync: Awaited<ReturnType<typeof deviceOf>>, { account }: Owner) => {
  const [topic = ''] = Object.keys(await sync.getStores({ account }))
  return topic
}

/** Has everything before a message of its own dropped, by whatever it may say about itself. */
const attack = async (world: World, topic: string): Promise<void> => {
  const key = generateSigningKey()
  const deps = { clock: systemClock, fetch }
  const archive = createArchiveClient(deps, { url: world.url, relayUrl: world.wsUrl, key })
  // It guesses a key, and names its own client id as the owner.
  const guess = { topic, key: new Uint8Array(32) }
  await archive.register([5000, 5002], [guess])
  await using relay = createRelayClient(
    { clock: systemClock, log: capturedLog, meter: unmeasured },
    { url: world.wsUrl, key },
  )
  await relay.subscribe([topic])
  const message = toBase64(utf8('the mark of a stranger'))
  await relay.publish({ topic, message, tag: 5000, ttl: 300 })
  await archive.compact(guess, messageIdOf(message)).catch(() => {})
  await world.http('POST', '/compact', { body: { compactAuth: orderOf(key, world, topic, message) } })
}

const orderOf = (key: SigningKey, world: World, topic: string, message: string): string => {
  const iat = Math.floor(Date.now() / 1000)
  const claims = { act: 'archive_compact', sub: topic, bfr: messageIdOf(message), aud: world.url }
  return signJwt({ iss: key.did, ...claims, iat, exp: iat + 300 }, key)
}

describe.each(['LMDB', 'Redis'])('the archive on %s', (engine) => {
  it('gives a late device everything, whatever a stranger asked to have dropped', async () => {
    await using redis = engine === 'Redis' ? await startRedis() : undefined
    await using world = await startWorld(redis ? { config: { redisUrl: redis.url } } : {})
    const owner = newOwner()
    const at = { account: owner.account, store: STORE }
    await using phone = await deviceOf(world, owner)
    for (let key = 0; key < COUNT; key++) await phone.set({ ...at, key: `k${key}`, value: 'kept' })
    await phone.published()
    await attack(world, await topicOfStore(phone, owner))
    await using late = await deviceOf(world, owner)
    expect(late.entries(at)).toHaveLength(COUNT)

    // The devices themselves do keep the archive short.
    for (let turn = 0; turn < 5; turn++) {
      for (let key = 0; key < COUNT; key++) await phone.set({ ...at, key: `k${key}`, value: `turn ${turn}` })
    }
    await phone.published()
    await using _short = await deviceOf(world, owner, 10)
    const topic = await topicOfStore(phone, owner)
    const everything = { direction: 'forward', limit: 1_000, maxBytes: 10_000_000, now: Date.now() } as const
    const left = await world.stores.archive.page(topic, everything)
    expect(left?.messages.length).toBeLessThanOrEqual(COUNT + 10)
    await using last = await deviceOf(world, owner)
    expect(last.entries(at)).toHaveLength(COUNT)
    expect(last.value({ ...at, key: 'k7' })).toBe('turn 4')
  })
})
