/** Watch webhooks of the relay, with real HTTP in and out. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { messageIdOf } from '../../../src/protocol/topic.ts'
import { manualClock } from '../../support/clock.ts'
import { redis } from '../../support/engines.ts'
import { eventually } from '../../support/eventually.ts'
import { type Receiver, startReceiver } from '../../support/receiver.ts'
import { type Engine, lmdb } from '../../support/stores.ts'
import { startWatchRelay } from '../../support/world/relay-webhooks.ts'

const DAY = 86_400
const newTopic = () => randomBytes(32).toString('hex')
const newKey = generateSigningKey
const said = (receiver: Receiver) =>
  receiver.events().map(({ typ, evt }) => `${typ} ${evt.status} ${evt.message}`)
const base64 = (text: string) => Buffer.from(text).toString('base64')

const start = async (engine: Engine, options: Parameters<typeof startWatchRelay>[1] = {}) => {
  const relay = await startWatchRelay(engine, options)
  const now = options.clock?.now
  const receiver = await startReceiver({ signer: () => relay.key.did, ...(now && { now }) })
  const hook = `${receiver.url}/hook`
  return {
    relay,
    receiver,
    hook,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]()
      await receiver[Symbol.asyncDispose]()
    },
  }
}

describe.each([lmdb, redis])('watches of a relay on $name', (engine) => {
  it('tell a service of a message, signed by the key of /public-key', async () => {
    await using world = await start(engine)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    expect(await relay.watch(reader, hook)).toEqual({ relayId: relay.key.did })
    expect(await relay.publicKey()).toBe(relay.key.did)
    const before = Date.now()
    await relay.publish(sender, topic, 'hello', { attestation: 'proof' })
    const [event] = await eventually(() => {
      expect(receiver.events()).toHaveLength(1)
      return receiver.events()
    })
    expect(event).toMatchObject({
      iss: relay.key.did,
      aud: 'https://service.example',
      sub: reader.did,
      typ: 'subscriber',
      whu: hook,
      evt: {
        messageId: messageIdOf('hello'),
        status: 'accepted',
        topic,
        message: 'hello',
        tag: 4000,
        attestation: 'proof',
      },
    })
    expect(event?.evt.publishedAt).toBeGreaterThanOrEqual(before)
    expect(receiver.posts[0]?.path).toBe('/hook')
    // Watching takes nothing from delivery.
    expect(await relay.rpc(reader, 'irn_fetchMessages', { topic })).toMatchObject({
      messages: [{ message: 'hello' }],
    })
  })

  it('tell publishers and subscribers what is accepted, queued and delivered, and nothing else', async () => {
    await using world = await start(engine)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    const sts = ['accepted', 'queued', 'delivered']
    await relay.watch(reader, hook, { sts })
    await relay.watch(sender, hook, { sts, typ: 'publisher' })
    await relay.rpc(reader, 'irn_subscribe', { topic })

    // Nobody is there: it waits.
    await relay.publish(sender, topic, 'early')
    await relay.publish(sender, topic, 'another tag', { tag: 4001 })
    const waiting = [
      'publisher accepted early',
      'publisher queued early',
      'subscriber accepted early',
      'subscriber queued early',
    ]
    await eventually(() => expect(said(receiver).sort()).toEqual(waiting))
    await relay.rpc(reader, 'irn_fetchMessages', { topic })
    const fetched = ['publisher delivered early', 'subscriber delivered early']
    await eventually(() => expect(said(receiver).slice(4).sort()).toEqual(fetched))

    // Somebody is there: it does not wait.
    const client = relay.connect(reader)
    await client.subscribe([topic])
    const envelope = base64('live')
    await relay.publish(sender, topic, envelope)
    const live = ['publisher accepted', 'publisher delivered', 'subscriber accepted', 'subscriber delivered']
    await eventually(() =>
      expect(said(receiver).slice(6).sort()).toEqual(live.map((one) => `${one} ${envelope}`)),
    )
    // An own message concerns its publisher only; the two of `queued` would be due before it.
    await relay.rpc(sender, 'irn_subscribe', { topic: newTopic() })
    await relay.publish(reader, topic, 'by the reader')
    await relay.publish(sender, newTopic(), 'for nobody')
    await eventually(() => expect(said(receiver).at(-1)).toBe('publisher queued for nobody'))
    expect(said(receiver).slice(10)).toEqual(['publisher accepted for nobody', 'publisher queued for nobody'])
  })

  it('tell of what irn_batchReceive names, and do not tell of what was kept by a fetch', async () => {
    await using world = await start(engine)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook, { sts: ['delivered'] })
    for (const message of ['one', 'two', 'three']) await relay.publish(sender, topic, message)
    const kept = { topics: [topic], keep: true }
    for (let look = 0; look < 2; look++) {
      expect(await relay.rpc(reader, 'irn_batchFetchMessages', kept)).toMatchObject({
        messages: [{ message: 'one' }, { message: 'two' }, { message: 'three' }],
        hasMore: false,
      })
    }
    const receipts = [
      { topic, messageId: messageIdOf('one') },
      { topic: topic.toUpperCase(), message_id: messageIdOf('three').toUpperCase() },
      { topic, messageId: messageIdOf('never published') },
      { topic, messageId: '12345678' },
    ]
    expect(await relay.rpc(reader, 'irn_batchReceive', { receipts })).toBe(true)
    await eventually(() =>
      expect(said(receiver).sort()).toEqual(['subscriber delivered one', 'subscriber delivered three']),
    )
    expect(await relay.rpc(reader, 'irn_batchFetchMessages', kept)).toMatchObject({
      messages: [{ message: 'two' }],
    })
    await expect(relay.rpc(reader, 'irn_batchReceive', { receipts: [{ topic }] })).rejects.toMatchObject({
      code: -32602,
    })
  })

  it('tell nothing of what somebody acknowledges who may not, or has done so before', async () => {
    await using world = await start(engine)
    const { relay, receiver, hook } = world
    const [sender, owner, stranger, topic] = [newKey(), newKey(), newKey(), newTopic()]
    await relay.rpc(owner, 'irn_subscribe', { topic, exclusive: true })
    await relay.watch(sender, hook, { sts: ['delivered'], typ: 'publisher' })
    for (const message of ['one', 'two']) await relay.publish(sender, topic, message)
    const receiptOf = (message: string) => ({ receipts: [{ topic, messageId: messageIdOf(message) }] })
    for (const message of ['one', 'two']) await relay.rpc(stranger, 'irn_batchReceive', receiptOf(message))
    for (let at = 0; at < 3; at++) await relay.rpc(owner, 'irn_batchReceive', receiptOf('two'))
    await relay.rpc(owner, 'irn_batchReceive', receiptOf('one'))
    await eventually(() => expect(said(receiver).at(-1)).toBe('publisher delivered one'))
    expect(said(receiver)).toEqual(['publisher delivered two', 'publisher delivered one'])
  })

  it('tell of many messages in few POSTs, and tell again only what was not answered', async () => {
    const clock = manualClock()
    await using world = await start(engine, { clock })
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook, { sts: ['delivered'] })
    const messages = Array.from({ length: 100 }, (_, n) => `message ${n}`)
    for (const message of messages) await relay.publish(sender, topic, message)
    receiver.answers = [200, 503]
    const receipts = messages.map((message) => ({ topic, messageId: messageIdOf(message) }))
    await relay.rpc(reader, 'irn_batchReceive', { receipts })
    await eventually(() => expect(receiver.posts).toHaveLength(2))
    await relay.idle()
    await clock.advance(1_200)
    await eventually(() => expect(receiver.posts).toHaveLength(3))
    expect(receiver.posts.map(({ tokens }) => tokens.length)).toEqual([64, 36, 36])
    expect(said(receiver)).toEqual(messages.map((message) => `subscriber delivered ${message}`))
    await relay.idle()
    await clock.advance(400_000)
    await relay.idle()
    expect(receiver.posts).toHaveLength(3)
  })

  it('try again until the service answers, with growing pauses, and then tell once', async () => {
    const clock = manualClock()
    await using world = await start(engine, { clock })
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    receiver.answers = [500, 0, 503, 599, 0, 500, 500, 500, 500, 500]
    await relay.publish(sender, topic, 'patience', { ttl: DAY })
    const attempted = (times: number) => eventually(() => expect(receiver.posts).toHaveLength(times))
    for (let attempt = 1; attempt <= 10; attempt++) {
      await attempted(attempt)
      await relay.idle()
      const pause = Math.min(1_000 * 2 ** (attempt - 1), 300_000)
      await clock.advance(pause - 100)
      await relay.idle()
      expect(receiver.posts).toHaveLength(attempt)
      await clock.advance(1_200)
    }
    await attempted(11)
    expect(said(receiver)).toEqual(['subscriber accepted patience'])
    await relay.idle()
    await clock.advance(400_000)
    await relay.idle()
    await attempted(11)
  })

  it('survive a restart of the relay, what waits included', async () => {
    await using world = await start(engine)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    receiver.otherwise = 503
    await relay.publish(sender, topic, 'before')
    await eventually(() => expect(receiver.posts.length).toBeGreaterThan(0))
    await relay.restart()
    receiver.otherwise = 200
    await relay.publish(sender, topic, 'after')
    await eventually(
      () =>
        expect(said(receiver).sort()).toEqual(['subscriber accepted after', 'subscriber accepted before']),
      15_000,
    )
  })

  it('end when they are taken back, are replaced by the same service, and run out', async () => {
    const clock = manualClock()
    await using world = await start(engine, { clock })
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    const exp = Math.floor(clock.now() / 1000) + 60
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    await relay.watch(reader, hook, { tag: [7] })
    await relay.watch(reader, `${hook}/short`, { exp })
    await relay.watch(reader, `${hook}/over`)
    expect(await relay.unwatch(reader, `${hook}/over`)).toBe(true)
    expect(await relay.unwatch(reader, `${hook}/never`)).toBe(true)
    await relay.publish(sender, topic, 'one')
    await relay.publish(sender, topic, 'seven', { tag: 7 })
    await eventually(() => expect(receiver.posts).toHaveLength(2))
    const paths = () => receiver.posts.map(({ path }) => path).sort()
    expect(paths()).toEqual(['/hook', '/hook/short'])

    // What is not ticked off when its lease ends is posted once more.
    await relay.idle()
    await clock.advance(61_000)
    await relay.publish(sender, topic, 'two')
    await relay.publish(sender, topic, 'eight', { tag: 7 })
    await eventually(() => expect(receiver.posts).toHaveLength(3))
    await relay.idle()
    expect(paths()).toEqual(['/hook', '/hook', '/hook/short'])
  })
})

describe('a watch', () => {
  it('is registered by whoever has the token of the watched client', async () => {
    await using world = await start(lmdb)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    const registerAuth = relay.token(reader, {
      ...{ act: 'irn_watchRegister', sub: 'https://service.example', typ: 'subscriber' },
      ...{ whu: hook, tag: [4000], sts: ['accepted'] },
    })
    await relay.rpc(newKey(), 'iridium_watchRegister', { registerAuth })
    await relay.publish(sender, topic, 'hello')
    await eventually(() => expect(receiver.events().map(({ sub }) => sub)).toEqual([reader.did]))
  })

  it('is one of 64 at most', async () => {
    await using world = await start(lmdb)
    const { relay, hook } = world
    const reader = newKey()
    for (let at = 0; at < 64; at++) await relay.watch(reader, `${hook}/${at}`)
    await expect(relay.watch(reader, `${hook}/65`)).rejects.toThrow(/more than 64 webhooks/)
    await relay.watch(reader, `${hook}/63`, { tag: [1] })
    await relay.unwatch(reader, `${hook}/0`)
    await relay.watch(reader, `${hook}/65`)
  })

  const at = Math.floor(Date.now() / 1000)
  it.each<[string, object, RegExp]>([
    ['another action', { act: 'irn_watchUnregister' }, /another action/],
    ['more than 30 days', { exp: at + 31 * DAY }, /at most 30 days/],
    ['the past', { exp: at - DAY, iat: at - 2 * DAY }, /expired/],
    ['another relay', { aud: 'https://elsewhere.example' }, /another audience/],
    ['no tag', { tag: [] }, /tag/],
    ['no status', { sts: [] }, /sts/],
    ['an unknown status', { sts: ['lost'] }, /sts/],
    ['an unknown type', { typ: 'listener' }, /typ/],
    ['no service', { sub: 'service' }, /sub/],
    ['no URL', { whu: 'hook' }, /whu/],
    ['another scheme', { whu: 'ftp://service.example/hook' }, /whu/],
    ['a long URL', { whu: `https://service.example/${'x'.repeat(2048)}` }, /whu/],
  ])('is refused for %s', async (_, claims, reason) => {
    await using world = await start(lmdb, { publicOrigins: ['http://127.0.0.1'] })
    const aud = 'ws://localhost:80'
    await world.relay.watch(newKey(), world.hook, { aud })
    await expect(world.relay.watch(newKey(), world.hook, { aud, ...claims })).rejects.toThrow(reason)
  })

  it('is refused when another key signed it', async () => {
    await using world = await start(lmdb)
    await expect(world.relay.watch(newKey(), world.hook, { iss: newKey().did })).rejects.toThrow(/not valid/)
  })

  it.each([
    'http://service.example/hook',
    'https://127.0.0.1/hook',
    'https://127.1/hook',
    'https://0x7f000001/hook',
    'https://[::1]/hook',
    'https://169.254.169.254/latest',
    'https://10.0.0.1/hook',
    'https://user:password@service.example/hook',
  ])('of a stranger does not lead to %s', async (whu) => {
    await using world = await start(lmdb, { trusts: () => false })
    await expect(world.relay.watch(newKey(), whu)).rejects.toThrow(/whu/)
    await world.relay.watch(newKey(), 'https://service.example/hook')
  })
})

describe('what a webhook is posted', () => {
  it('does not come again after an answer that says no', async () => {
    const clock = manualClock()
    await using world = await start(lmdb, { clock })
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    receiver.answers = [404, 410, 422]
    for (const message of ['one', 'two', 'three', 'four']) {
      await relay.publish(sender, topic, message)
      await relay.idle()
    }
    await clock.advance(600_000)
    await relay.idle()
    expect(receiver.posts).toHaveLength(4)
    expect(said(receiver)).toEqual(['subscriber accepted four'])
  })

  it('is what waits, together and in order', async () => {
    await using world = await start(lmdb)
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    let goOn: (() => void) | undefined
    receiver.hold = () =>
      new Promise((resolve) => {
        goOn = resolve
      })
    await relay.publish(sender, topic, 'first')
    const others = Array.from({ length: 20 }, (_, at) => `message ${at}`)
    await eventually(() => expect(goOn).toBeDefined())
    for (const message of others) await relay.publish(sender, topic, message)
    receiver.hold = undefined
    goOn?.()
    await eventually(() => expect(receiver.events()).toHaveLength(21))
    expect(receiver.events().map(({ evt }) => evt.message)).toEqual(['first', ...others])
    expect(receiver.posts.length).toBeLessThan(5)
  })

  it('is given up with the life of its message', async () => {
    const clock = manualClock()
    await using world = await start(lmdb, { clock })
    const { relay, receiver, hook } = world
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, hook)
    receiver.otherwise = 503
    await relay.publish(sender, topic, 'short', { ttl: 30 })
    await eventually(() => expect(receiver.posts.length).toBeGreaterThan(0))
    await relay.idle()
    await clock.advance(31_000)
    await relay.idle()
    const tried = receiver.posts.length
    receiver.otherwise = 200
    await clock.advance(600_000)
    await relay.idle()
    expect(receiver.posts).toHaveLength(tried)
    expect(receiver.events()).toEqual([])
  })

  it('is held up by no other webhook', async () => {
    await using world = await start(lmdb)
    const { relay, receiver, hook } = world
    await using stuck = await startReceiver({ signer: () => relay.key.did })
    stuck.hold = () => new Promise(() => {})
    const [sender, reader, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(reader, 'irn_subscribe', { topic })
    await relay.watch(reader, stuck.url)
    await relay.watch(reader, hook)
    const messages = Array.from({ length: 300 }, (_, at) => ({
      topic,
      message: `${at}`,
      ttl: 300,
      tag: 4000,
    }))
    await relay.rpc(sender, 'irn_batchPublish', { messages })
    await eventually(() => expect(receiver.events()).toHaveLength(300))
  })
})
