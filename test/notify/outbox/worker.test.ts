/** The outbox on its way to the relay: at least once, in order, within bounds. */
import { describe, expect, it } from 'vitest'
import { deliveredIdOf } from '../../../src/notify/ids.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import { claimsIn, type Device } from '../support/wallet.ts'

const NEWS = TYPES[0]?.id ?? ''

const subscribed = async (world: TestNotify, device: Device) => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  return fromHex((claims.sbs as View[])[0]?.symKey ?? '')
}
const publish = (world: TestNotify, devices: Device[], title: string) =>
  world.publishing.notify(world.project.id, [
    {
      notification: { type: NEWS, title, body: 'Body', icon: null, url: null },
      accounts: devices.map(({ account }) => account),
    },
  ])
const titles = (world: TestNotify, key: Uint8Array) =>
  world.publishedOn(topicOf(key), 4002, key).map(({ rpc }) => (claimsIn(rpc).msg as { title: string }).title)
const counted = (world: TestNotify, what: string) =>
  world.recorder.counts.get(`notify_deliveries_total ${what}`) ?? 0

it('what the relay did not acknowledge is sent again, the same byte for byte, also by the next process', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const key = await subscribed(world, device)
  world.loop.setMute(true)
  await publish(world, [device], 'Once')
  const mark = device.ask(4016, world.app, key, { all: true })
  await world.loop.deliver(mark)
  const sent = () =>
    world.loop.published
      .filter(({ topic, tag }) => topic === topicOf(key) && (tag === 4002 || tag === 4017))
      .map(({ message }) => message)
  await eventually(async () => {
    // The first failure makes what follows wait.
    if (new Set(sent()).size < 2) await world.hands.advance(1_000)
    expect(new Set(sent()).size).toBe(2)
  })
  const first = new Set(sent())
  // Later, so that times taken at delivery would differ.
  await world.hands.advance(5_000)
  await eventually(() => expect(sent().length).toBeGreaterThanOrEqual(4))
  const all = new Set(sent())
  expect(all).toEqual(first)

  await world.restart(() => world.hands.advance(60_000))
  await world.settled()
  expect(new Set(sent())).toEqual(all)
  expect(sent()).toHaveLength(2)
})

it('many notifications to one wallet arrive in the order of the calls, once each', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const key = await subscribed(world, device)
  const wanted = Array.from({ length: 700 }, (_, at) => `Title ${at}`)
  for (const title of wanted) await publish(world, [device], title)
  await eventually(() => expect(titles(world, key)).toHaveLength(wanted.length))
  expect(titles(world, key)).toEqual(wanted)
  const ids = world.publishedOn(topicOf(key), 4002, key).map(({ rpc }) => rpc.idText)
  expect(new Set(ids).size).toBe(wanted.length)
})

it('nothing is taken while there is no connection, and all is sent when there is one', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const key = await subscribed(world, device)
  world.loop.setConnected(false)
  await publish(world, [device], 'A')
  await publish(world, [device], 'B')
  expect(await world.store.outboxSize()).toBe(2)
  world.loop.setConnected(true)
  await eventually(() => expect(titles(world, key)).toEqual(['A', 'B']))
  await world.settled()
})

it('what the relay refuses for now is tried again, with longer and longer pauses', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const key = await subscribed(world, device)
  let tries = 0
  world.loop.refuseWith(({ tag }) => {
    if (tag !== 4002) return undefined
    tries++
    return new ProtocolError('rate_limited')
  })
  await publish(world, [device], 'Later')
  await eventually(() => expect(tries).toBe(1))
  for (let round = 2; round <= 6; round++) {
    const before = tries
    await eventually(async () => {
      if (tries === before) await world.hands.advance(500 * 2 ** round)
      expect(tries).toBeGreaterThan(before)
    })
  }
  expect(counted(world, 'notification failed')).toBeGreaterThanOrEqual(5)
  world.loop.refuseWith(undefined)
  await eventually(async () => {
    await world.hands.advance(31_000)
    expect(titles(world, key)).toEqual(['Later'])
  })
  await eventually(() => expect(counted(world, 'notification sent')).toBe(1))
})

