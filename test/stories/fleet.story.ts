import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { startRedis } from '../support/redis.ts'
import { enrol, newDevice, postNotification } from '../support/story.ts'

it('carries a notification between wallets and dapps that use different processes', {
  timeout: 60_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url)
  const [first, second] = fleet.notifies
  if (!first || !second) throw new Error('there are two')
  const [app, owner] = [await enrol(first.dataDir, 'fleet.example.com'), newOwner()]
  const devices = fleet.relays.map(({ wsUrl }) => newDevice({ url: first.url, wsUrl }, owner))
  const received = devices.map((device) => {
    const bodies: string[] = []
    device.on('message', ({ notification }) => void bodies.push(notification.body))
    return bodies
  })
  await devices[1]?.watch()
  await devices[0]?.subscribe('fleet.example.com', [app.types[0]?.id ?? ''])
  for (const [at, server] of [first, second].entries()) {
    await postNotification(server, app, { id: `n-${at}`, body: `from ${at}`, accounts: [owner.account] })
  }
  await eventually(() => {
    for (const bodies of received) expect([...bodies].sort()).toEqual(['from 0', 'from 1'])
  })
  for (const device of devices) await device[Symbol.asyncDispose]()
})
