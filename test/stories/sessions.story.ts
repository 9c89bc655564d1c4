/** A dapp and a wallet in a session, over a session relay and over a relay of messages; and relays that are not honest. */
import { createServer } from 'node:http'
import { Server, type Socket } from 'socket.io'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import * as z from 'zod'
import {
  type Approve,
  AUTH_PK,
  authPk,
  type DappSession,
  type DappSessionOptions,
  dappSession,
  formatSessionLink,
  parseSessionLink,
  SessionError,
  type SessionMethod,
  signingKeyFrom,
  verifyAuthPk,
  type WalletSession,
  walletSession,
} from '../../src/sdk/sessions.ts'
import { openPayload, sealPayload } from '../../src/sessions/payload.ts'
import { createSession, dial } from '../sessions/wire.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { startWorld, type World } from '../support/world.ts'

const key = signingKeyFrom(new Uint8Array(32).map((_, at) => at * 5 + 1))
const echo: SessionMethod<{ text: string }> = {
  schema: z.object({ text: z.string() }),
  approval: 'first',
  handler: async ({ text }) => ({ echoed: text }),
}
const broken: SessionMethod = {
  schema: z.unknown(),
  approval: 'none',
  handler: () => Promise.reject(new Error('no')),
}
const empty: SessionMethod = {
  schema: z.unknown(),
  approval: 'none',
  handler: () => Promise.reject(new SessionError('nothing_matches')),
}
const methods = { [AUTH_PK]: authPk(key), echo, broken, empty }
const yes: Approve = async () => true

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})
const asDapp = async (...args: Parameters<typeof dappSession>): Promise<DappSession> => {
  const session = await dappSession(...args)
  open.push(session)
  const link = parseSessionLink(session.link)
  knownSecret('session key', link.key)
  if (link.kind === 'carmentis-relay') knownSecret('session id', link.sessionId)
  return session
}
const asWallet = (link: string, approve: Approve = yes, more = {}): WalletSession => {
  const session = walletSession({ link, approve, methods, ...more })
  open.push(session)
  return session
}
const challenge = { origin: 'My App', b64Challenge: 'dGVzdC1jaGFsbGVuZ2U=' }
const refusal = (code: number) => expect.objectContaining({ name: 'SessionError', code })
const ended = expect.objectContaining({ name: 'ProtocolError', code: 'unavailable' })

let world: World
beforeAll(async () => {
  world = await startWorld({ rooms: ['relay', 'sessions'] })
})
afterAll(() => world[Symbol.asyncDispose]())

