import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/protocol/bytes.ts'
import { openEnvelope, parseEnvelope, sealType0 } from '../../src/protocol/envelope.ts'
import {
  deriveSymKey,
  generateAgreementKey,
  generateSymKey,
  type SigningKey,
} from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { eventually } from '../support/eventually.ts'
import { giveCredentials, type PushWorld, startPushWorld } from '../support/push/push-world.ts'

const NOTIFICATION = 4002
const PROJECT = 'wallets'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe('push in the house', () => {
  let push: PushWorld
  const publisher = () => push.connect(push.wallet())

  beforeAll(async () => {
    push = await startPushWorld()
    await giveCredentials(push.world, PROJECT, push)
  })
  afterAll(() => push[Symbol.asyncDispose]())

  /** A client that is subscribed to a topic and not connected. */
  const offline = async (): Promise<{ client: SigningKey; topic: string; key: Uint8Array }> => {
    const client = push.wallet()
    const key = generateSymKey()
    const topic = topicOf(key)
    const relay = push.connect(client)
    await relay.subscribe([topic])
    await relay[Symbol.asyncDispose]()
    return { client, topic, key }
  }
  const pushed = (token: string) => push.fcm.pushes.filter((one) => one.token === token)

  it('hands a message for a client that is offline to FCM as published, and whoever has the key reads it', async () => {
    const { client, topic, key } = await offline()
    expect(await push.register(PROJECT, client, 'fcm', 'token-1')).toBe(200)
    const message = sealType0({ key, plaintext: 'Hello' })
    await publisher().publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    await eventually(() => expect(pushed('token-1')).toHaveLength(1))
    const data = pushed('token-1')[0]?.data ?? {}
    expect(data).toEqual({ topic, tag: '4002', message })
    expect(openEnvelope(parseEnvelope(data.message ?? ''), key)).toBe('Hello')
  })

  it('pushes nothing that a connected client acknowledges, and what it does not after half a second', async () => {
    const { client, topic, key } = await offline()
    await push.register(PROJECT, client, 'fcm_v1', 'token-2')
    let isAnswering = true
    const received: string[] = []
    const relay = push.connect(client, async ({ message }) => {
      received.push(message)
      if (!isAnswering) await new Promise(() => {})
    })
    await relay.ready()
    await eventually(async () =>
      expect(await push.world.stores.push.connections([client.did])).toHaveLength(1),
    )
    const from = publisher()
    const answered = Array.from({ length: 5 }, (_, at) => sealType0({ key, plaintext: `answered ${at}` }))
    for (const message of answered) {
      await from.publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
      await eventually(() => expect(received.at(-1)).toBe(message))
    }
    isAnswering = false
    const last = sealType0({ key, plaintext: 'not answered' })
    await from.publish({ topic, message: last, tag: NOTIFICATION, ttl: 300 })
    const messages = () => pushed('token-2').map(({ data }) => data.message)
    await eventually(() => expect(messages()).toContain(last))
    // A machine that stands still for half a second has one of them pushed, but not all.
    expect(answered.filter((message) => messages().includes(message)).length).toBeLessThan(answered.length)
  })

  it('wakes for what its tag says, never for what must not prompt', async () => {
    const { client, topic, key } = await offline()
    await push.register(PROJECT, client, 'fcm', 'token-3')
    const from = publisher()
    const message = (plaintext: string) => sealType0({ key, plaintext })
    await from.publish({ topic, message: message('update'), tag: 4012, ttl: 300 })
    await from.publish({ topic, message: message('answer'), tag: 1109, ttl: 300, prompt: true })
    await from.publish({ topic, message: message('quiet'), tag: NOTIFICATION, ttl: 300, prompt: false })
    await from.publish({ topic, message: message('other'), tag: 7000, ttl: 300, prompt: true })
    await from.publish({ topic, message: message('request'), tag: 1108, ttl: 300 })
    await eventually(() => expect(pushed('token-3')).toHaveLength(2))
    expect(pushed('token-3').map(({ data }) => data.tag)).toEqual(['7000', '1108'])
  })

  it('has one push a device under way, and the last eight messages go together then', async () => {
    const { client, topic, key } = await offline()
    const subscription = push.web.subscribe()
    expect(await push.device(PROJECT, client, { target: { webpush: subscription } })).toMatchObject({
      status: 200,
    })
    const { endpoint } = subscription
    push.web.of.set(endpoint, { status: 503 })
    const from = publisher()
    const messages = Array.from({ length: 12 }, (_, at) => sealType0({ key, plaintext: `text ${at}` }))
    for (const message of messages) await from.publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    // A try that began before the last message came may be on its way: the next one has all.
    const tries = push.web.refused(endpoint)
    await eventually(() => expect(push.web.refused(endpoint)).toBeGreaterThan(tries))
    push.web.of.delete(endpoint)
    const own = () => push.web.pushes.filter((one) => one.endpoint === endpoint)
    await eventually(() => expect(own()).toHaveLength(1))
    const said = JSON.parse(own()[0]?.text ?? '')
    expect(said.messages.map(({ id }: { id: string }) => id)).toEqual(messages.slice(-8).map(sha256))
    expect(said.more).toBe(4)
  })

  it('shows a provider nothing of a hidden push but one of three sizes', async () => {
    const { client, topic, key } = await offline()
    const device = generateAgreementKey()
    const wanted = { target: { fcm: { token: 'token-4' } }, hidden: true, sealKey: toHex(device.publicKey) }
    expect(await push.device(PROJECT, client, wanted)).toMatchObject({ status: 200 })
    const message = sealType0({ key, plaintext: 'Hello' })
    await publisher().publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    await eventually(() => expect(pushed('token-4')).toHaveLength(1))
    const data = pushed('token-4')[0]?.data ?? {}
    expect(Object.keys(data)).toEqual(['sealed'])
    const bytes = JSON.stringify(data).length
    expect(bytes > 1_020 && bytes <= 1_024).toBe(true)
    const envelope = parseEnvelope(data.sealed ?? '')
    if (envelope.type !== 1) throw new Error('not of type 1')
    const opened = openEnvelope(envelope, deriveSymKey(device.privateKey, envelope.senderPublicKey))
    expect(JSON.parse(opened)).toEqual({
      v: 1,
      messages: [{ topic, id: sha256(message), tag: NOTIFICATION, message }],
      more: 0,
    })
  })

  it('names a message that is too large, for the device to fetch', async () => {
    const { client, topic, key } = await offline()
    await push.register(PROJECT, client, 'apns', 'abcdef')
    const message = sealType0({ key, plaintext: 'x'.repeat(6_000) })
    await publisher().publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    await eventually(() => expect(push.apns.pushes).toHaveLength(1))
    const { aps: _, ...custom } = push.apns.pushes[0]?.payload ?? {}
    expect(custom).toEqual({ topic, tag: NOTIFICATION, id: sha256(message) })
  })

  it('ends a registration whose token is gone', async () => {
    const { client, topic, key } = await offline()
    await push.register(PROJECT, client, 'fcm', 'token-5')
    push.fcm.of.set('token-5', { status: 404, reason: 'UNREGISTERED' })
    await publisher().publish({
      topic,
      message: sealType0({ key, plaintext: '1' }),
      tag: NOTIFICATION,
      ttl: 300,
    })
    await eventually(async () =>
      expect(await push.world.stores.push.devices([client.did], Date.now())).toEqual([]),
    )
  })

  it('keeps what waits over a restart', async () => {
    const { client, topic, key } = await offline()
    await push.register(PROJECT, client, 'fcm', 'token-6')
    push.fcm.of.set('token-6', { status: 503 })
    const message = sealType0({ key, plaintext: 'later' })
    await publisher().publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    await push.world.restart()
    push.fcm.of.delete('token-6')
    await eventually(() => expect(pushed('token-6').map(({ data }) => data.message)).toEqual([message]))
  })

  it('stops a provider that refuses the credentials, until others are set, and then what waited goes out', async () => {
    const project = 'stopped'
    await giveCredentials(push.world, project, push)
    const { client, topic, key } = await offline()
    await push.register(project, client, 'fcm', 'token-7')
    push.fcm.of.set('token-7', { status: 403 })
    const message = sealType0({ key, plaintext: 'held' })
    await publisher().publish({ topic, message, tag: NOTIFICATION, ttl: 300 })
    const tenant = () => push.world.http('GET', `/tenants/${project}`, { token: push.world.adminToken })
    await eventually(async () => expect((await tenant()).body).toMatchObject({ suspended: true }))
    push.fcm.of.delete('token-7')
    await giveCredentials(push.world, project, push)
    await eventually(() => expect(pushed('token-7').map(({ data }) => data.message)).toEqual([message]))
    expect((await tenant()).body).toMatchObject({ suspended: false, apns_topic: 'org.example.wallet' })
  })
})
