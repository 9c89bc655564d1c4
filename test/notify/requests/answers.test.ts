/** An answer takes effect once, however often its request comes, and no longer than its notification lasts. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { deliveredIdOf } from '../../../src/notify/ids.ts'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { accountKey as keyOf } from '../../../src/protocol/caip.ts'
import { sealType0 } from '../../../src/protocol/envelope.ts'
import { rpcRequest } from '../../../src/protocol/jsonrpc.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import type { Device } from '../support/wallet.ts'

let world: TestNotify
beforeAll(async () => {
  world = await startNotify()
})
afterAll(() => world[Symbol.asyncDispose]())

const [NEWS = ''] = TYPES.map(({ id }) => id)
const actions = [
  { id: 'yes', title: 'Yes', answer: true },
  { id: 'no', title: 'No', answer: true },
] as const

/** A subscriber who was asked, and a message that says this to it. */
const asked = async (notificationId: string) => {
  const device = world.newDevice()
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  const key = fromHex((claims.sbs as View[])[0]?.symKey ?? '')
  const content = { type: NEWS, title: 'Vote', body: 'Shall we?', icon: null, url: null, extras: { actions } }
  const message = { accounts: [device.account], notification: content, notificationId }
  await world.publishing.notify(world.project.id, [message])
  await world.settled()
  const accountKey = keyOf(device.account)
  const { record } = await world.store.account(accountKey)
  const nid = deliveredIdOf(record.subscriptions[0]?.id ?? '', notificationId)
  const say = (aid: string) => device.ask(4018, world.app, key, { nid, aid })
  return { device, key, nid, say, accountKey }
}
const answersOf = async (id: string, accountKey: string) => {
  const notification = await world.store.notification(world.project.id, world.app.domain, id)
  if (!notification) throw new Error('It is not kept')
  return (await world.store.answersOf(notification, [accountKey])).get(accountKey)
}
const failureOf = async (sent: ReturnType<Device['ask']>) => (await world.ask(sent)).rpc

it('the same message many times at once is one answer, and answered once', async () => {
  const { say, accountKey } = await asked('many')
  const sent = say('yes')
  await Promise.all(Array.from({ length: 20 }, () => world.loop.deliver(sent)))
  await world.settled()
  expect(world.publishedOn(sent.answerTopic, 4019, sent.key)).toHaveLength(1)
  expect(await answersOf('many', accountKey)).toMatchObject({ action: 'yes' })
})

it('an answer that was kept before its process died is told when the relay delivers the request again', async () => {
  const { say, accountKey, device, key, nid } = await asked('died')
  const claims = device.claims(4018, world.app.did, { app: `did:web:${world.app.domain}`, nid, aid: 'no' })
  const jwt = signJwt(claims, device.identity)
  const notification = await world.store.notification(world.project.id, world.app.domain, 'died')
  if (!notification) throw new Error('It is not kept')
  const half = { action: 'no', at: world.clock.now(), jwt, cacao: '{}', subscriptionId: 'any' }
  await world.store.keepAnswer(notification, accountKey, half)
  const text = rpcRequest('1795200000000001', 'wc_notifyAnswer', { auth: jwt })
  const sent = { ...say('no'), message: sealType0({ key, plaintext: text }), rpcId: '1795200000000001' }
  expect((await world.ask(sent)).rpc.kind).toBe('result')
  expect(await answersOf('died', accountKey)).toEqual(half)
})

it('a JWT counts once: whoever copies it into another message is refused', async () => {
  const { device, key, nid } = await asked('copied')
  const claims = device.claims(4018, world.app.did, { app: `did:web:${world.app.domain}`, nid, aid: 'yes' })
  const jwt = signJwt(claims, device.identity)
  const send = (rpcId: string) => {
    const { text } = device.request(4018, jwt, rpcId)
    return device.sendOn(4018, key, text, rpcId)
  }
  expect((await world.ask(send('1795200000000011'))).rpc.kind).toBe('result')
  expect((await world.ask(send('1795200000000012'))).rpc).toMatchObject({
    kind: 'failure',
    message: expect.stringContaining('used before'),
  })
})

it('a JWT that is too large to be kept is refused', async () => {
  const { device, key, nid } = await asked('large')
  const padded = device.ask(4018, world.app, key, { nid, aid: 'yes', padding: 'x'.repeat(4_096) })
  expect(await failureOf(padded)).toMatchObject({ message: 'The message is too large' })
})

it('after the notification has expired it is refused, and nothing of it is kept', async () => {
  await world.apps.projects.set(world.project.id, { retentionDays: 1 })
  const { say, accountKey } = await asked('late')
  await world.hands.advance(86_400_000)
  expect(await failureOf(say('yes'))).toMatchObject({
    kind: 'failure',
    message: 'There is no such notification in this subscription',
  })
  for await (const one of world.store.accountAnswers(accountKey, 0)) throw new Error(one.answer.action)
})
