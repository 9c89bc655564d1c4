/**
 * Whoever floods queues, of a victim or of nobody: a reader goes on receiving from others, and little is left.
 */
import { describe, expect, it } from 'vitest'
import { ed25519Signer } from '../../src/mq/signers.ts'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { mqClient } from '../../src/sdk/mq.ts'
import { agentOf, hasty, hubAt } from '../mq/agents.ts'
import { startRedis } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'

const ATTACKER = '203.0.113.66'
const LENGTH = 192
/** How many puts of a flood wait for their answers at the same time. */
const AT_ONCE = 8

const startMq = async (engine: string) => {
  const redis = engine === 'Redis' ? await startRedis() : undefined
  const world = await startWorld({
    config: {
      rooms: ['mq', 'keys'],
      mq: { domains: { default: { ...hasty, queueLength: LENGTH } } },
      budgets: DEFAULT_BUDGETS,
      ...(redis && { redisUrl: redis.url }),
    },
  })
  return {
    world,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      await redis?.[Symbol.asyncDispose]()
    },
  }
}

/** Puts by an address until it has had `count` answers; how many were taken. */
const flood = async (world: World, hash: string, count: number, address = ATTACKER): Promise<number> => {
  const hub = hubAt(world.url)
  const from = { headers: { 'x-forwarded-for': address } }
  const token = await hub.token(hash)
  let taken = 0
  let next = 0
  const put = async () => {
    while (next < count) {
      const { status } = await hub.ask('PUT', `/put/${hash}`, token, { body: `flood ${next++}`, ...from })
      if (status === 200) taken++
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, put))
  return taken
}

const countOf = async (world: World, hash: string, now = Date.now()): Promise<number> => {
  let count = 0
  const queue = { domain: 'default', hashDID: hash }
  while (await world.stores.mq.take(queue, { now })) count++
  return count
}

// A flood is hundreds of requests, one core serves and asks, and others may use it, too.
describe.each(['LMDB', 'Redis'])('queues on %s', { timeout: 180_000 }, (engine) => {
  it('a friend gets through to a reader whose queue somebody has filled', async () => {
    await using at = await startMq(engine)
    const reader = agentOf(ed25519Signer(generateSigningKey()))
    const inbox = mqClient({ url: at.world.url, ...reader })
    await inbox.peek()
    await flood(at.world, reader.hash, LENGTH + 10)
    const friend = mqClient({ url: at.world.url, ...ed25519Signer(generateSigningKey()) })
    const id = await friend.put(reader.did, 'from a friend', { signed: true })
    expect(await inbox.take({ id })).toMatchObject({ text: 'from a friend', sender: friend.did })
  })

  it('a filled queue loses a small part of what others have there to an address that floods it', async () => {
    await using at = await startMq(engine)
    const reader = agentOf(ed25519Signer(generateSigningKey()))
    await mqClient({ url: at.world.url, ...reader }).peek()
    expect(await flood(at.world, reader.hash, LENGTH, '198.51.100.7')).toBe(LENGTH)
    expect(await flood(at.world, reader.hash, LENGTH)).toBe(LENGTH / 64)
  })

  it('of a queue that is nobody’s little is kept, for a day', async () => {
    await using at = await startMq(engine)
    const [nobody, other] = ['nobody', 'other'].map(
      (name) => agentOf({ did: `did:x:${name}`, sign: () => '' }).hash,
    )
    if (nobody === undefined || other === undefined) throw new Error('there are two')
    await flood(at.world, nobody, LENGTH)
    await flood(at.world, other, 10)
    expect(await countOf(at.world, nobody)).toBe(128)
    expect(await countOf(at.world, other, Date.now() + 25 * 3_600_000)).toBe(0)
  })
})