it('what the relay will never take is dropped and counted, and holds up nobody', async () => {
  await using world = await startNotify()
  const [a, b] = [world.newDevice(), world.newDevice()]
  const [keyA, keyB] = [await subscribed(world, a), await subscribed(world, b)]
  world.loop.refuseWith(({ topic }) => (topic === topicOf(keyA) ? new ProtocolError('too_large') : undefined))
  await publish(world, [a, b], 'Title')
  await world.settled()
  expect(titles(world, keyA)).toEqual([])
  expect(titles(world, keyB)).toEqual(['Title'])
  // What became of it is counted a moment after it is committed.
  await eventually(() => expect(counted(world, 'notification refused')).toBe(1))
})

it('what cannot be written waits, and holds up nobody', async () => {
  await using world = await startNotify()
  const [broken, fine] = [world.newDevice(), world.newDevice()]
  const [, key] = [await subscribed(world, broken), await subscribed(world, fine)]
  const at = accountKey(broken.account)
  const { version, record } = await world.store.account(at)
  // As if the data had been kept with another secret.
  const subscriptions = record.subscriptions.map((held) => ({ ...held, key: 'AQAA' }))
  await world.store.commit({
    accountKey: at,
    expectedVersion: version,
    record: { ...record, subscriptions },
    outbox: [],
  })
  await publish(world, [broken, fine], 'Title')
  await eventually(() => expect(titles(world, key)).toEqual(['Title']))
  await publish(world, [fine], 'Next')
  await eventually(() => expect(titles(world, key)).toEqual(['Title', 'Next']))
  expect(counted(world, 'notification failed')).toBe(1)
  // What has arrived is ticked off a moment later.
  await eventually(async () => expect(await world.store.outboxSize()).toBe(1))
  await world.hands.advance(31 * 86_400_000)
  await world.settled()
  await eventually(() => expect(counted(world, 'notification expired')).toBe(1))
})

it('only some hundred messages are in hand, however many wait', async () => {
  await using world = await startNotify()
  const devices = Array.from({ length: 100 }, () => world.newDevice())
  const keys = await Promise.all(devices.map((device) => subscribed(world, device)))
  world.loop.setConnected(false)
  for (let at = 0; at < 20; at++) await publish(world, devices, `Title ${at}`)
  const publishing = world.loop.hold()
  world.loop.setConnected(true)
  await eventually(() => expect(publishing.held).toBe(600))
  await world.hands.advance(1_000)
  expect(publishing.held).toBe(600)
  publishing.release()
  await world.settled()
  for (const key of keys) expect(titles(world, key)).toHaveLength(20)
})

it('an account with more subscriptions than fit in a message gets an error instead of no answer', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  await subscribed(world, device)
  const at = accountKey(device.account)
  const { version, record } = await world.store.account(at)
  const [held] = record.subscriptions
  if (!held) throw new Error('There is no subscription')
  const many = Array.from({ length: 600 }, (_, n) => ({ ...held, id: `${held.id}${n}`, topic: `${n}` }))
  await world.store.commit({
    accountKey: at,
    expectedVersion: version,
    record: { ...record, subscriptions: many },
    outbox: [],
  })
  expect((await world.ask(device.watch(world.address))).rpc).toEqual({
    kind: 'failure',
    idText: expect.any(String),
    code: -32600,
    message: 'The message is too large: the account has too many subscriptions to list',
  })
})

it('a request whose error cannot be published is wanted again, and answered then', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  world.identities.delete(device.identity.did)
  const sent = device.watch(world.address)
  world.loop.refuseWith(() => new Error('no relay'))
  await expect(world.loop.deliver(sent)).rejects.toThrow('no relay')
  world.loop.refuseWith(undefined)
  expect((await world.ask(sent)).rpc).toMatchObject({ message: 'The identity key is not registered' })
})

