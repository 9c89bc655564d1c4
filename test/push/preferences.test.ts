/** What a device may ask for: quiet hours, tags, a hidden push, an endpoint of UnifiedPush. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sealType0 } from '../../src/protocol/envelope.ts'
import { generateSymKey } from '../../src/protocol/keys.ts'
import { messageIdOf, topicOf } from '../../src/protocol/topic.ts'
import { forwardClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const PROJECT = 'default'
const NOTIFICATION = 4002
const SESSION_REQUEST = 1108
const HOUR = 3_600_000

const clock = forwardClock()
let push: PushWorld
beforeAll(async () => {
  push = await startPushWorld({ clock })
})
afterAll(() => push[Symbol.asyncDispose]())

/** A client that is subscribed and not connected, with a device at a push service. */
const withDevice = async (preferences: object = {}, kind: 'webpush' | 'unifiedpush' = 'webpush') => {
  const client = push.wallet()
  const key = generateSymKey()
  const topic = topicOf(key)
  await using relay = push.connect(client)
  await relay.subscribe([topic])
  const subscription = push.web.subscribe()
  const answer = await push.device(PROJECT, client, { target: { [kind]: subscription }, ...preferences })
  expect(answer).toMatchObject({ status: 200 })
  const pushes = () => push.web.pushes.filter((one) => one.endpoint === subscription.endpoint)
  return {
    ...{ client, topic, pushes },
    send: async (text: string, tag = NOTIFICATION) => {
      const message = sealType0({ key, plaintext: text })
      await push.connect(push.wallet()).publish({ topic, message, tag, ttl: 86_400 })
      return messageIdOf(message)
    },
    /** Ids of the messages of each push. */
    pushed: () =>
      pushes().map(({ text }): string[] => JSON.parse(text).messages.map(({ id }: { id: string }) => id)),
  }
}

const clockTime = (at: number) => new Date(at).toISOString().slice(11, 16)

describe('a device', () => {
  it('of UnifiedPush gets at its endpoint what a browser gets', async () => {
    const device = await withDevice({}, 'unifiedpush')
    const id = await device.send('Hello')
    await eventually(() => expect(device.pushed()).toEqual([[id]]))
    const [{ headers } = { headers: {} }] = device.pushes()
    expect(headers).toMatchObject({ 'content-encoding': 'aes128gcm', urgency: 'high' })
    const known = await push.world.stores.push.devices([device.client.did], clock.now())
    expect(known).toMatchObject([{ address: { provider: 'unifiedpush' } }])
  })

  it('of UnifiedPush whose endpoint is gone ends', async () => {
    const device = await withDevice({}, 'unifiedpush')
    const known = () => push.world.stores.push.devices([device.client.did], clock.now())
    const [{ address } = { address: undefined }] = await known()
    if (!address || !('endpoint' in address)) throw new Error('no endpoint')
    push.web.of.set(address.endpoint, { status: 410 })
    await device.send('Hello')
    await eventually(async () => expect(await known()).toEqual([]))
  })

  it('that asks for some tags gets no others', async () => {
    const device = await withDevice({ tags: [SESSION_REQUEST] })
    const all = await withDevice()
    await device.send('a notification')
    const request = await device.send('a request', SESSION_REQUEST)
    const [one, two] = [await all.send('a notification'), await all.send('a request', SESSION_REQUEST)]
    await eventually(() => expect(all.pushed().flat()).toEqual([one, two]))
    await eventually(() => expect(device.pushed()).toEqual([[request]]))
  })

  it('with a hidden push gets one of three sizes at the push service, whatever is in it', async () => {
    const device = await withDevice({ hidden: true })
    const sizes: number[] = []
    for (const length of [10, 200, 900, 2_000]) {
      await device.send('x'.repeat(length))
      await eventually(() => expect(device.pushes()).toHaveLength(sizes.length + 1))
      sizes.push(device.pushes().at(-1)?.body.length ?? 0)
    }
    expect(sizes).toEqual([1_024, 1_024, 2_048, 4_096])
  })

  it('is left alone in its quiet hours, and gets what came meanwhile together when they end', async () => {
    // They began a minute ago, and end within an hour.
    const [from, to] = [clockTime(clock.now() - 60_000), clockTime(clock.now() + HOUR - 60_000)]
    const device = await withDevice({ quiet: { from, to, timeZone: 'UTC' } })
    const waked = await withDevice()
    const ids = [await device.send('first'), await device.send('a request', SESSION_REQUEST)]
    const waiting = async () => {
      const [known] = await push.world.stores.push.devices([device.client.did], clock.now())
      const name = { clientId: device.client.did, deviceId: known?.id ?? '', projectId: PROJECT }
      return push.world.stores.push.waitingFor({ ...name, provider: 'webpush' })
    }
    await eventually(async () => expect(clockTime((await waiting())?.at ?? 0)).toBe(to))
    await waked.send('meanwhile')
    await eventually(() => expect(waked.pushed()).toHaveLength(1))
    expect(device.pushed()).toEqual([])
    clock.forward(HOUR)
    await eventually(() => expect(device.pushed()).toEqual([ids]))
    await eventually(async () => expect(await waiting()).toBeUndefined())
  })

  it('that ends its quiet hours gets at once what waits', async () => {
    const [from, to] = [clockTime(clock.now() - 60_000), clockTime(clock.now() + HOUR)]
    const device = await withDevice({ quiet: { from, to, timeZone: 'UTC' } })
    const id = await device.send('first')
    const known = await push.world.stores.push.devices([device.client.did], clock.now())
    const [{ address } = { address: undefined }] = known
    if (!address || !('endpoint' in address)) throw new Error('no endpoint')
    const { endpoint, p256dh, auth } = address
    await eventually(async () => {
      const queue = { projectId: PROJECT, provider: 'webpush' } as const
      const name = { clientId: device.client.did, deviceId: known[0]?.id ?? '' }
      expect((await push.world.stores.push.waitingFor({ ...queue, ...name }))?.at).toBeGreaterThan(
        clock.now(),
      )
    })
    const target = { webpush: { endpoint, keys: { p256dh, auth } } }
    expect(await push.device(PROJECT, device.client, { target })).toMatchObject({ status: 200 })
    await eventually(() => expect(device.pushed()).toEqual([[id]]))
  })
})
