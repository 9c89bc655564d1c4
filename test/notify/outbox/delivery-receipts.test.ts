/** What the relay tells about messages that wallets have becomes a receipt. */
import { expect, it } from 'vitest'
import { createDeliveryReceipts } from '../../../src/notify/outbox/delivery-receipts.ts'
import { createSentMessages } from '../../../src/notify/outbox/sent-messages.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { DOMAIN, startNotify, TYPES, type View } from '../../support/world/notify.ts'

const NEWS = TYPES[0]?.id ?? ''

it('a message that a wallet has makes its notification delivered, once', async () => {
  await using world = await startNotify()
  const device = world.newDevice()
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  const views: View[] = Object(claims).sbs
  const topic = topicOf(fromHex(views[0]?.symKey ?? ''))
  const notification = { type: NEWS, title: 'Title', body: 'Body', icon: null, url: null }
  await world.publishing.notify(world.project.id, [
    { notification, notificationId: 'n', accounts: [device.account] },
  ])
  await world.settled()
  const [letter] = world.loop.published.filter((one) => one.topic === topic && one.tag === 4002)
  const told = { topic, message: letter?.message ?? '', at: world.clock.now() + 5 }
  const of = { projectId: world.project.id, domain: DOMAIN, id: 'n' }
  expect(await world.store.receiptCounts(of)).toMatchObject({ published: 1, delivered: 0 })

  // As a process that has sent none of it.
  const delivered = createDeliveryReceipts({ ...world, sent: createSentMessages() })
  // Nobody listens on one of the topics any more, and one message is not ours: they take nothing from the others.
  const others = [
    { ...told, topic: 'ab'.repeat(32) },
    { ...told, message: 'AAAA' },
  ]
  await delivered([...others, told])
  const receipt = { account: device.account, state: 'delivered', at: told.at }
  expect(await world.store.receipts(of, { limit: 10 })).toMatchObject([receipt])
  await delivered([{ ...told, at: told.at + 1 }])
  expect(await world.store.receipts(of, { limit: 10 })).toMatchObject([receipt])
})

it('of what this process sent the receipt follows without a look at the text', () => {
  const sent = createSentMessages()
  const copy = { accountKey: 'a', subscriptionId: 's', domain: 'd', account: 'A', deliveredId: 'c' }
  const message = 'x'.repeat(600) + 'y'.repeat(600)
  sent.note({ topic: 't', message }, copy)
  expect(sent.find({ topic: 't', message })).toEqual(copy)
  expect(sent.find({ topic: 'u', message })).toBeUndefined()
  expect(sent.find({ topic: 't', message: `${message.slice(0, -1)}z` })).toBeUndefined()
  for (let at = 0; at < 40_000; at++) sent.note({ topic: `${at}`, message }, copy)
  expect(sent.find({ topic: 't', message })).toBeUndefined()
})
