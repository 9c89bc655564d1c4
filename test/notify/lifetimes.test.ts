/** How long things live, by an injected clock; a restart in between changes nothing. */
import { expect, it } from 'vitest'
import { fromHex } from '../../src/protocol/bytes.ts'
import { accountKey } from '../../src/protocol/caip.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { eventually } from '../support/eventually.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../support/world/notify.ts'
import { type Device, newOwner } from './support/wallet.ts'

const SECOND = 1000
const DAY = 86_400 * SECOND
/** After an answer a watcher is told within this time. */
const HELD_BACK = 0.9 * SECOND
const NEWS = TYPES[0]?.id ?? ''

const subscribed = async (world: TestNotify, device: Device) => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  const item = (claims.sbs as View[]).find((each) => each.appDomain === world.app.domain)
  return { key: fromHex(item?.symKey ?? ''), expiry: item?.expiry ?? 0 }
}
const publish = (world: TestNotify, device: Device) =>
  world.publishing.notify(world.project.id, [
    {
      notification: { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null },
      accounts: [device.account],
    },
  ])
const view = async (world: TestNotify, device: Device) =>
  (await world.ask(device.watch(world.address))).claims.sbs as View[]

it('a watcher hears of changes for one day', async () => {
  await using world = await startNotify()
  const owner = newOwner()
  const watcher = world.newDevice({ owner })
  const actor = world.newDevice({ owner })
  const sent = watcher.watch(world.address)
  await world.ask(sent)
  const heard = () => world.publishedOn(sent.answerTopic, 4012, sent.key).length

  await world.restart(() => world.hands.advance(DAY - SECOND))
  await subscribed(world, actor)
  await world.hands.advance(HELD_BACK)
  await eventually(() => expect(heard()).toBe(1))

  await world.restart(() => world.hands.advance(SECOND))
  await subscribed(world, actor)
  await world.settled()
  // The loop is a new one after a restart.
  expect(heard()).toBe(0)
})

it('a watcher that watches again lives a day from then', async () => {
  await using world = await startNotify()
  const owner = newOwner()
  const watcher = world.newDevice({ owner })
  await view(world, watcher)
  await world.hands.advance(DAY / 2)
  const sent = watcher.watch(world.address)
  await world.ask(sent)
  await world.restart(() => world.hands.advance(DAY - SECOND))
  await subscribed(world, world.newDevice({ owner }))
  await world.hands.advance(HELD_BACK)
  await eventually(() => expect(world.publishedOn(sent.answerTopic, 4012, sent.key)).toHaveLength(1))
})

it('a subscription is notified and listed for thirty days, and then is not', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const { key, expiry } = await subscribed(world, device)
  expect(expiry * SECOND).toBe(world.clock.now() + 30 * DAY)

  await world.restart(() => world.hands.advance(30 * DAY - SECOND))
  expect(await publish(world, device)).toMatchObject({ sent: [device.account] })
  await world.settled()
  expect(world.publishedOn(topicOf(key), 4002, key)).toHaveLength(1)
  expect(await view(world, device)).toHaveLength(1)

  await world.restart(() => world.hands.advance(SECOND))
  expect(await publish(world, device)).toMatchObject({ not_found: [device.account] })
  expect(await view(world, device)).toEqual([])
  // Not swept yet: the server still has the key, and says that it is over.
  const sent = device.ask(4008, world.app, key, { scp: NEWS })
  expect((await world.ask(sent)).rpc).toMatchObject({
    kind: 'failure',
    code: -1,
    message: 'There is no such subscription',
  })
})

it('what was handed out before the end is not sent after it', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const { key } = await subscribed(world, device)
  await world.hands.advance(30 * DAY - SECOND)
  world.loop.setConnected(false)
  expect(await publish(world, device)).toMatchObject({ sent: [device.account] })
  await world.restart(() => world.hands.advance(SECOND))
  await world.settled()
  expect(world.publishedOn(topicOf(key), 4002, key)).toEqual([])
})

it('an update gives a subscription thirty days from then', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const { key } = await subscribed(world, device)
  await world.restart(() => world.hands.advance(20 * DAY))
  const { claims } = await world.ask(device.ask(4008, world.app, key, { scp: NEWS }))
  expect((claims.sbs as View[])[0]?.expiry).toBe((world.clock.now() + 30 * DAY) / SECOND)
  await world.restart(() => world.hands.advance(20 * DAY))
  expect(await view(world, device)).toHaveLength(1)
})

it('the sweep takes away what is over, and leaves its topics', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const { key } = await subscribed(world, device)
  await view(world, device)
  await world.hands.advance(30 * DAY)
  await world.hands.advance(60 * SECOND)
  await eventually(async () => {
    expect((await world.store.account(accountKey(device.account))).record).toEqual({
      subscriptions: [],
      watchers: [],
    })
    expect(world.loop.left).toEqual([topicOf(key)])
  })
  expect(await world.store.topicOwner(topicOf(key))).toBeUndefined()
  expect(await world.store.watcherOwner(device.identity.did)).toBeUndefined()
})

it('a new subscription after the end has a new key, and the old topic is left', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const first = await subscribed(world, device)
  await world.restart(() => world.hands.advance(30 * DAY))
  const second = await subscribed(world, device)
  expect(second.key).not.toEqual(first.key)
  await world.settled()
  expect(world.loop.left).toContain(topicOf(first.key))
  expect(world.loop.topics).toContain(topicOf(second.key))
})

it('an old request is refused when it comes again after its id was forgotten', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const sent = device.subscribe(world.app, [NEWS])
  await world.ask(sent)
  await world.restart(() => world.hands.advance(600 * SECOND))
  expect((await world.ask(sent)).rpc).toMatchObject({
    code: -1,
    message: 'The JWT is expired, or not valid yet',
  })
})

it('requests and what must be sent survive a restart', async () => {
  await using world = await startNotify()
  const owner = newOwner()
  const device = world.newDevice({ owner })
  const { key } = await subscribed(world, device)
  const watch = world.newDevice({ owner }).watch(world.address)
  await world.ask(watch)
  world.loop.setConnected(false)
  const update = device.ask(4008, world.app, key, { scp: '' })
  await world.loop.deliver(update)
  await publish(world, device)
  expect(world.publishedOn(topicOf(key), 4009, key)).toEqual([])
  await world.restart()
  await world.settled()
  expect(world.publishedOn(topicOf(key), 4009, key)).toHaveLength(1)
  expect(world.publishedOn(watch.answerTopic, 4012, watch.key)).toHaveLength(1)
  // And a second delivery of what was done already does nothing.
  await world.loop.deliver(update)
  await world.settled()
  expect(world.publishedOn(topicOf(key), 4009, key)).toHaveLength(1)
})
