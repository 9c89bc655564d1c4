/** Digests: what subscribers get who want to be told once an hour or once a day. */
import { expect, it } from 'vitest'
import { createDigester } from '../../../src/notify/publish/digests.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import type { Extras } from '../../../src/protocol/notify/extras.ts'
import type { Preferences } from '../../../src/protocol/notify/preferences.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import { DOMAIN, startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import { claimsIn, type Device } from '../support/wallet.ts'

const NEWS = TYPES[0]?.id ?? ''
const HOUR = 3_600_000
const QUEUE = 'notify digests'

/** Nothing before eight. */
const night = (digest: 'hourly' | 'daily'): Preferences => ({
  ...{ digest, quiet: { from: '22:00', to: '08:00', timeZone: 'UTC' } },
})

/** It is 00:00 UTC on a 1 January. */
const subscribed = async (world: TestNotify, prf: Preferences | undefined, device = world.newDevice()) => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  const views: View[] = Object(claims).sbs
  const key = fromHex(views[0]?.symKey ?? '')
  if (prf) await update(world, device, key, prf)
  return { device, key }
}
const update = async (world: TestNotify, device: Device, key: Uint8Array, prf?: Preferences | null) =>
  (await world.ask(device.ask(4008, world.app, key, { scp: NEWS, ...(prf !== undefined && { prf }) }))).claims
    .sbs
const publish = async (world: TestNotify, device: Device, title: string, extras?: Extras) => {
  const notification = { type: NEWS, title, body: 'Body', icon: null, url: null, ...(extras && { extras }) }
  await world.publishing.notify(world.project.id, [{ notification, accounts: [device.account] }])
  await world.settled()
  // The next one is younger.
  await world.hands.advance(1)
}
interface Message {
  id: string
  title: string
  body: string
  sent_at: number
  digest?: { count: number; ids: string[] }
}
const messages = (world: TestNotify, key: Uint8Array) =>
  world.publishedOn(topicOf(key), 4002, key).map(({ rpc, prompt, ttl }) => {
    const msg: Message = Object(claimsIn(rpc)).msg
    return { ...msg, prompt, ttl }
  })
const digests = (world: TestNotify, key: Uint8Array) => messages(world, key).filter((one) => one.digest)
const planned = (world: TestNotify, device: Device) =>
  world.jobQueue.list(QUEUE, { group: accountKey(device.account), dead: false, limit: 100 })
/** The clock leaps there, and what is due then for the devices has been done. */
const until = async (world: TestNotify, at: number, ...devices: Device[]) => {
  await world.hands.advance(at - world.clock.now())
  await eventually(async () => {
    const jobs = await Promise.all(devices.map((device) => planned(world, device)))
    if (jobs.flat().every((job) => job.at > at)) return
    // A worker that looked a moment too early looks again.
    await world.hands.advance(100)
    throw new Error('a digest is due')
  })
  await world.settled()
}
const historyOf = async (world: TestNotify, device: Device, key: Uint8Array) => {
  const page = await world.ask(device.ask(4014, world.app, key, { lmt: 50, aft: null, urf: false }))
  return Object(page.claims).nfs as { id: string; title: string; is_read: boolean }[]
}

it('what comes wakes nobody, and one message an hour tells of it, which is in no history', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'hourly' })
  await publish(world, device, 'One')
  await publish(world, device, 'Two')
  await publish(world, device, 'Now', { priority: 'urgent' })
  await publish(world, device, 'Hush', { silent: true })
  expect(messages(world, key).map(({ title, prompt }) => [title, prompt])).toEqual([
    ['One', false],
    ['Two', false],
    ['Now', true],
    ['Hush', false],
  ])
  await until(world, start + HOUR, device)
  await eventually(() => expect(digests(world, key)).toHaveLength(1))
  const before = await historyOf(world, device, key)
  const idOf = (title: string) => before.find((one) => one.title === title)?.id
  expect(digests(world, key)[0]).toMatchObject({
    ...{ prompt: true, sent_at: start + HOUR, title: world.app.domain, body: '2 new\nTwo\nOne' },
    digest: { count: 2, ids: [idOf('Two'), idOf('One')] },
  })
  expect(before.map(({ title }) => title).sort()).toEqual(['Hush', 'Now', 'One', 'Two'])
  const [view] = Object(await update(world, device, key))
  expect(view).toMatchObject({ unreadNotificationCount: 4, preferences: { digest: 'hourly' } })

  // Nothing new, though all is unread still.
  await until(world, start + 2 * HOUR, device)
  await publish(world, device, 'Three')
  await until(world, start + 3 * HOUR, device)
  await eventually(() => expect(digests(world, key)).toHaveLength(2))
  expect(digests(world, key)[1]?.body).toBe('1 new\nThree')
  expect(digests(world, key)[1]?.id).not.toBe(digests(world, key)[0]?.id)
})

