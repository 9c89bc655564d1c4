/** Malformed input to the session relay: it is refused or cut off, and whoever else is connected stays served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createSession, dial, type Wire } from '../sessions/wire.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Pulse, startPulse } from './pulse.ts'
import { sayRaw, statusesIn } from './raw-http.ts'

let world: World
let pulse: Pulse
let dapp: Wire
let wallet: Wire
let said = 0
beforeAll(async () => {
  world = await startWorld()
  pulse = await startPulse(world)
  const sessionId = await createSession(world.url)
  dapp = await dial(world.url)
  dapp.say('init', { sessionId })
  await dapp.hears('initialized')
  wallet = await dial(world.url)
  wallet.say('join', { sessionId })
  await wallet.hears('session-ready')
})
afterAll(async () => {
  dapp.close()
  wallet.close()
  await pulse.stop()
  await pulse[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

/** A session goes on, and so does everything else. */
const expectServed = async () => {
  dapp.say('message', 'still here')
  await wallet.hears('message', ++said)
  await pulse.next()
}

const raw = async (path = '/socket.io/?EIO=4&transport=websocket') => {
  const ws = new WebSocket(world.wsUrl + path)
  const heard: string[] = []
  let ended = false
  ws.on('message', (data) => void heard.push(String(data)))
  ws.on('error', () => {})
  ws.on('close', () => {
    ended = true
  })
  await eventually(() => expect(ws.readyState).not.toBe(WebSocket.CONNECTING))
  return { ws, heard, ends: () => eventually(() => expect(ended).toBe(true)) }
}
const connected = async () => {
  const one = await raw()
  one.ws.send('40')
  await eventually(() => expect(one.heard.some((text) => text.startsWith('40{'))).toBe(true))
  return one
}

describe('frames', () => {
  it.each([
    ['of no type', 'x'],
    ['that are no packet', '4'],
    ['of an unknown packet', '49[]'],
    ['that are no JSON', '42['],
    ['that are an object', '42{"a":1}'],
    ['with a reserved event', '42["connect"]'],
    ['with attachments that do not come', '45999999-["message",{"_placeholder":true,"num":7}]'],
    ['with an attachment that was not announced', Buffer.from([1, 2, 3])],
    ['for a namespace that is not there', '42/admin,["init",{}]'],
    ['of 2 MiB', `42["message","${'x'.repeat(2 * 1024 * 1024)}"]`],
    ['nested very deeply', `42["init",${'['.repeat(100_000)}${']'.repeat(100_000)}]`],
  ])('%s end the connection or are refused', async (_, frame) => {
    const one = await connected()
    one.ws.send(frame)
    // What it gets instead of an answer: the end, at once, or for saying nothing that names a session.
    await one.ends()
    await expectServed()
  })

  it('that are no WebSocket frames end the connection', async () => {
    const one = await connected()
    Reflect.get(one.ws, '_socket').write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3]))
    await one.ends()
    await expectServed()
  })

  it.each([1_000, 20_000, 400_000])(
    'with a message nested %i times are refused before they are passed on',
    async (depth) => {
      const sessionId = await createSession(world.url)
      const victim = await dial(world.url)
      victim.say('init', { sessionId })
      await victim.hears('initialized')
      const one = await connected()
      one.ws.send(`42["join",{"sessionId":"${sessionId}"}]`)
      await victim.hears('session-ready')
      one.ws.send(`42["message",${'['.repeat(depth)}${']'.repeat(depth)}]`)
      await one.ends()
      expect(one.heard).toContain('42["error",{"message":"Message nested too deeply"}]')
      await victim.hears('peer-disconnected')
      await expectServed()
    },
  )

  it('before the namespace was joined end the connection', async () => {
    const one = await raw()
    one.ws.send('42["init",{"sessionId":"x"}]')
    await one.ends()
    await expectServed()
  })

  it.each(['init', 'join'])('%s with an odd payload is a session that is not there', async (event) => {
    for (const payload of [
      'null',
      '7',
      '"x"',
      '[]',
      '{}',
      '{"sessionId":{"toString":1}}',
      '{"__proto__":{"sessionId":"x"}}',
    ]) {
      const one = await connected()
      one.ws.send(`42["${event}",${payload}]`)
      await eventually(() => expect(one.heard).toContain('42["error",{"message":"Session not found"}]'))
      await one.ends()
    }
    await expectServed()
  })
})

describe('requests', () => {
  it.each([
    ['no transport', '/socket.io/?EIO=4', 400],
    ['another transport', '/socket.io/?EIO=4&transport=carrier-pigeon', 400],
    ['an old protocol', '/socket.io/?EIO=3&transport=polling', 400],
    ['a connection that is not there', '/socket.io/?EIO=4&transport=polling&sid=__proto__', 400],
    ['the client’s file', '/socket.io/socket.io.js', 404],
    ['a path upwards', '/socket.io/../admin/apps', 401],
  ])('%s are refused', async (_, path, status) => {
    const answer = await sayRaw(world.server.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, { answers: 1 })
    expect(statusesIn(answer)).toEqual([status])
    await expectServed()
  })

  it('upgrades elsewhere stay the relay’s, or nobody’s', async () => {
    for (const [path, status] of [
      ['/', 401],
      ['/relay', 401],
      ['/socket.io', 404],
      ['/socket.io/x', 404],
      ['/socket.io/?EIO=4&transport=nothing', 400],
    ] as const) {
      const answer = await sayRaw(
        world.server.port,
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        { answers: 1 },
      )
      expect([path, statusesIn(answer)[0]]).toEqual([path, status])
    }
    await expectServed()
  })

  it('bodies of POST /session/create are not looked at', async () => {
    for (const body of ['', '{', 'x'.repeat(2 * 1024 * 1024)]) {
      expect((await world.http('POST', '/session/create', { body })).status).toBe(201)
    }
    await expectServed()
  })
})
