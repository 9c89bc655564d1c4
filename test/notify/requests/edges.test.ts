/** Rows of protocol.md §5 to §7 at their edges: what a topic takes, what is over, what names nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { concat, fromHex, toBase64 } from '../../../src/protocol/bytes.ts'
import { didWeb } from '../../../src/protocol/did.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { deriveSymKey, generateAgreementKey } from '../../../src/protocol/keys.ts'
import { NOTIFY_METHODS } from '../../../src/protocol/notify-methods.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { DOMAIN, startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import { type Device, type Sent, THIS_APP } from '../support/wallet.ts'

let world: TestNotify
beforeAll(async () => {
  world = await startNotify()
  await world.enrol('other.example')
})
afterAll(() => world[Symbol.asyncDispose]())

const [NEWS = ''] = TYPES.map(({ id }) => id)
const ON_NOTIFY_TOPIC = [4008, 4004, 4014, 4016] as const
const OWN = { 4008: { scp: NEWS }, 4004: {}, 4014: { lmt: 10 }, 4016: { all: true } }

const subscribed = async (device: Device): Promise<Uint8Array> => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  return fromHex((claims.sbs as View[])[0]?.symKey ?? '')
}
const expectSilence = async (sent: Pick<Sent, 'topic' | 'message' | 'tag'>) => {
  await world.settled()
  const before = world.loop.published.length
  await world.loop.deliver(sent)
  await world.settled()
  expect(world.loop.published.length).toBe(before)
}

describe('a request on a topic of another kind is met with silence', () => {
  it('a subscribe at the server, a watch at an app, and all that belongs on a notify topic', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const watch = device.watch(world.address)
    const subscribe = device.subscribe(world.app, [NEWS])
    await expectSilence({ ...watch, tag: 4000 })
    await expectSilence({ ...subscribe, tag: 4010 })
    for (const tag of ON_NOTIFY_TOPIC) {
      await expectSilence({ ...watch, tag })
      await expectSilence({ ...subscribe, tag })
      const asked = device.ask(tag, world.app, key, OWN[tag])
      await expectSilence({ ...asked, tag: 4000 })
      await expectSilence({ ...asked, tag: 4010 })
    }
    // All of them were good where they belong.
    for (const sent of [watch, subscribe]) expect((await world.ask(sent)).rpc.kind).toBe('result')
  })

  it('one notify topic takes no message of another one', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const { topic } = device.ask(4014, world.app, await subscribed(world.newDevice()), OWN[4014])
    await expectSilence({ ...device.ask(4014, world.app, key, OWN[4014]), topic })
  })
})

it.each(ON_NOTIFY_TOPIC)(
  'after a delete, a request of tag %i on the old topic is met with silence',
  async (tag) => {
    const device = world.newDevice()
    const key = await subscribed(device)
    expect((await world.ask(device.ask(4004, world.app, key))).rpc.kind).toBe('result')
    await expectSilence(device.ask(tag, world.app, key, OWN[tag]))
  },
)

describe('what was encrypted well and is not UTF-8', () => {
  const noText = Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)
  const refusal = { kind: 'failure', idText: 'null', code: -32600 }

  it.each([4010, 4000] as const)('is answered, tag %i', async (tag) => {
    const { publicKey } = tag === 4010 ? world.address : world.app
    const pair = generateAgreementKey()
    const key = deriveSymKey(pair.privateKey, publicKey)
    const iv = crypto.randomBytes(12)
    const message = toBase64(concat(Uint8Array.of(1), pair.publicKey, iv, crypto.seal(key, iv, noText)))
    const sent = { topic: topicOf(publicKey), message, tag, answerTopic: topicOf(key), key, rpcId: '' }
    expect((await world.ask(sent)).rpc).toMatchObject(refusal)
  })

  it.each(ON_NOTIFY_TOPIC)('is answered, tag %i', async (tag) => {
    const key = await subscribed(world.newDevice())
    const iv = crypto.randomBytes(12)
    const message = toBase64(concat(Uint8Array.of(0), iv, crypto.seal(key, iv, noText)))
    const sent = { topic: topicOf(key), message, tag, answerTopic: topicOf(key), key, rpcId: '' }
    expect((await world.ask(sent)).rpc).toMatchObject(refusal)
  })
})

describe('an error', () => {
  it.each(['"1795200000000000001"', '17952000000000000019', '0'])(
    'echoes the id %s byte for byte',
    async (id) => {
      const device = world.newDevice()
      const key = await subscribed(device)
      const jwt = signJwt(
        device.claims(4014, world.app.did, { app: didWeb(DOMAIN), lmt: 51 }),
        device.identity,
      )
      const text = `{"jsonrpc":"2.0","params":{"auth":"${jwt}"},"method":"x","id":${id}}`
      const { rpc, tag, ttl } = await world.ask(device.sendOn(4014, key, text, id))
      expect(rpc).toMatchObject({ kind: 'failure', idText: id, code: -32602 })
      expect([tag, ttl]).toEqual([NOTIFY_METHODS[4014].responseTag, NOTIFY_METHODS[4014].responseTtl])
    },
  )
})

describe('an identity key of one app', () => {
  it('may not watch another one, nor ask anything on the topic of another one', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    world.register(device, { statement: THIS_APP, domain: 'other.example' })
    const refused = { kind: 'failure', code: -1, message: 'The identity key is not authorised for this app' }
    expect((await world.ask(device.watch(world.address, DOMAIN))).rpc).toMatchObject(refused)
    for (const tag of ON_NOTIFY_TOPIC) {
      expect((await world.ask(device.ask(tag, world.app, key, OWN[tag]))).rpc).toMatchObject(refused)
    }
    expect((await world.ask(device.watch(world.address, 'other.example'))).rpc.kind).toBe('result')
  })
})

describe('an id of a notification that can be none', () => {
  const ODD = ['', '\0', 'a\0b', '🔔'.repeat(127), '../x', '__proto__']

  it.each(ODD)('%j is no place to start a page from', async (aft) => {
    const device = world.newDevice()
    const key = await subscribed(device)
    expect((await world.ask(device.ask(4014, world.app, key, { lmt: 5, aft }))).rpc).toMatchObject({
      kind: 'failure',
      code: -1,
      message: 'There is no such notification in this subscription',
    })
  })

  it('marks nothing, and does not keep others from being marked', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    await world.publishing.notify(world.project.id, [
      {
        domain: DOMAIN,
        notification: { type: NEWS, title: 'T', body: 'B', icon: null, url: null },
        accounts: [device.account],
      },
    ])
    const page = async () =>
      (await world.ask(device.ask(4014, world.app, key, { lmt: 5 }))).claims.nfs as {
        id: string
        is_read: boolean
      }[]
    const [copy] = await page()
    expect(copy?.is_read).toBe(false)
    const ids = [...ODD, copy?.id]
    expect((await world.ask(device.ask(4016, world.app, key, { all: false, ids }))).rpc.kind).toBe('result')
    expect((await page())[0]?.is_read).toBe(true)
  })

  it('more than 255 characters are bad params', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const long = 'x'.repeat(256)
    for (const sent of [
      device.ask(4014, world.app, key, { lmt: 5, aft: long }),
      device.ask(4016, world.app, key, { all: false, ids: [long] }),
    ]) {
      expect((await world.ask(sent)).rpc).toMatchObject({ kind: 'failure', code: -32602 })
    }
  })
})