describe('what became of a notification', () => {
  const receipts = async (world: TestNotify) => {
    const { notifications } = await world.store.notifications(world.project.id, { limit: 1 })
    const [of] = notifications
    if (!of) throw new Error('nothing was sent')
    return (await world.store.receipts(of, { limit: 10 })).map(({ state, reason }) => [state, reason])
  }

  /** Hands over, while there is no connection, what may be delivered for `life` ms. */
  const handUntil = async (world: TestNotify, device: Device, life: number) => {
    world.loop.setConnected(false)
    await world.hands.advance(1)
    const owner = accountKey(device.account)
    const held = (await world.store.account(owner)).record.subscriptions[0]
    if (!held) throw new Error('not subscribed')
    const now = world.hands.now()
    const of = { projectId: world.project.id, domain: held.domain, id: `until ${now + life}` }
    const text = { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null }
    const one = { ...of, ...text, createdAt: now, deliverBy: now + life, expiresAt: now + 86_400_000 }
    const id = deliveredIdOf(held.id, of.id)
    const { id: notificationId, ...named } = of
    const task = { kind: 'notification', accountKey: owner, subscriptionId: held.id, ...named } as const
    const outbox = { id, task: { ...task, notificationId }, createdAt: now, expiresAt: now + life }
    const target = { accountKey: owner, account: held.account, subscriptionId: held.id, deliveredId: id }
    expect(await world.store.enqueue(one, [{ ...target, outbox }])).toEqual(['sent'])
  }

  it('is published when the relay has acknowledged it, not before', async () => {
    await using world = await startNotify()
    const device = world.newDevice()
    const key = await subscribed(world, device)
    world.loop.setMute(true)
    await publish(world, [device], 'Title')
    await eventually(() =>
      expect(world.loop.published.filter(({ topic }) => topic === topicOf(key))).toHaveLength(1),
    )
    expect(await receipts(world)).toEqual([['queued', undefined]])
    await world.restart(() => world.hands.advance(60_000))
    await world.settled()
    expect(await receipts(world)).toEqual([['published', undefined]])
  })

  it('is failed, with the reason, when it expired, was refused, or the subscription ended', async () => {
    await using world = await startNotify()
    const device = world.newDevice()
    const key = await subscribed(world, device)
    world.loop.refuseWith(({ tag }) => (tag === 4002 ? new ProtocolError('too_large') : undefined))
    await publish(world, [device], 'Refused')
    await world.settled()
    expect(await receipts(world)).toEqual([['failed', 'The relay does not take it']])
    world.loop.refuseWith(undefined)

    await handUntil(world, device, 1_000)
    await world.hands.advance(1_000)
    world.loop.setConnected(true)
    await world.settled()
    expect(await receipts(world)).toEqual([['failed', 'Expired before delivery']])

    world.loop.setConnected(false)
    await world.hands.advance(1)
    await publish(world, [device], 'Left')
    const owner = accountKey(device.account)
    const { version, record } = await world.store.account(owner)
    const none = { ...record, subscriptions: [] }
    await world.store.commit({ accountKey: owner, expectedVersion: version, record: none, outbox: [] })
    world.loop.setConnected(true)
    await world.settled()
    expect(await receipts(world)).toEqual([['failed', 'No longer subscribed']])
    expect(titles(world, key)).toEqual([])
  })

  it('the relay keeps it no longer than it may be delivered, in whole seconds', async () => {
    await using world = await startNotify()
    const device = world.newDevice()
    const key = await subscribed(world, device)
    const ttls = () =>
      world.loop.published.filter(({ topic }) => topic === topicOf(key)).map(({ ttl }) => ttl)
    await publish(world, [device], 'Long')
    await world.settled()
    await handUntil(world, device, 3_000)
    await handUntil(world, device, 100_000)
    await world.hands.advance(2_500)
    world.loop.setConnected(true)
    await world.settled()
    expect(ttls()).toEqual([2_592_000, 1, 97])
  })
})