describe.each(['carmentis-relay', 'belfry-relay'] as const)('over a %s', (kind) => {
  const start = async (approve: Approve = yes, more: Partial<DappSessionOptions> = {}) => {
    const dapp = await asDapp({ relay: kind === 'belfry-relay' ? world.wsUrl : world.url, kind, ...more })
    return { dapp, wallet: asWallet(dapp.link, approve) }
  }

  it('a dapp learns who the wallet is, and both are done', async () => {
    const { dapp, wallet } = await start()
    const result = await dapp.request(AUTH_PK, { ...challenge, pkFormat: 'did' })
    expect(verifyAuthPk(result, { ...challenge, now: Date.now() }).publicKey).toEqual(key.publicKey)
    expect(await wallet.done).toEqual({ method: AUTH_PK })
    await expect(dapp.request('ping')).rejects.toThrow('has served its call')
  })

  it('the document’s examples get the document’s answers', async () => {
    const pinged = await start()
    expect(await pinged.dapp.request('ping')).toEqual({ ts: expect.any(Number) })
    const signed = await start()
    expect(await signed.dapp.request(AUTH_PK, { ...challenge, pkFormat: 'did' })).toEqual({
      pk: expect.stringMatching(/^did:jwk:eyJ/),
      signature: expect.stringMatching(/^eyJhbGciOiJFZERTQSJ9\./),
    })
  })

  it('after a mistake the dapp may ask again, in the same session', async () => {
    const { dapp, wallet } = await start()
    await expect(dapp.request('nothing')).rejects.toEqual(refusal(-32601))
    await expect(dapp.request('echo', { text: 7 })).rejects.toEqual(refusal(-32602))
    await expect(dapp.request('')).rejects.toEqual(refusal(-32600))
    expect(await dapp.request('echo', { text: 'at last' })).toEqual({ echoed: 'at last' })
    expect(await wallet.done).toEqual({ method: 'echo' })
  })

  it.each([
    ['echo', { text: 'x' }, -32000],
    ['broken', undefined, -32603],
    ['empty', undefined, -32001],
  ])('%s %j is refused with its code, and the session is over', async (method, params, code) => {
    const { dapp, wallet } = await start(async () => false)
    await expect(dapp.request(method, params)).rejects.toEqual(refusal(code))
    expect(await wallet.done).toEqual({ method, code })
    await expect(dapp.request('ping')).rejects.toEqual(ended)
  })

  it('a person who thinks is waited for; a dapp that does not wait hears nothing later', async () => {
    let answer: ((said: boolean) => void) | undefined
    const { dapp } = await start(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    const asked = dapp.request('echo', { text: 'x' }, { timeout: 30_000 })
    await eventually(() => expect(answer).toBeDefined())
    await expect(dapp.request('echo', { text: 'y' })).rejects.toMatchObject({ code: 'conflict' })
    answer?.(true)
    expect(await asked).toEqual({ echoed: 'x' })

    const hasty = await start(() => new Promise(() => {}))
    await expect(hasty.dapp.request('echo', { text: 'x' }, { timeout: 200 })).rejects.toThrow('in time')
    await expect(hasty.dapp.request('ping')).rejects.toEqual(ended)
  })

  it('ends at its time, by a signal, and by disposing, on both sides', async () => {
    const clock = manualClock(Date.now())
    const relay = kind === 'belfry-relay' ? world.wsUrl : world.url
    const late = await asDapp({ relay, kind, timeout: 1_000 }, { clock })
    const lateWallet = walletSession({ link: late.link, approve: yes, methods, timeout: 2_000 }, { clock })
    open.push(lateWallet)
    await late.ready
    await clock.advance(1_000)
    await expect(late.request('ping')).rejects.toThrow('took too long')
    await clock.advance(1_000)
    await expect(lateWallet.done).rejects.toThrow(/took too long|has left/)

    const stop = new AbortController()
    const { dapp, wallet } = await start(yes, { signal: stop.signal })
    const own = new AbortController()
    const aborted = asWallet(dapp.link, yes, { signal: own.signal })
    own.abort()
    await expect(aborted.done).rejects.toEqual(ended)
    stop.abort()
    await expect(dapp.request('ping')).rejects.toThrow('was ended')
    await wallet[Symbol.asyncDispose]()
    await expect(wallet.done).rejects.toMatchObject({ code: expect.stringMatching(/unavailable|not_found/) })
  })
})

describe('with a session relay', () => {
  it('a published wallet and our dapp, a published dapp and our wallet', async () => {
    const dapp = await asDapp({ relay: world.url })
    const link = parseSessionLink(dapp.link)
    if (link.kind !== 'carmentis-relay') throw new Error('another relay')
    const wallet = await dial(world.url)
    wallet.say('join', { sessionId: link.sessionId })
    const asked = dapp.request('ping')
    const [payload] = await wallet.hears('message')
    const request = JSON.parse(await openPayload(link.key, String(payload)))
    expect(request).toEqual({ jsonrpc: '2.0', id: expect.any(Number), method: 'ping' })
    wallet.say(
      'message',
      await sealPayload(link.key, JSON.stringify({ jsonrpc: '2.0', id: request.id, result: { ts: 1 } })),
    )
    expect(await asked).toEqual({ ts: 1 })

    const sessionId = await createSession(world.url)
    const theirs = await dial(world.url)
    theirs.say('init', { sessionId })
    await theirs.hears('initialized')
    const ours = asWallet(
      formatSessionLink({ kind: 'carmentis-relay', relay: world.url, sessionId, key: link.key }),
    )
    await theirs.hears('session-ready')
    theirs.say('message', await sealPayload(link.key, '{"jsonrpc":"2.0","id":"7","method":"ping"}'))
    const [answered] = await theirs.hears('message')
    expect(JSON.parse(await openPayload(link.key, String(answered)))).toEqual({
      jsonrpc: '2.0',
      id: '7',
      result: { ts: expect.any(Number) },
    })
    expect(await ours.done).toEqual({ method: 'ping' })
    theirs.close()
  })

  it('each end hears that the other has left, and why it is not let in', async () => {
    const dapp = await asDapp({ relay: world.url })
    const wallet = asWallet(dapp.link, () => new Promise(() => {}))
    const asked = dapp.request('echo', { text: 'x' })
    await dapp.ready
    await wallet[Symbol.asyncDispose]()
    await expect(asked).rejects.toThrow('the other end has left')

    const left = await asDapp({ relay: world.url })
    const alone = asWallet(left.link)
    await left.ready
    await left[Symbol.asyncDispose]()
    await expect(alone.done).rejects.toThrow('the other end has left')

    await eventually(() => expect(asWallet(left.link).done).rejects.toThrow('Session not found'))
    const taken = await asDapp({ relay: world.url })
    asWallet(taken.link)
    await taken.ready
    await expect(asWallet(taken.link).done).rejects.toThrow('Session already has a joiner')
  })

  it('that is not there, or is none, is said so at once', async () => {
    await expect(asDapp({ relay: 'http://127.0.0.1:9' })).rejects.toEqual(ended)
    await expect(asDapp({ relay: 'http://relay.example.com' })).rejects.toMatchObject({ code: 'bad_params' })
    await expect(asDapp({ relay: `${world.url}/elsewhere` })).rejects.toThrow('makes no session (404)')
    const link = {
      kind: 'carmentis-relay',
      relay: 'http://127.0.0.1:9',
      sessionId: 'x',
      key: key.seed,
    } as const
    await expect(asWallet(formatSessionLink(link)).done).rejects.toThrow('cannot be reached')
    expect(() => asWallet('cmts://connect/carmentis-relay')).toThrow('the link cannot be used')
  })
})

/** A session relay that does what it likes with what passes through. */
const startEvilRelay = async (
  pass: (payload: unknown, from: Socket, to: Socket) => void,
): Promise<{ url: string } & AsyncDisposable> => {
  const ends: Socket[] = []
  const server = createServer((request, response) => {
    if (request.url !== '/session/create') return
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"sessionId":"evil"}')
  })
  const io = new Server(server, { wsEngine: WebSocketServer })
  io.on('connection', (socket) => {
    ends.push(socket)
    socket.on('init', () => socket.emit('initialized', {}))
    socket.on('join', () => socket.emit('joined', {}))
    const [dapp, wallet] = ends
    if (dapp && wallet) for (const end of ends) end.emit('session-ready')
    socket.on('message', (payload: unknown) => {
      const other = ends.find((end) => end !== socket)
      if (other) pass(payload, socket, other)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void io.close(() => resolve())),
  }
}

describe('a relay that is not honest', () => {
  it('replays and reflects to no effect: the wallet asks its person once, the dapp takes one answer', async () => {
    let passed = 0
    await using relay = await startEvilRelay((payload, from, to) => {
      passed++
      for (let at = 0; at < 5; at++) {
        to.emit('message', payload)
        from.emit('message', payload)
      }
    })
    let asked = 0
    const dapp = await asDapp({ relay: relay.url })
    const wallet = asWallet(dapp.link, async () => {
      asked++
      return true
    })
    await expect(dapp.request('nothing')).rejects.toEqual(refusal(-32601))
    expect(await dapp.request('echo', { text: 'x' })).toEqual({ echoed: 'x' })
    expect(await wallet.done).toEqual({ method: 'echo' })
    expect(asked).toBe(1)
    // Two requests, two answers: nobody has answered a replay.
    expect(passed).toBe(4)
  })

  it('answers a request with the answer to another one, and it is not taken', async () => {
    const answers: unknown[] = []
    const wallets: Socket[] = []
    await using relay = await startEvilRelay((payload, from, to) => {
      const [wallet] = wallets
      if (from === wallet) answers.push(payload)
      else {
        wallets[0] = to
        // An answer of before, ahead of what is asked now.
        for (const old of answers) from.emit('message', old)
      }
      to.emit('message', payload)
    })
    const dapp = await asDapp({ relay: relay.url })
    asWallet(dapp.link)
    await expect(dapp.request('nothing')).rejects.toEqual(refusal(-32601))
    expect(await dapp.request('echo', { text: 'mine' })).toEqual({ echoed: 'mine' })
    expect(answers).toHaveLength(2)
  })

  it('makes up, changes and mixes: nothing of it is heard', async () => {
    const foreign = await sealPayload(
      key.seed,
      '{"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"evil"}}',
    )
    await using relay = await startEvilRelay((payload, from, to) => {
      const text = String(payload)
      const made = [
        null,
        7,
        {},
        '',
        'AAAA',
        foreign,
        `${text}AAAA`,
        text.slice(4),
        `A${text.slice(1)}`,
        Buffer.from(text),
      ]
      for (const one of made) for (const end of [to, from]) end.emit('message', one)
      to.emit('message', payload)
    })
    const seen: unknown[] = []
    const dapp = await asDapp({ relay: relay.url })
    asWallet(dapp.link, async ({ params }) => {
      seen.push(params)
      return true
    })
    expect(await dapp.request('echo', { text: 'x' })).toEqual({ echoed: 'x' })
    expect(seen).toEqual([{ text: 'x' }])
  })

  it('and floods is left', async () => {
    await using relay = await startEvilRelay((_payload, from, to) => {
      for (let at = 0; at < 1_100; at++) for (const end of [to, from]) end.emit('message', `${at}`)
    })
    const dapp = await asDapp({ relay: relay.url })
    const wallet = asWallet(dapp.link)
    await expect(dapp.request('ping')).rejects.toMatchObject({ code: 'rate_limited' })
    await expect(wallet.done).rejects.toMatchObject({ code: 'rate_limited' })
  })
})

it('a relay that never answers is not waited for longer than a quarter of a minute', async () => {
  const server = createServer((_request, response) => {
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"sessionId":"silent"}')
  })
  const io = new Server(server, { wsEngine: WebSocketServer })
  let connected = 0
  io.on('connection', () => void connected++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const relay = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  const clock = manualClock()
  const dapp = dappSession({ relay }, { clock })
  const link = { kind: 'carmentis-relay', relay, sessionId: 'silent', key: key.seed } as const
  const wallet = walletSession({ link, approve: yes, methods }, { clock })
  open.push(wallet)
  const refused = expect(dapp).rejects.toThrow('the relay did not answer')
  await eventually(() => expect(connected).toBe(2))
  await clock.advance(15_000)
  await refused
  await expect(wallet.done).rejects.toThrow('the relay did not answer')
  await new Promise<void>((resolve) => void io.close(() => resolve()))
})

describe('over a relay of messages', () => {
  it('the wallet may come after the dapp has asked', async () => {
    const dapp = await asDapp({ relay: world.wsUrl, kind: 'belfry-relay' })
    const asked = dapp.request('echo', { text: 'early' })
    await dapp.ready
    const wallet = asWallet(dapp.link)
    expect(await asked).toEqual({ echoed: 'early' })
    expect(await wallet.done).toEqual({ method: 'echo' })
  })
})

it('the relay has counted, and kept nothing of what was said', async () => {
  const dapp = await asDapp({ relay: world.url })
  const wallet = asWallet(dapp.link)
  await dapp.request('echo', { text: 'x' })
  await wallet.done
  const text = await world.metrics.text()
  expect(text).toMatch(/^belfry_sessions_messages_total [1-9]/m)
  expect(text).not.toContain(new URL(dapp.link).searchParams.get('sessionId') ?? 'none')
})
