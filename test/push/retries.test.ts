/** When a push that was put off comes again, and for whom one goes out that two clients registered for. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sealType0 } from '../../src/protocol/envelope.ts'
import { generateSymKey, type SigningKey } from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import type { Device } from '../../src/push/store.ts'
import { forwardClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { giveCredentials, type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const PROJECT = 'wallets'
const MINUTE = 60_000

const clock = forwardClock()
let push: PushWorld
beforeAll(async () => {
  push = await startPushWorld({ clock })
  await giveCredentials(push.world, PROJECT, push)
})
afterAll(() => push[Symbol.asyncDispose]())

const key = generateSymKey()
const topic = topicOf(key)

const offline = async (): Promise<SigningKey> => {
  const client = push.wallet()
  await using relay = push.connect(client)
  await relay.subscribe([topic])
  return client
}
const notify = (text: string, ttl = 86_400) =>
  push.connect(push.wallet()).publish({ topic, message: sealType0({ key, plaintext: text }), tag: 4002, ttl })
const pushedTo = (token: string) => push.fcm.pushes.filter((one) => one.token === token)

it('it is kept by the provider for as long as the message that lives longest', async () => {
  const client = await offline()
  const { endpoint, keys } = push.web.subscribe()
  // First of all: a token holds for an hour, and the clock leaps.
  const wanted = { target: { webpush: { endpoint, keys } } }
  expect(await push.device(PROJECT, client, wanted)).toMatchObject({ status: 200 })
  push.web.of.set(endpoint, { status: 429, retryAfter: 20 * 60 })
  await notify('short', 7_200)
  const [device] = await push.world.stores.push.devices([client.did], clock.now())
  const waiting = { clientId: client.did, deviceId: device?.id ?? '', projectId: PROJECT }
  const row = () => push.world.stores.push.waitingFor({ ...waiting, provider: 'webpush' })
  await eventually(async () => expect(await row()).toMatchObject({ attempts: 1, takenUntil: 0 }))
  await notify('long')
  expect((await row())?.messages).toHaveLength(2)
  push.web.of.delete(endpoint)
  clock.forward(21 * MINUTE)
  const own = () => push.web.pushes.filter((one) => one.endpoint === endpoint)
  await eventually(() => expect(own()).toHaveLength(1))
  expect(JSON.parse(own()[0]?.text ?? '').messages).toHaveLength(2)
  expect(Number(own()[0]?.headers.ttl)).toBeGreaterThan(7_200)
})

it.each([
  ['after as long as the provider said', 20 * 60, 20],
  ['after an hour at most, whatever the provider said', 1e9, 60],
])('it comes %s', async (_, retryAfter, minutes) => {
  const [late, other] = [await offline(), await offline()]
  const [endpoint, control] = [push.web.subscribe(), push.web.subscribe()]
  await push.device(PROJECT, late, { target: { webpush: endpoint } })
  await push.device(PROJECT, other, { target: { webpush: control } })
  const at = (one: { endpoint: string }) => push.web.pushes.filter((p) => p.endpoint === one.endpoint).length
  push.web.of.set(endpoint.endpoint, { status: 429, retryAfter })
  await notify('first')
  await eventually(() => expect(at(control)).toBe(1))
  await eventually(async () => {
    const [device] = await push.world.stores.push.devices([late.did], clock.now())
    const of = { clientId: late.did, deviceId: device?.id ?? '', projectId: PROJECT }
    const waiting = await push.world.stores.push.waitingFor({ ...of, provider: 'webpush' })
    expect(waiting?.attempts).toBe(1)
  })
  push.web.of.delete(endpoint.endpoint)
  clock.forward((minutes - 5) * MINUTE)
  await notify('second')
  await eventually(() => expect(at(control)).toBe(2))
  expect(at(endpoint)).toBe(0)
  clock.forward(6 * MINUTE)
  await eventually(() => expect(at(endpoint)).toBe(1))
})

it('it comes at once when the credentials are set anew', async () => {
  const client = await offline()
  await push.register(PROJECT, client, 'fcm', 'put-off')
  // Of the device alone: where the provider were down, it would be left alone as well, from a moment that nobody sees.
  const violations = [{ description: 'Device message rate exceeded.' }]
  push.fcm.of.set('put-off', { status: 429, retryAfter: 50 * 60, details: [{ violations }] })
  await notify('put-off')
  const waiting = {
    clientId: client.did,
    deviceId: 'published',
    projectId: PROJECT,
    provider: 'fcm',
  } as const
  await eventually(async () =>
    expect((await push.world.stores.push.waitingFor(waiting))?.at).toBeGreaterThan(clock.now() + 40 * MINUTE),
  )
  push.fcm.of.delete('put-off')
  await giveCredentials(push.world, PROJECT, push)
  await eventually(() => expect(pushedTo('put-off')).toHaveLength(1))
})

it('it goes to the client that a token belongs to, when two have registered it at once', async () => {
  const { push: store } = push.world.stores
  const clients = [await offline(), await offline()]
  const now = clock.now()
  const device: Device = {
    ...{ id: 'd', projectId: PROJECT, address: { provider: 'fcm', token: 'shared' }, form: 'together' },
    ...{ isLegacy: false, isProven: true, expiresAt: now + 60 * MINUTE },
  }
  await Promise.all(clients.map(({ did }) => store.register(did, device, { now, devices: 8 })))
  const control = await offline()
  await push.register(PROJECT, control, 'fcm', 'control')
  await notify('to one of them')
  await eventually(() => expect(pushedTo('control')).toHaveLength(1))
  await eventually(async () =>
    expect(await store.countWaiting({ projectId: PROJECT, provider: 'fcm' })).toBe(0),
  )
  expect(pushedTo('shared')).toHaveLength(1)
})
