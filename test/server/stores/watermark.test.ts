/** The embedded store on a disk that is nearly full, full, and has room again. */
import { expect, it } from 'vitest'
import type { Log } from '../../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { startPulse } from '../../security/pulse.ts'
import { eventually } from '../../support/eventually.ts'
import { mountTmpfs } from '../../support/volume.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'
import { startWorld } from '../../support/world.ts'

const MIB = 1024 * 1024
const NO_SPACE = 'No space is left on the device that holds the store'

const listening = () => {
  const lines: string[] = []
  const line = (_: Record<string, unknown>, sentence: string) => void lines.push(sentence)
  const log: Log = { debug: () => {}, info: line, warn: line, error: line }
  return { lines, log }
}

it('a full disk: /ready says so in a sentence, nothing acknowledged is lost, all goes on once there is room', async () => {
  await using volume = await mountTmpfs(48)
  const { lines, log } = listening()
  await using world = await startWorld({ dataDir: volume.path, log })
  const topic = randomTopic()
  const key = generateSigningKey()
  const reader = connect(world.url, { key })
  await reader.subscribe([topic])
  await reader[Symbol.asyncDispose]()
  const writer = connect(world.url)
  const acknowledged: string[] = []
  for (let at = 0; at < 50; at++) {
    const message = randomMessage(4_096)
    await writer.publish({ topic, message, tag: 1, ttl: 3_600 })
    acknowledged.push(message)
  }

  volume.fill()
  const attempt = () =>
    writer.publish({ topic: randomTopic(), message: randomMessage(150_000), tag: 1, ttl: 3_600 })
  const attempts = Promise.allSettled(Array.from({ length: 8 }, attempt))
  await eventually(async () =>
    expect(await world.http('GET', '/ready')).toMatchObject({
      status: 503,
      body: { ready: false, checks: { store: 'failed' }, reasons: [NO_SPACE], pressure: 'full' },
    }),
  )
  // Whether the process lives is answered without the store, which takes nothing until there is room.
  expect(await world.http('GET', '/health')).toMatchObject({ status: 200, body: { status: 'ok' } })
  expect(await world.metrics.text()).toContain('belfry_store_pressure 2')
  expect(lines.filter((line) => line === 'The store does not take writes')).toHaveLength(1)

  volume.free()
  await eventually(async () =>
    expect(await world.http('GET', '/ready')).toMatchObject({ status: 200, body: { ready: true } }),
  )
  expect(await world.http('GET', '/ready')).toMatchObject({
    body: expect.not.objectContaining({ pressure: 'full' }),
  })
  expect(lines).toContain('The store takes writes again')
  await attempts
  await writer[Symbol.asyncDispose]()

  const received: string[] = []
  await using _again = connect(world.url, { key, onMessage: ({ message }) => void received.push(message) })
  await eventually(() => expect(received).toEqual(acknowledged))
  await using pulse = await startPulse(world)
  await pulse.next()
  await pulse.stop()
}, 120_000)

it('a disk with less than its reserve: /ready and the metrics tell, and what was removed counts as room', async () => {
  await using volume = await mountTmpfs(48)
  const { lines, log } = listening()
  await using world = await startWorld({ dataDir: volume.path, log })
  await using pulse = await startPulse(world)
  volume.fill(3 * MIB)
  await eventually(async () =>
    expect(await world.http('GET', '/ready')).toMatchObject({
      status: 200,
      body: { ready: true, pressure: 'high' },
    }),
  )
  expect(await world.metrics.text()).toContain('belfry_store_pressure 1')
  expect(await world.metrics.text()).toMatch(/belfry_store_free_bytes [23]\d{6}\n/)
  await pulse.next()
  await pulse.stop()
  volume.free()
  await eventually(async () => expect(await world.metrics.text()).toContain('belfry_store_pressure 0'))
  expect(lines).toContain('The store has room again')
}, 60_000)
