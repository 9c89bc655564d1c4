/** The welcome notification, and links in messages, as wallets see them. */
import { expect, it } from 'vitest'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import {
  DOMAIN,
  PUBLIC_URL,
  startNotify,
  type TestNotify,
  TYPES,
  type View,
} from '../../support/world/notify.ts'
import { claimsIn, type Device } from '../support/wallet.ts'

const [NEWS = '', OFFERS = ''] = TYPES.map(({ id }) => id)
const welcome = { enabled: true, type: NEWS, title: 'Welcome', body: 'Good to see you', url: '/start' }

const subscribe = async (world: TestNotify, device: Device, scope = [NEWS]) => {
  const { claims } = await world.ask(device.subscribe(world.app, scope))
  return fromHex((claims.sbs as View[])[0]?.symKey ?? '')
}
const messages = (world: TestNotify, key: Uint8Array) =>
  world
    .publishedOn(topicOf(key), 4002, key)
    .map(({ rpc }) => claimsIn(rpc).msg as { id: string; title: string; url: string })
const historyOf = async (world: TestNotify, device: Device, key: Uint8Array) => {
  const page = await world.ask(device.ask(4014, world.app, key, { lmt: 50, aft: null, urf: false }))
  return page.claims.nfs as { id: string; title: string; body: string; url: string; is_read: boolean }[]
}

it('greets each new subscriber once, with what stands in history and counts as unread', async () => {
  await using world = await startNotify()
  await world.apps.describe(DOMAIN, { welcome })
  const device = world.newDevice()
  const key = await subscribe(world, device)
  await eventually(() => expect(messages(world, key)).toHaveLength(1))
  const [message] = messages(world, key)
  expect(message).toMatchObject({ type: NEWS, title: 'Welcome', body: 'Good to see you', url: '/start' })
  expect(await historyOf(world, device, key)).toMatchObject([
    { id: message?.id, title: 'Welcome', is_read: false },
  ])
  const again = await world.ask(device.subscribe(world.app, [NEWS, OFFERS]))
  expect(again.claims.sbs).toMatchObject([{ unreadNotificationCount: 1 }])
  await world.ask(device.ask(4008, world.app, key, { scp: NEWS }))
  await world.settled()
  expect(messages(world, key)).toHaveLength(1)

  // Who comes back is new.
  await world.ask(device.ask(4004, world.app, key))
  const next = await subscribe(world, device)
  await eventually(() => expect(messages(world, next)).toHaveLength(1))
  expect(messages(world, next)[0]?.id).not.toBe(message?.id)
})

it('says nothing to who does not want its type, when it is off, and when there is none', async () => {
  await using world = await startNotify()
  const keys = [await subscribe(world, world.newDevice())]
  await world.apps.describe(DOMAIN, { welcome })
  keys.push(await subscribe(world, world.newDevice(), [OFFERS]))
  await world.apps.describe(DOMAIN, { welcome: { ...welcome, enabled: false } })
  keys.push(await subscribe(world, world.newDevice()))
  await world.apps.describe(DOMAIN, { welcome: null })
  keys.push(await subscribe(world, world.newDevice()))
  await world.settled()
  expect(keys.flatMap((key) => messages(world, key))).toEqual([])
})

it('greets once when the process dies between any two steps', async () => {
  await using world = await startNotify()
  await world.apps.describe(DOMAIN, { welcome })
  const device = world.newDevice()
  world.loop.setMute(true)
  const sent = device.subscribe(world.app, [NEWS])
  await world.loop.deliver(sent)
  const entry = await eventually(() => {
    const answers = world.publishedOn(sent.answerTopic, 4001, sent.key)
    expect(answers.length).toBeGreaterThan(0)
    return answers[0]
  })
  if (!entry) throw new Error('there is an answer')
  const key = fromHex((claimsIn(entry.rpc).sbs as View[])[0]?.symKey ?? '')
  await eventually(() => expect(messages(world, key).length).toBeGreaterThan(0))
  const [first] = world.publishedOn(topicOf(key), 4002, key)
  // Nothing was ticked off as far as the relay goes: the next process does it all again.
  await world.restart(() => world.hands.advance(60_000))
  await world.settled()
  const repeated = world.publishedOn(topicOf(key), 4002, key)
  expect(repeated.map(({ message }) => message)).toEqual([first?.message])
  expect(await historyOf(world, device, key)).toHaveLength(1)
})

it('messages of an app with links lead by way of the server; histories keep the url', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const key = await subscribe(world, device)
  const send = async (title: string, url: string | null) => {
    await world.publishing.notify(world.project.id, [
      { notification: { type: NEWS, title, body: 'Body', icon: null, url }, accounts: [device.account] },
    ])
    return eventually(() => {
      const found = messages(world, key).find((message) => message.title === title)
      if (!found) throw new Error('not there yet')
      return found
    })
  }
  expect((await send('off', '/there')).url).toBe('/there')
  await world.apps.describe(DOMAIN, { links: true })
  const linked = await send('on', '/there')
  expect(linked.url).toBe(`${PUBLIC_URL}/v1/notification/${linked.id}`)
  expect((await send('none', null)).url).toBe('')
  expect(await world.publishing.linkOf(linked.id, { isClick: true })).toBe(`https://${DOMAIN}/there`)
  const history = await historyOf(world, device, key)
  expect(Object.fromEntries(history.map(({ title, url }) => [title, url]))).toEqual({
    off: '/there',
    on: '/there',
    none: null,
  })
  expect(history.every((one) => !one.is_read)).toBe(true)
})
