/** Connections of one address take no place, and no memory, of another. */
import { expect, it } from 'vitest'
import { DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld } from '../support/world.ts'
import { ACCOMPLICE, connectFrom, randomTopic, STRANGER, startBystander } from './relay-attackers.ts'

const MIB = 1024 * 1024

it('who reads and acknowledges nothing holds the share of one address', async () => {
  await using world = await startWorld({ config: { budgets: DEFAULT_BUDGETS } })
  using bystander = await startBystander(world.wsUrl)
  const topic = randomTopic()
  let pushed = 0
  const onMessage = ({ length }: string) => {
    pushed += length
  }
  const readers = await Promise.all(
    Array.from({ length: 12 }, () => connectFrom(STRANGER, world.wsUrl, { onMessage, acknowledges: false })),
  )
  for (const reader of readers) await reader.request('irn_subscribe', { topic })
  const publisher = await connectFrom(ACCOMPLICE, world.wsUrl)
  // Four times what one connection may have, for each of them.
  const size = 200 * 1024
  for (let at = 0; at < 80; at++) {
    await publisher.request('irn_publish', { topic, message: `${at} `.padEnd(size, 'x'), ttl: 300, tag: 1 })
  }
  const { each } = DEFAULT_BUDGETS.memory
  await eventually(() => expect(pushed).toBeGreaterThan(each / 2))
  // Without memory of its own it would wait for ever.
  await bystander.beat()
  await bystander.beat()
  // One message always fits on a connection.
  expect(pushed).toBeLessThanOrEqual(each + readers.length * size + MIB)
  for (const peer of [...readers, publisher]) peer.close()
}, 60_000)
