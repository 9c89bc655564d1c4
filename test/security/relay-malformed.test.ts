/** Malformed input to the relay: each gets its documented error, and whoever else is connected stays served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { startRelay, upgradeStatus } from '../support/world/relay.ts'
import { topicNamed } from '../support/world/relay-hub.ts'
import { TEXTS } from './malformed.ts'

const topic = topicNamed('a topic')
const served = topicNamed('served')

let relay: Awaited<ReturnType<typeof startRelay>>
let bystander: Awaited<ReturnType<typeof relay.connect>>
let publisher: Awaited<ReturnType<typeof relay.connect>>
let published = 0

beforeAll(async () => {
  relay = await startRelay()
  bystander = await relay.connect()
  publisher = await relay.connect()
  await bystander.request('irn_subscribe', { topic: served })
})
afterAll(() => relay[Symbol.asyncDispose]())

/** A message still goes from one client to another. */
const expectServed = async () => {
  const message = `still here ${++published}`
  expect(await publisher.request('irn_publish', { topic: served, message, ttl: 60 })).toContain(
    '"result":true',
  )
  await eventually(() => expect(bystander.messages()).toContain(message))
}

describe('text on the socket', () => {
  it.each(TEXTS)('%s', async (_, text, code) => {
    const client = await relay.connect()
    client.ws.send(text)
    const answer = await eventually(() => {
      expect(client.frames).toHaveLength(1)
      return JSON.parse(client.frames[0] ?? '')
    })
    expect(answer).toMatchObject({ jsonrpc: '2.0', error: { code } })
    expect(answer.id).toBe(code === -32600 || code === -32700 ? null : 1)
    // The connection stays.
    expect(await client.request('irn_fetchMessages', { topic })).toContain('"messages":[]')
    client.ws.close()
    await expectServed()
  })

  it('that is no request and no answer of ours is ignored', async () => {
    const client = await relay.connect()
    client.ws.send('{"jsonrpc":"2.0","method":"irn_publish","params":{}}')
    client.ws.send('{"id":1,"jsonrpc":"2.0","result":true}')
    expect(await client.request('irn_fetchMessages', { topic })).toContain('"messages":[]')
    expect(client.frames).toHaveLength(1)
    await expectServed()
  })
})

describe('frames', () => {
  it.each<[string, (ws: WebSocket) => void, number]>([
    ['binary', (ws) => ws.send(Buffer.from('{}')), 1003],
    ['2 MiB', (ws) => ws.send('x'.repeat(2 * 1024 * 1024)), 1009],
    [
      '2 MiB in pieces',
      (ws) => {
        for (let at = 0; at < 32; at++) ws.send('x'.repeat(65_536), { fin: at === 31 })
      },
      1009,
    ],
    ['not UTF-8', (ws) => ws.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false }), 1007],
  ])('%s close the connection with their code', async (_, send, code) => {
    const client = await relay.connect()
    const closed = client.closed()
    send(client.ws)
    expect((await closed).code).toBe(code)
    await expectServed()
  })

  it('that are no WebSocket frames end the connection', async () => {
    const client = await relay.connect()
    const closed = client.closed()
    // Reserved opcodes, and not masked.
    Reflect.get(client.ws, '_socket').write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3]))
    expect([1002, 1006]).toContain((await closed).code)
    await expectServed()
  })
})

describe('an upgrade', () => {
  it.each([
    ['without a token', '/', 401],
    ['with a token of nothing', '/?auth=', 401],
    ['with a token of dots', '/?auth=..', 401],
    ['with a token of 8 KiB', `/?auth=${'x'.repeat(8_000)}`, 401],
    ['with a token that is no UTF-8', '/?auth=%ff%fe', 401],
    [
      'with a token whose parts are JSON of other things',
      `/?auth=${Buffer.from('[]').toString('base64url')}.W10.AA`,
      401,
    ],
    ['to another path', '/rpc', 404],
    ['to a path upwards', '/../x', 404],
  ])('%s is refused', async (_, address, status) => {
    expect(await upgradeStatus(relay.dial(address))).toBe(status)
    await expectServed()
  })

  it('with alg none, or signed by another key, is refused', async () => {
    const [header = '', payload, signature] = relay.token().split('.')
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
    for (const forged of [
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${header}.${payload}.AAAA`,
    ]) {
      expect(await upgradeStatus(relay.dial(`/?auth=${forged}`))).toBe(401)
    }
    await expectServed()
  })
})

describe('a body of POST /rpc', () => {
  const post = (body: BodyInit, authorization = `Bearer ${relay.token()}`) =>
    fetch(`${relay.httpUrl}/rpc`, { method: 'POST', body, headers: { Authorization: authorization } })

  it.each(TEXTS)('%s', async (_, text, code, status = 200) => {
    const answer = await post(text)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ jsonrpc: '2.0', error: { code } })
    await expectServed()
  })

  it('of 2 MiB gets 413, not UTF-8 gets 400, a notification -32600, without auth 401', async () => {
    expect((await post('x'.repeat(2 * 1024 * 1024))).status).toBe(413)
    expect((await post(new Uint8Array([0x7b, 0xff, 0x7d]))).status).toBe(400)
    const notification = await post('{"jsonrpc":"2.0","method":"irn_publish","params":{}}')
    expect(await notification.json()).toMatchObject({ error: { code: -32600 } })
    expect((await post('not json', 'Bearer x')).status).toBe(401)
    expect((await post('not json', 'Basic x')).status).toBe(401)
    expect((await fetch(`${relay.httpUrl}/rpc`)).status).toBe(404)
    await expectServed()
  })
})
