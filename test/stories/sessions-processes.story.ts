/** Sessions whose peers are at different processes on one Redis, and what happens when a process dies. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { dappSession, walletSession } from '../../src/sdk/sessions.ts'
import { createSession, dial as dialUrl, type Wire } from '../sessions/wire.ts'
import { eventually } from '../support/eventually.ts'
import { type ServerProcess, startServerProcess } from '../support/process.ts'
import { startCluster, startRedis } from '../support/redis.ts'

/** Ways to the relay that are closed after each test of the suite. */
const dialing = () => {
  const wires: Wire[] = []
  afterEach(() => {
    for (const wire of wires.splice(0)) wire.close()
  })
  return async ({ url }: { url: string }) => {
    const wire = await dialUrl(url)
    wires.push(wire)
    return wire
  }
}

/** `npm start` with this room alone, on a Redis that others share. */
const startSessions = async (
  redisUrl: string,
  secret: string,
): Promise<Pick<ServerProcess, 'url' | 'end' | 'output'> & AsyncDisposable> => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-sessions-'))
  const running = await startServerProcess(dir, {
    args: ['--rooms', 'sessions'],
    env: { REDIS_URL: redisUrl, BELFRY_SECRET: secret },
  })
  return {
    url: running.url,
    end: running.end,
    output: running.output,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const ENGINES = ['Redis', 'a Redis Cluster'] as const
/** No node may be taken for dead, ms: a fail-over would close sessions. */
const NODE_TIMEOUT = 30_000
/** Others notice that a process was killed by the end of its heartbeat, at two checks: three times the usual, ms. */
const NOTICED_MS = 50_000
const startMembers = async (engine: (typeof ENGINES)[number]) => {
  const redis = engine === 'Redis' ? await startRedis() : await startCluster({ nodeTimeout: NODE_TIMEOUT })
  const secret = randomBytes(32).toString('hex')
  const members = await Promise.all([1, 2, 3].map(() => startSessions(redis.url, secret)))
  return {
    engine,
    members,
    async [Symbol.asyncDispose]() {
      for (const one of members) await one[Symbol.asyncDispose]()
      await redis[Symbol.asyncDispose]()
    },
  }
}

// All processes start before the first test: a start beside it would slow its messages down.
let grounds: Awaited<ReturnType<typeof startMembers>>[]
beforeAll(async () => {
  grounds = await Promise.all(ENGINES.map(startMembers))
}, 120_000)
afterAll(async () => {
  for (const ground of grounds ?? []) await ground[Symbol.asyncDispose]()
})

/** What the tests of an engine have: its processes, ways to them, and two peers who have met. */
const peersOn = (engine: (typeof ENGINES)[number]) => {
  const dial = dialing()
  const member = (at: number) => {
    const one = grounds.find((ground) => ground.engine === engine)?.members[at]
    if (!one) throw new Error('there are three')
    return one
  }

  const met = async (one = member(0), other = member(1)) => {
    const sessionId = await createSession(other.url)
    const dapp = await dial(one)
    dapp.say('init', { sessionId })
    await dapp.hears('initialized')
    const wallet = await dial(other)
    wallet.say('join', { sessionId })
    await Promise.all([dapp.hears('session-ready'), wallet.hears('session-ready')])
    return { sessionId, dapp, wallet }
  }
  return { dial, member, met }
}

describe.each(ENGINES)('on %s', (engine) => {
  const { dial, member, met } = peersOn(engine)

  it('two peers speak to each other, in order, and one hears that the other has left', async () => {
    const { sessionId, dapp, wallet } = await met()
    // A peer that has more under way than the relay takes of one is refused: ten at a time are not.
    for (let at = 0; at < 50; at++) {
      dapp.say('message', { at })
      wallet.say('message', `${at}`)
      if (at % 10 === 9) await Promise.all([dapp.hears('message', at + 1), wallet.hears('message', at + 1)])
    }
    expect(dapp.heard).toEqual([
      ['initialized', { sessionId }],
      ['session-ready'],
      ...Array.from({ length: 50 }, (_, at) => ['message', `${at}`]),
    ])
    expect(wallet.heard.slice(2)).toEqual(Array.from({ length: 50 }, (_, at) => ['message', { at }]))
    dapp.say('message', Buffer.from([1, 2, 3]))
    const [bytes] = await wallet.hears('message', 51)
    expect(Buffer.from(bytes instanceof Uint8Array ? bytes : [])).toEqual(Buffer.from([1, 2, 3]))
    dapp.close()
    expect(await wallet.ends()).toBe('io server disconnect')
    expect(wallet.heard.at(-1)).toEqual(['peer-disconnected'])
  })

  it('each refusal is the same at another process', async () => {
    const { sessionId, dapp, wallet } = await met()
    const open = await createSession(member(0).url)
    for (const [event, name, message] of [
      ['init', sessionId, 'Session already initialized'],
      ['join', sessionId, 'Session already has a joiner'],
      ['join', open, 'Session not yet initialized'],
      ['join', '0'.repeat(32), 'Session not found'],
    ]) {
      const third = await dial(member(2))
      third.say(event ?? '', { sessionId: name })
      await third.ends()
      expect(third.heard).toEqual([['error', { message }]])
    }
    dapp.say('message', 'still here')
    expect(await wallet.hears('message')).toEqual(['still here'])
  })

  it('a dapp and a wallet have their call', async () => {
    await using dapp = await dappSession({ relay: member(0).url })
    const link = dapp.link.replace(encodeURIComponent(member(0).url), encodeURIComponent(member(1).url))
    await using wallet = walletSession({ link, approve: async () => true, methods: {} })
    expect(await dapp.request('ping')).toEqual({ ts: expect.any(Number) })
    expect(await wallet.done).toEqual({ method: 'ping' })
  })
})

// Both engines at the same time: it takes seconds until others notice that a process was killed.
describe.concurrent.each(ENGINES)('on %s', (engine) => {
  const { dial, member, met } = peersOn(engine)

  it.sequential('a process that is killed takes its peers along; those that they spoke to hear it', async () => {
    const { sessionId, dapp, wallet } = await met(member(0), member(2))
    const silent = await met(member(2), member(1))
    await member(2).end('SIGKILL')
    await Promise.all([dapp.ends(NOTICED_MS), silent.wallet.ends(NOTICED_MS)])
    for (const wire of [dapp, silent.wallet]) expect(wire.heard.at(-1)).toEqual(['peer-disconnected'])
    expect(await wallet.ends()).toBe('transport close')
    await eventually(async () => {
      const late = await dial(member(1))
      late.say('join', { sessionId })
      await late.ends()
      expect(late.heard).toEqual([['error', { message: 'Session not found' }]])
    })
  })

  it.sequential('a process that is asked to stop lets all go at once', async () => {
    const { dapp, wallet } = await met()
    const stopped = member(1).end('SIGTERM')
    expect(await wallet.ends()).toBe('io server disconnect')
    await dapp.hears('peer-disconnected')
    expect(await stopped).toBe(0)
  })
})

describe.concurrent('alone', () => {
  const dial = dialing()
  it('a store that is away is said so, and who comes later is served', async () => {
    await using redis = await startRedis({ appendonly: true })
    await using server = await startSessions(redis.url, randomBytes(32).toString('hex'))
    const sessionId = await createSession(server.url)
    const early = await dial(server)
    await redis.stop()
    early.say('init', { sessionId })
    expect(await early.ends()).toBe('io server disconnect')
    expect(early.heard).toEqual([['error', { message: expect.stringContaining('not available right now') }]])
    expect((await fetch(`${server.url}/session/create`, { method: 'POST' })).status).toBe(503)

    await redis.restart()
    await eventually(async () => {
      const late = await dial(server)
      late.say('init', { sessionId })
      await eventually(() => expect(late.heard).toHaveLength(1))
      expect(late.heard).toEqual([['initialized', { sessionId }]])
    })
  })
})
