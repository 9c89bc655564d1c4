/** What an account is shown, and what is erased of it, while a notification to several is on its way. */
import { expect, it } from 'vitest'
import { deliveredIdOf } from '../../../src/notify/ids.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { accountKey } from '../../../src/protocol/caip.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { eventually } from '../../support/eventually.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import type { Device } from '../support/wallet.ts'

const NEWS = TYPES[0]?.id ?? ''

const subscribed = async (world: TestNotify, device: Device) => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  const views: View[] = Object(claims).sbs
  return fromHex(views[0]?.symKey ?? '')
}

/** Two subscribers of a notification that the relay has not acknowledged. */
const underWay = async (world: TestNotify) => {
  const [one, other] = [world.newDevice(), world.newDevice()]
  await subscribed(world, one)
  const key = await subscribed(world, other)
  await world.settled()
  const held = world.loop.hold()
  const notification = { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null }
  await world.publishing.notify(world.project.id, [
    { notification, notificationId: 'n', accounts: [one.account, other.account] },
  ])
  await eventually(() => expect(held.held).toBe(2))
  return { one, other, key, held }
}

it('an account is not shown who else gets what it gets', async () => {
  await using world = await startNotify()
  const { one, other, held } = await underWay(world)
  const { outbox } = await world.server.accountData.export(accountKey(one.account))
  expect(outbox).toMatchObject([
    { task: { kind: 'notifications', targets: [{ accountKey: accountKey(one.account) }] } },
  ])
  expect(JSON.stringify(outbox)).not.toContain(accountKey(other.account))
  held.release()
  await world.settled()
})

it('an account is shown what it answered and prefers, and nothing of it is left when it is erased', async () => {
  await using world = await startNotify()
  const [one, other] = [world.newDevice(), world.newDevice()]
  const actions = [{ id: 'yes', title: 'Yes', answer: true }] as const
  const notification = { type: NEWS, title: 'Vote', body: 'Body', icon: null, url: null, extras: { actions } }
  const quiet = { from: '22:00', to: '07:00', timeZone: 'UTC' }
  for (const device of [one, other]) {
    const key = await subscribed(world, device)
    await world.ask(device.ask(4008, world.app, key, { scp: NEWS, prf: { quiet } }))
    const message = { notification, notificationId: 'vote', accounts: [device.account] }
    await world.publishing.notify(world.project.id, [message])
    await world.settled()
    const { record } = await world.store.account(accountKey(device.account))
    const nid = deliveredIdOf(record.subscriptions[0]?.id ?? '', 'vote')
    await world.ask(device.ask(4018, world.app, key, { nid, aid: 'yes' }))
  }
  const keys = [one, other].map(({ account }) => accountKey(account))
  const vote = await world.store.notification(world.project.id, world.app.domain, 'vote')
  if (!vote) throw new Error('It was sent')
  const push = { state: 'pushed', provider: 'apns', at: world.clock.now() } as const
  for (const key of keys) await world.store.notePush(vote, key, push)
  const shown = await world.server.accountData.export(accountKey(one.account))
  expect(shown.answers).toEqual([
    { domain: world.app.domain, notificationId: 'vote', action: 'yes', at: world.clock.now() },
  ])
  expect(shown.subscriptions).toMatchObject([{ account: one.account, types: [NEWS], preferences: { quiet } }])
  expect(JSON.stringify(shown.subscriptions)).not.toContain('"key"')

  await world.server.accountData.erase(accountKey(one.account))
  expect((await world.server.accountData.export(accountKey(one.account))).answers).toEqual([])
  expect(await world.store.answerCounts(vote, ['yes'])).toEqual({ yes: 1 })
  expect(await world.store.pushesOf(vote, keys)).toEqual(new Map([[accountKey(other.account), push]]))
})

it('erasing an account takes from nobody else what is being sent', async () => {
  await using world = await startNotify()
  const { one, other, key, held } = await underWay(world)
  const erased = world.server.accountData.erase(accountKey(one.account))
  let isOver = false
  void erased.then(() => {
    isOver = true
  })
  // The relay answers nothing for as long as erasing waits.
  await eventually(async () => {
    await world.hands.advance(1_000)
    expect(isOver).toBe(true)
  })
  expect(await erased).toMatchObject({ subscriptions: 1, unsent: 0 })
  held.release()
  await world.settled()
  expect(world.publishedOn(topicOf(key), 4002, key)).toHaveLength(1)
  const of = { projectId: world.project.id, domain: world.app.domain, id: 'n' }
  expect(await world.store.receipts(of, { limit: 9 })).toMatchObject([
    { account: other.account, state: 'published' },
  ])
  const { outbox, subscriptions } = await world.server.accountData.export(accountKey(one.account))
  expect([outbox, subscriptions]).toEqual([[], []])
  expect((await world.server.accountData.export(accountKey(other.account))).subscriptions).toHaveLength(1)
})
