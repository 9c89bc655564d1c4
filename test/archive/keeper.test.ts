import { describe, expect, it } from 'vitest'
import { createKeeper } from '../../src/archive/keeper.ts'
import type { ArchiveStore } from '../../src/archive/store.ts'
import { type BudgetSizes, createBudgets, DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import type { Clock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { expectPushed, startHub, topicNamed } from '../support/world/relay-hub.ts'

const topic = topicNamed('kept')
const [ann, bob] = ['did:key:ann', 'did:key:bob']
const RULES = { retentionMs: 86_400_000, limits: { messages: 100, bytes: 1_000_000 } }

/** A hub whose archive is refused by its store while `trouble.on`. */
const startKept = async (mailbox?: { messages: number; bytes: number }, budgets?: BudgetSizes) => {
  const trouble = { on: false, calls: 0 }
  let store: ArchiveStore | undefined
  const budgetsOn = (clock: Clock) => createBudgets({ buckets: createBuckets(clock), clock }, budgets)
  const onArchive = ({ archive }: Stores, clock: Clock) => {
    store = archive
    const keep: ArchiveStore['keep'] = (...args) => {
      trouble.calls++
      if (trouble.on) return Promise.reject(new ProtocolError('unavailable', 'the disk is full'))
      return archive.keep(...args)
    }
    return createKeeper(
      {
        store: Object.assign(Object.create(archive), { keep }),
        ...{ state: budgetsOn(clock).state, clock, meter: unmeasured },
      },
      RULES,
    )
  }
  const world = await startHub({}, mailbox, onArchive, budgets && budgetsOn)
  if (!store) throw new Error('there is a store')
  const archive = store
  const texts = async () => {
    const all = { direction: 'forward', limit: 100, maxBytes: 1_000_000, now: world.clock.now() } as const
    return (await archive.page(topic, all))?.messages.map(({ message }) => message)
  }
  const register = (clientId: string, tags: number[]) => {
    const now = world.clock.now()
    return archive.register({ clientId, tags, owners: {}, expiresAt: now + 1_000_000 }, now)
  }
  return { world, trouble, texts, register }
}

describe('a relay with an archive', () => {
  it('refuses a publisher when the archive cannot keep the message, delivers it all the same, and keeps it at the next try', async () => {
    const { world, trouble, texts, register } = await startKept()
    await using _world = world
    await register(ann, [5000])
    const [publisher, reader] = [world.connect(ann), world.connect(bob, { autoAcknowledge: true })]
    await reader.subscribe(topic)
    await world.clock.advance(200)
    trouble.on = true
    await expect(publisher.publish(topic, 'one', { tag: 5000 })).rejects.toThrow('not available')
    await expectPushed(reader, ['one'])
    expect(await texts()).toEqual([])
    // What nobody registered is not concerned.
    expect(await publisher.publish(topic, 'two', { tag: 5001 })).toBe(true)
    trouble.on = false
    expect(await publisher.publish(topic, 'one', { tag: 5000 })).toBe(true)
    expect(await texts()).toEqual(['one'])
    await expectPushed(reader, ['one', 'two'])
  })

  it('charges its copies to the address of the publisher, and keeps no more than that may have', async () => {
    const { world, texts, register } = await startKept(undefined, { ...DEFAULT_BUDGETS, state: 10_000 })
    await using _world = world
    await register(ann, [5000])
    const [publisher, other] = [
      world.connect(ann, { address: 'a' }),
      world.connect(bob, { address: 'b', autoAcknowledge: true }),
    ]
    await other.subscribe(topic)
    for (let at = 0; at < 60; at++) {
      expect(await publisher.publish(topic, `${at} ${'x'.repeat(700)}`, { tag: 5000, ttl: 300 })).toBe(true)
    }
    const kept = (await texts())?.length ?? 0
    // A copy lives for a day here.
    expect(kept).toBeGreaterThan(5)
    expect(kept).toBeLessThanOrEqual(10)
    expect(await other.publish(topic, 'mine', { tag: 5000 })).toBe(true)
    expect((await texts())?.length).toBe(kept)
    await register(bob, [5000])
    await world.clock.advance(10_000)
    expect(await other.publish(topic, 'mine, too', { tag: 5000 })).toBe(true)
    expect((await texts())?.at(-1)).toBe('mine, too')
  })

  it('keeps what a full mailbox does not', async () => {
    const { world, texts, register } = await startKept({ messages: 2, bytes: 1_000_000 })
    await using _world = world
    await register(ann, [5000])
    const publisher = world.connect(ann)
    await world.connect(bob).subscribe(topic)
    for (const text of ['1', '2', '3', '4']) await publisher.publish(topic, text, { tag: 5000 })
    expect(await texts()).toEqual(['1', '2', '3', '4'])
  })

  it('hears of a registration that nobody told it of within ten seconds, and asks for nothing without one', async () => {
    const { world, trouble, texts, register } = await startKept()
    await using _world = world
    const publisher = world.connect(ann)
    await publisher.publish(topic, 'before', { tag: 5000 })
    await register(ann, [5000])
    await publisher.publish(topic, 'unknown yet', { tag: 5000 })
    expect(trouble.calls).toBe(0)
    await world.clock.advance(10_000)
    await publisher.publish(topic, 'known', { tag: 5000 })
    expect(await texts()).toEqual(['known'])
  })
})
