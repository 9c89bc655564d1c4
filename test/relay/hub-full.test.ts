import { expect, it } from 'vitest'
import { createBudgets } from '../../src/platform/budgets/budgets.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import type { PressureLevel } from '../../src/platform/budgets/watermark.ts'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { expectPushed, quiet, startHub, topicNamed } from '../support/world/relay-hub.ts'

const house = 'did:key:z6MkHouse'
const wallet = 'did:key:z6MkWallet'
const requests = topicNamed('requests')
const answers = topicNamed('answers')
const MONTH_S = 30 * 86_400
const BRIEF_MS = 300_000

it('while the store is nearly full, what strangers publish gets through and is kept for minutes', async () => {
  let level: PressureLevel = 'ok'
  await using world = await startHub(
    { trusted: (clientId) => clientId === house },
    undefined,
    undefined,
    (clock) => createBudgets({ buckets: createBuckets(clock), clock, pressure: () => level }),
  )
  const server = world.connect(house, { autoAcknowledge: true })
  await server.request('irn_subscribe', { topic: requests, exclusive: true })
  const one = world.connect(wallet, { address: 'a', autoAcknowledge: true })
  await one.subscribe(answers)
  await world.clock.advance(100)
  const lifeOf = async (topic: string, text: string) => {
    const now = world.clock.now()
    const kept = await world.store.message(topic, messageIdOf(text), now)
    return kept && kept.expiresAt - now
  }
  const month = { ttl: MONTH_S }

  level = 'high'
  expect(await one.publish(requests, 'delete', month)).toBe(true)
  await expectPushed(server, ['delete'])
  expect(await lifeOf(requests, 'delete')).toBe(BRIEF_MS)
  // The house keeps what it says for as long as it says.
  expect(await server.publish(answers, 'deleted', month)).toBe(true)
  await expectPushed(one, ['deleted'])
  expect(await lifeOf(answers, 'deleted')).toBe(MONTH_S * 1000)

  level = 'full'
  await expect(one.publish(requests, 'refused', month)).rejects.toThrow()
  expect(await server.publish(answers, 'goes on', month)).toBe(true)
  await expectPushed(one, ['deleted', 'goes on'])
  await quiet(world)
  expect(server.pushed()).toEqual(['delete'])

  level = 'ok'
  expect(await one.publish(requests, 'later', month)).toBe(true)
  await expectPushed(server, ['delete', 'later'])
  expect(await lifeOf(requests, 'later')).toBe(MONTH_S * 1000)
})