it('nothing that was read is told of', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'hourly' })
  await publish(world, device, 'One')
  await world.ask(device.ask(4016, world.app, key, { all: true }))
  await until(world, start + HOUR, device)
  await until(world, start + 2 * HOUR, device)
  expect(digests(world, key)).toEqual([])
  expect(await planned(world, device)).toMatchObject([{ at: start + 3 * HOUR }])
})

it('a digest of quiet hours waits for their end, and the daily one comes at eight where the account is', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const quiet = { from: '22:00', to: '06:30', timeZone: 'UTC' }
  const night = await subscribed(world, { digest: 'hourly', quiet })
  const daily = await subscribed(world, { digest: 'daily', timeZone: 'Europe/Vienna' })
  for (const { device } of [night, daily]) await publish(world, device, 'One')
  expect(await planned(world, night.device)).toMatchObject([{ at: start + 6.5 * HOUR }])
  await until(world, start + 6.5 * HOUR, night.device)
  await eventually(() => expect(digests(world, night.key)).toHaveLength(1))
  expect(digests(world, daily.key)).toEqual([])
  expect(await planned(world, night.device)).toMatchObject([{ at: start + 7 * HOUR }])
  await until(world, start + 7 * HOUR, night.device, daily.device)
  await eventually(() => expect(digests(world, daily.key)).toHaveLength(1))
  expect(await planned(world, daily.device)).toMatchObject([{ at: start + 31 * HOUR }])
  expect(digests(world, night.key)).toHaveLength(1)
})

it('is sent once by two processes, and once over a death after the digest and the next job are kept, and before the job is done', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'hourly' })
  await publish(world, device, 'One')
  const { store, jobQueue, clock, recorder } = world
  const second = createDigester({ store, jobQueue, clock, log: recorder.log, meter: recorder.meter })
  const [job] = await planned(world, device)
  await until(world, start + HOUR, device)
  await eventually(() => expect(digests(world, key)).toHaveLength(1))
  await second[Symbol.asyncDispose]()
  const [first] = digests(world, key)
  expect(await planned(world, device)).toMatchObject([{ at: start + 2 * HOUR }])

  // As if the process had died before the job was done: the same id comes again, and the next slot is planned once.
  if (!job) throw new Error('it was planned')
  await world.restart()
  await world.jobQueue.add([job])
  await until(world, world.clock.now() + 2_000, device)
  const again = await eventually(() => {
    expect(digests(world, key)).toHaveLength(1)
    return digests(world, key)
  })
  expect(again[0]).toMatchObject({ id: first?.id, sent_at: start + HOUR })
  expect(await planned(world, device)).toMatchObject([{ at: start + 2 * HOUR }])
})

it('what came while no process ran is told of when one runs again, in one message', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'hourly' })
  await publish(world, device, 'One')
  await world.restart(() => world.hands.advance(5.5 * HOUR))
  await eventually(() => expect(digests(world, key)).toHaveLength(1))
  await eventually(async () => expect(await planned(world, device)).toMatchObject([{ at: start + 6 * HOUR }]))
})

