/** How soon a message that is put at one process answers a poll at another one. */
import { expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { eventually } from '../support/eventually.ts'
import { startRedis } from '../support/redis.ts'
import { temporaryHome } from '../support/story.ts'
import { agentAt, startHubPair } from './message-hubs.ts'

const ROUNDS = 20
const env = { BELFRY_ROOMS: 'mq', BELFRY_MQ_DOMAINS: 'default: connectionTimeout=20000' }

it('a put on one process wakes a poll on the other at once', async () => {
  await using redis = await startRedis({ appendonly: true })
  await using homes = await temporaryHome()
  const { servers } = await startHubPair(redis.url, homes.path, { env })
  await using one = servers[0]
  await using two = servers[1]
  if (!one || !two) throw new Error('there are two')
  const polls = async () => {
    const text = await (await fetch(`${two.url}/metrics`)).text()
    return Number(/^belfry_mq_polls (\d+)/m.exec(text)?.[1] ?? Number.NaN)
  }
  const key = generateSigningKey()
  const [sender, reader] = [agentAt(one.url), agentAt(two.url, key)]
  const latencies: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const polling = reader.peek().then((message) => ({ message, at: performance.now() }))
    await eventually(async () => expect(await polls()).toBe(1))
    const asked = performance.now()
    const id = await sender.put(reader.did, `round ${round}`)
    const { message, at } = await polling
    expect(message).toMatchObject({ id, text: `round ${round}` })
    latencies.push(at - asked)
    await reader.delete(id)
  }
  latencies.sort((a, b) => a - b)
  const [median = 0, worst = 0] = [latencies[ROUNDS / 2], latencies.at(-1)]
  const said = `${median.toFixed(1)} ms after the sender asked for a token (worst ${worst.toFixed(1)} ms)`
  console.log(`A poll on another process was answered ${said}`)
  expect(median).toBeLessThan(100)
})
