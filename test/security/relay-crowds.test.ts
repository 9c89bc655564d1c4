/** Many topics of one client, and many subscribers of one topic, hold up nobody else. */
import { expect, it } from 'vitest'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { RELAY_LIMITS } from '../../src/relay/limits.ts'
import { DEFAULT_MAILBOX_LIMITS } from '../../src/relay/store.ts'
import { startWorld } from '../support/world.ts'
import { ACCOMPLICE, connectFrom, randomTopic, STRANGER, startBystander } from './relay-attackers.ts'
import { median } from './strangers-http.ts'

const ROUNDS = 10

it('a client of ten thousand topics and a topic of a thousand dead subscribers hold up nobody', async () => {
  await using world = await startWorld({ config: { budgets: DEFAULT_BUDGETS } })
  const { relay } = world.stores
  const key = generateSigningKey()
  const now = Date.now()
  const topics = Array.from({ length: RELAY_LIMITS.topicsPerClient }, randomTopic)
  for (let at = 0; at < topics.length; at += 500) {
    await relay.subscribe(key.did, topics.slice(at, at + 500), { now, limit: topics.length })
  }
  const crowded = randomTopic()
  await Promise.all(
    Array.from({ length: DEFAULT_MAILBOX_LIMITS.members }, () =>
      relay.subscribe(`did:key:${randomTopic()}`, [crowded], { now, limit: 1 }),
    ),
  )
  using bystander = await startBystander(world.wsUrl)
  const publisher = await connectFrom(ACCOMPLICE, world.wsUrl)
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const published = Array.from({ length: 20 }, (_, at) =>
      publisher.request('irn_publish', { topic: crowded, message: `${round} ${at}`, ttl: 300, tag: 1 }),
    )
    // Comes, is looked through, and goes.
    const many = await connectFrom(STRANGER, world.wsUrl, { key })
    times.push(await bystander.beat())
    await Promise.all(published)
    many.close()
  }
  publisher.close()
  expect(median(times)).toBeLessThan(1_000)
  expect(Math.max(...times)).toBeLessThan(5_000)
  // Nobody else gets into the topic any more, and it is no error.
  const late = await connectFrom(STRANGER, world.wsUrl)
  expect(await late.request('irn_subscribe', { topic: crowded })).toMatch(/^[0-9a-f]{64}$/)
  late.close()
}, 60_000)