it('ends with the preference and with the subscription; another update leaves it as it is', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const off = await subscribed(world, { digest: 'hourly' })
  const gone = await subscribed(world, { digest: 'hourly' })
  const slower = await subscribed(world, { digest: 'hourly' })
  const kept = await subscribed(world, { digest: 'hourly' })
  const all = [off, gone, slower, kept]
  for (const { device } of all) await publish(world, device, 'One')
  expect(await update(world, off.device, off.key, { digest: 'off' })).not.toMatchObject([{ preferences: {} }])
  await world.ask(gone.device.ask(4004, world.app, gone.key))
  await update(world, slower.device, slower.key, { digest: 'daily' })
  expect(await update(world, kept.device, kept.key)).toMatchObject([{ preferences: { digest: 'hourly' } }])
  await until(world, start + HOUR, ...all.map(({ device }) => device))
  await eventually(() => expect(digests(world, kept.key)).toHaveLength(1))
  for (const { key } of [off, gone, slower]) expect(digests(world, key)).toEqual([])
  const counts = await Promise.all(all.map(async ({ device }) => (await planned(world, device)).length))
  expect(counts).toEqual([0, 0, 1, 1])
  // What is off wakes as before.
  await publish(world, off.device, 'Two')
  expect(messages(world, off.key).at(-1)).toMatchObject({ title: 'Two', prompt: true })
})

it.each<[string, Preferences, Preferences]>([
  ['is the first slot of another', { digest: 'daily' }, { digest: 'hourly' }],
  ['comes at the end of other quiet hours', { digest: 'daily' }, night('hourly')],
  ['was put off by quiet hours that are no more', night('hourly'), { digest: 'daily' }],
])('goes on where the slot of a preference that changed %s', async (_, before, after) => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, before)
  expect(await planned(world, device)).toMatchObject([{ at: start + 8 * HOUR }])
  await world.hands.advance(7.25 * HOUR)
  await update(world, device, key, after)
  await publish(world, device, 'One')
  await until(world, start + 8 * HOUR, device)
  await eventually(() => expect(digests(world, key)).toHaveLength(1))
  expect(await planned(world, device)).toHaveLength(1)
})

it('tells nothing twice at a slot that another preference had planned', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'daily' })
  await world.hands.advance(5.25 * HOUR)
  await update(world, device, key, { digest: 'hourly' })
  await publish(world, device, 'One')
  for (const hour of [6, 7, 8, 9]) await until(world, start + hour * HOUR, device)
  expect(digests(world, key).map(({ body }) => body)).toEqual(['1 new\nOne'])
  expect(await planned(world, device)).toMatchObject([{ at: start + 10 * HOUR }])
})

it('an account is shown its digests, and none is left when it is erased', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device } = await subscribed(world, { digest: 'hourly' })
  const key = accountKey(device.account)
  expect((await world.server.accountData.export(key)).digests).toEqual([{ domain: DOMAIN, at: start + HOUR }])
  await world.server.accountData.erase(key)
  expect((await world.server.accountData.export(key)).digests).toEqual([])
  expect(await planned(world, device)).toEqual([])
})

it('waits while the outbox is long', async () => {
  await using world = await startNotify()
  const start = world.clock.now()
  const { device, key } = await subscribed(world, { digest: 'hourly' })
  await publish(world, device, 'One')
  world.loop.setConnected(false)
  const owner = accountKey(device.account)
  const { version, record } = await world.store.account(owner)
  const outbox = Array.from({ length: 400 }, (_, at) => ({
    ...{ id: `leave:${at}`, task: { kind: 'leave' as const, topic: `${at}` } },
    ...{ createdAt: start, expiresAt: start + 30 * 24 * HOUR },
  }))
  await world.store.commit({ accountKey: owner, expectedVersion: version, record, outbox })
  await world.hands.advance(start + HOUR - world.clock.now())
  await eventually(async () =>
    expect(await planned(world, device)).toMatchObject([{ at: start + HOUR + 5_000, attempts: 0 }]),
  )
  world.loop.setConnected(true)
  await world.settled()
  await until(world, start + HOUR + 6_000, device)
  await eventually(() => expect(digests(world, key)).toHaveLength(1))
})

it('an account that changes its digest all the time is stopped, and its slots are few', async () => {
  await using world = await startNotify()
  const { device, key } = await subscribed(world, undefined)
  const minute = (at: number) => `0${Math.floor(at / 60)}:${String(at % 60).padStart(2, '0')}`
  const wish = (at: number): Preferences => ({
    ...{ digest: 'hourly', quiet: { from: '00:00', to: minute(at + 100), timeZone: 'UTC' } },
  })
  for (let at = 0; at < 26; at++) await update(world, device, key, wish(at))
  const refused = await world.ask(device.ask(4008, world.app, key, { scp: NEWS, prf: wish(99) }))
  expect(refused.rpc).toMatchObject({ kind: 'failure' })
  expect(await planned(world, device)).toHaveLength(26)
})
