/** The session relay as published clients meet it: every event and every error text, on one process. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { REFUSALS } from '../../../src/sessions/relay/connection.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startWorld, type World } from '../../support/world.ts'
import { createSession, dial as dialUrl, type Wire } from '../wire.ts'

let world: World
let clock: ReturnType<typeof manualClock>
const wires: Wire[] = []
beforeAll(async () => {
  clock = manualClock(Date.now())
  world = await startWorld({ clock, rooms: ['sessions'] })
})
afterAll(() => world[Symbol.asyncDispose]())
afterEach(() => {
  for (const wire of wires.splice(0)) wire.close()
})

const dial = async (transports?: ('websocket' | 'polling')[]) => {
  const wire = await dialUrl(world.url, transports)
  wires.push(wire)
  return wire
}
const initiated = async (transports?: ('websocket' | 'polling')[]) => {
  const sessionId = await createSession(world.url)
  const dapp = await dial(transports)
  dapp.say('init', { sessionId })
  await dapp.hears('initialized')
  return { sessionId, dapp }
}
const met = async (transports?: ('websocket' | 'polling')[]) => {
  const { sessionId, dapp } = await initiated(transports)
  const wallet = await dial(transports)
  wallet.say('join', { sessionId })
  await Promise.all([dapp.hears('session-ready'), wallet.hears('session-ready')])
  return { sessionId, dapp, wallet }
}
const refusedWith = async (wire: Wire, message: string) => {
  // The server's own goodbye: clients do not come back after it.
  expect(await wire.ends()).toBe('io server disconnect')
  expect(wire.heard.at(-1)).toEqual(['error', { message }])
}

it('a session has a name of 32 hex digits, given out to any origin', async () => {
  const { status, body, headers } = await world.http('POST', '/session/create', {
    headers: { origin: 'https://dapp.example' },
  })
  expect(status).toBe(201)
  expect(body).toEqual({ sessionId: expect.stringMatching(/^[0-9a-f]{32}$/) })
  expect(headers.get('access-control-allow-origin')).toBe('*')
  expect((await world.http('GET', '/session/create')).status).toBe(405)
})

describe.each([['websocket'], ['polling'], ['polling', 'websocket']] as const)(
  'over %s, %s',
  (...transports) => {
    it('two peers meet, speak in order, and one hears that the other has left', async () => {
      const { sessionId, dapp, wallet } = await met([...transports])
      expect(dapp.heard).toEqual([['initialized', { sessionId }], ['session-ready']])
      expect(wallet.heard).toEqual([['joined', { sessionId }], ['session-ready']])

      const said = [{ any: ['thing'] }, 'text', 7, null, [], 'x'.repeat(100_000)]
      for (const one of said) dapp.say('message', one)
      await wallet.hears('message', said.length)
      expect(wallet.heard.slice(2)).toEqual(said.map((one) => ['message', one]))
      wallet.say('message', Buffer.from([1, 2, 3]))
      const [bytes] = await dapp.hears('message')
      expect(Buffer.from(bytes instanceof Uint8Array ? bytes : [])).toEqual(Buffer.from([1, 2, 3]))

      wallet.close()
      expect(await dapp.ends()).toBe('io server disconnect')
      expect(dapp.heard.at(-1)).toEqual(['peer-disconnected'])
    })
  },
)

describe('is refused, and disconnected', () => {
  it('who names no session, or one that is not there', async () => {
    const odd = [
      undefined,
      null,
      7,
      'x',
      {},
      { sessionId: 7 },
      { sessionId: 'abc123' },
      { sessionId: 'ab'.repeat(16) },
    ]
    for (const payload of odd) {
      for (const event of ['init', 'join']) {
        const wire = await dial()
        wire.say(event, payload)
        await refusedWith(wire, 'Session not found')
      }
    }
  })

  it('a second initiator; the first one stays', async () => {
    const { sessionId, dapp } = await initiated()
    const other = await dial()
    other.say('init', { sessionId })
    await refusedWith(other, 'Session already initialized')
    const wallet = await dial()
    wallet.say('join', { sessionId })
    await dapp.hears('session-ready')
  })

  it('who joins before there is somebody', async () => {
    const sessionId = await createSession(world.url)
    const wallet = await dial()
    wallet.say('join', { sessionId })
    await refusedWith(wallet, 'Session not yet initialized')
  })

  it('a second joiner; the first two go on', async () => {
    const { sessionId, dapp, wallet } = await met()
    const other = await dial()
    other.say('join', { sessionId })
    await refusedWith(other, 'Session already has a joiner')
    dapp.say('message', 'still here')
    expect(await wallet.hears('message')).toEqual(['still here'])
    expect(other.heard).toHaveLength(1)
  })

  it('an initiator who joins itself, and one who speaks to nobody', async () => {
    const { sessionId, dapp } = await initiated()
    dapp.say('join', { sessionId })
    await refusedWith(dapp, 'Session already has a joiner')
    const early = await initiated()
    early.dapp.say('message', 'too early')
    await refusedWith(early.dapp, 'Session not ready')
    const stranger = await dial()
    stranger.say('message', 'hello?')
    await refusedWith(stranger, 'Session not found')
  })

  it('who says too much', async () => {
    const talker = await met()
    for (let at = 0; at < 300; at++) talker.dapp.say('message', at)
    await refusedWith(talker.dapp, REFUSALS.too_much)
    expect(await talker.wallet.ends()).toBe('io server disconnect')
    expect(talker.wallet.heard.filter(([event]) => event === 'message')).toHaveLength(256)

    const shouter = await met()
    for (let at = 0; at < 6; at++) shouter.dapp.say('message', 'x'.repeat(1_000_000))
    await refusedWith(shouter.dapp, REFUSALS.too_much)
  })

  it('who sends more than a frame may hold', async () => {
    const { dapp, wallet } = await met()
    dapp.say('message', 'x'.repeat(1024 * 1024))
    expect(await dapp.ends()).toBe('transport close')
    await wallet.hears('peer-disconnected')
    const largest = await met()
    largest.dapp.say('message', 'x'.repeat(1024 * 1024 - 20))
    const [message] = await largest.wallet.hears('message')
    expect(message).toHaveLength(1024 * 1024 - 20)
  })
})

describe('ends', () => {
  it('when a peer has left: its name means nothing any more', async () => {
    const { sessionId, dapp, wallet } = await met()
    dapp.close()
    await wallet.hears('peer-disconnected')
    const { sessionId: alone, dapp: first } = await initiated()
    first.close()
    for (const [event, name] of [
      ['init', sessionId],
      ['join', sessionId],
      ['init', alone],
    ] as const) {
      await eventually(async () => {
        const wire = await dial()
        wire.say(event, { sessionId: name })
        await refusedWith(wire, 'Session not found')
      })
    }
  })

  it('after five minutes when nobody joins, after thirty in any case', async () => {
    const unused = await createSession(world.url)
    const lonely = await initiated()
    const couple = await met()
    await clock.advance(5 * 60_000 - 1_000)
    const late = await dial()
    late.say('join', { sessionId: lonely.sessionId })
    await late.hears('joined')
    const lonelier = await initiated()
    await clock.advance(2_000)
    const tooLate = await dial()
    tooLate.say('init', { sessionId: unused })
    await refusedWith(tooLate, 'Session not found')
    await clock.advance(5 * 60_000)
    await refusedWith(lonelier.dapp, 'Session expired')
    couple.dapp.say('message', 'still here')
    expect(await couple.wallet.hears('message')).toEqual(['still here'])
    expect(late.ended).toBeUndefined()
    await clock.advance(20 * 60_000)
    // Both are told, whichever is first.
    for (const wire of [couple.dapp, couple.wallet, late]) {
      expect(await wire.ends()).toBe('io server disconnect')
      expect([['error', { message: 'Session expired' }], ['peer-disconnected']]).toContainEqual(
        wire.heard.at(-1),
      )
    }
  })

  it('a connection that names no session, after some seconds', async () => {
    const wire = await dial()
    await clock.advance(14_000)
    expect(wire.ended).toBeUndefined()
    await clock.advance(2_000)
    await refusedWith(wire, REFUSALS.silent)
  })
})
