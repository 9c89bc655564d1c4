/** The notify server at work over our relay, through real sockets. */
import { expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { NOTIFY_METHODS } from '../../src/protocol/notify-methods.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { startNotify, TYPES, type View } from '../support/world/notify.ts'
import { startRelay } from '../support/world/relay.ts'
import { online } from './support/online.ts'
import { claimsIn, newOwner, opened } from './support/wallet.ts'

const deps = { clock: systemClock, log: silent, meter: unmeasured }
const NEWS = TYPES[0]?.id ?? ''

it('two devices and an app: subscribe, hear of it, publish, receive, read, delete', async () => {
  await using relay = await startRelay()
  await using world = await startNotify({
    clock: systemClock,
    connect: (keys) => (onMessage) =>
      createRelayClient(deps, { url: relay.url, key: keys.relay, onMessage, remembers: true }),
  })
  const owner = newOwner()
  await using phone = online(relay.url, world.newDevice({ owner }))
  await using laptop = online(relay.url, world.newDevice({ owner }))

  const watch = laptop.device.watch(world.address)
  expect((await laptop.ask(watch)).sbs).toEqual([])
  const { sbs } = await phone.ask(phone.device.subscribe(world.app, [NEWS]))
  const key = fromHex((sbs as View[])[0]?.symKey ?? '')
  const topic = topicOf(key)
  await phone.client.subscribe([topic])
  const [changed] = await eventually(() => {
    const all = laptop.on(watch.answerTopic, 4012)
    expect(all).toHaveLength(1)
    return all
  })
  const told = claimsIn(opened(changed?.message ?? '', watch.key)).sbs as View[]
  expect(told[0]?.symKey).toBe((sbs as View[])[0]?.symKey)
  await laptop.client.subscribe([topic])

  const outcome = await world.publishing.notify(world.project.id, [
    {
      notification: { type: NEWS, title: 'Hello', body: 'Both of you', icon: null, url: null },
      accounts: [owner.account],
    },
  ])
  expect(outcome.sent).toEqual([owner.account])
  for (const device of [phone, laptop]) {
    const [message] = await eventually(() => {
      const all = device.on(topic, NOTIFY_METHODS[4002].requestTag)
      expect(all).toHaveLength(1)
      return all
    })
    expect(claimsIn(opened(message?.message ?? '', key)).msg).toMatchObject({ title: 'Hello' })
  }

  const history = await phone.ask(phone.device.ask(4014, world.app, key, { lmt: 10, aft: null }))
  expect(history.nfs).toMatchObject([{ title: 'Hello', is_read: false }])
  await phone.ask(phone.device.ask(4016, world.app, key, { all: true }))

  // While nobody serves, requests wait at the relay.
  const update = laptop.device.ask(4008, world.app, key, { scp: '' })
  let answer: ReturnType<typeof laptop.ask> | undefined
  await world.restart(async () => {
    answer = laptop.ask(update)
    await laptop.client.ready()
  })
  expect((await answer)?.sbs).toMatchObject([{ scope: [] }])

  expect((await phone.ask(phone.device.ask(4004, world.app, key))).sbs).toEqual([])
  await eventually(() => expect(laptop.on(watch.answerTopic, 4012).length).toBeGreaterThanOrEqual(3))
})
