/** The hub where something of it fails, is over, or limits: through its routes, on a real store. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mqRoutes } from '../../src/mq/http/routes.ts'
import { createFindKeys } from '../../src/mq/keys.ts'
import { createPolls } from '../../src/mq/polls.ts'
import { createProofs } from '../../src/mq/proof.ts'
import { createMqHub } from '../../src/mq/service.ts'
import { createTokens, tokenKeyFrom } from '../../src/mq/token.ts'
import { HOUSE } from '../../src/platform/budgets/payer.ts'
import { createPublicFetch } from '../../src/platform/net/public-fetch.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { NO_RATE_LIMITS } from '../../src/server/config/settings/rate-limits.ts'
import { openLmdb } from '../../src/storage/lmdb/open.ts'
import type { Stores } from '../../src/storage/stores.ts'
import { capturedLog } from '../support/capture/log.ts'
import { eventually } from '../support/eventually.ts'
import { runningTimeOf } from '../support/running-time.ts'
import { startWorld, type World } from '../support/world.ts'
import { type Answer, hasty, hubAt, newAgent } from './agents.ts'

describe('what fails with us is a 500, as the document has it', () => {
  let dir: string
  let stores: Stores
  let isRandomGone: boolean
  let app: ReturnType<typeof mqRoutes>

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'belfry-mq-'))
    stores = await openLmdb({ path: dir })
    isRandomGone = false
    const randomBytes = (length: number) => {
      if (isRandomGone) throw new Error('no entropy')
      return globalThis.crypto.getRandomValues(new Uint8Array(length))
    }
    const clock = systemClock
    const findKeys = createFindKeys({ fetch: createPublicFetch(), speaksFor: async () => false, clock })
    const hub = createMqHub(
      {
        store: stores.mq,
        tokens: createTokens({
          key: tokenKeyFrom(new Uint8Array(32).fill(3)),
          issuer: 'did:web:here',
          clock,
          randomBytes,
        }),
        proofs: createProofs({ findKeys }),
        polls: createPolls({ store: stores.mq, clock, meter: unmeasured }),
        limits: { take: async () => {} },
        clock,
        meter: unmeasured,
        randomBytes,
      },
      { domains: new Map([['default', hasty]]) },
    )
    const deps = {
      hub,
      callerOf: () => ({ name: '', ...HOUSE }),
      log: capturedLog,
      meter: unmeasured,
      newId: () => 'an-id',
    }
    app = mqRoutes(deps, { url: 'http://here' })
  })
  afterEach(async () => {
    await stores[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  })

  const ask = async (method: string, path: string, token?: string, body?: string) => {
    const response = await app.request(`/mq/default${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: token },
      ...(body !== undefined && { body }),
    })
    return { status: response.status, body: await response.json(), headers: response.headers }
  }

  it('a token that cannot be made: with an id that the log has too', async () => {
    isRandomGone = true
    const { status, body } = await ask('GET', `/${newAgent().hash}/token`)
    expect({ status, body }).toEqual({
      status: 500,
      body: { error: 'Internal server error', code: 'internal', id: 'an-id' },
    })
  })

  it('a store that is away, for every verb, and says when to come again', async () => {
    const agent = newAgent()
    const { token } = (await ask('GET', `/${agent.hash}/token`)).body
    const proof = await agent.sign(token)
    await stores[Symbol.asyncDispose]()
    for (const [method, path, body] of [
      ['PUT', `/put/${agent.hash}`, 'x'],
      ['GET', `/get/${agent.hash}/${proof}`],
      ['GET', `/take/${agent.hash}/${proof}`],
      ['GET', `/take/${agent.hash}/id/${proof}`],
      ['DELETE', `/delete/${agent.hash}/id/${proof}`],
    ] as const) {
      const answer = await ask(method, path, token, body)
      expect({ method, status: answer.status, body: answer.body }).toEqual({
        method,
        status: 500,
        body: { error: expect.stringContaining('not available'), code: 'unavailable' },
      })
      expect(answer.headers.get('retry-after')).toBe('5')
    }
  })
})

describe('a poll over HTTP', () => {
  const patient = { ...hasty, connectionTimeout: 30_000 }
  const polls = async (world: World) =>
    Number(/^belfry_mq_polls (\d+)/m.exec(await world.metrics.text())?.[1] ?? Number.NaN)

  it('is answered as soon as something is put, and let go when its client goes away', async () => {
    await using world = await startWorld({ rooms: ['mq'], config: { mq: { domains: { default: patient } } } })
    const hub = hubAt(world.url)
    const agent = newAgent()
    const gone = new AbortController()
    const lost = hub.get(agent, gone.signal).catch(() => 'gone')
    await eventually(async () => expect(await polls(world)).toBe(1))
    gone.abort()
    expect(await lost).toBe('gone')
    await eventually(async () => expect(await polls(world)).toBe(0))

    const [one, two, three] = [hub.get(agent), hub.get(agent), hub.take(agent)]
    await eventually(async () => expect(await polls(world)).toBe(3))
    const id = await hub.put(agent.hash, 'hello')
    const expected = { messageId: id, message: 'hello' }
    expect((await three).body).toEqual(expected)
    // Who only looks may come after who takes.
    const looked = Promise.race([one, two])
    await hub.put(agent.hash, 'again')
    expect((await looked).status).toBe(200)
    await Promise.all([one, two])
    await eventually(async () => expect(await polls(world)).toBe(0))
  })

  it('ends with 204 at once when the server stops', async () => {
    const world = await startWorld({ rooms: ['mq'], config: { mq: { domains: { default: patient } } } })
    const hub = hubAt(world.url)
    const waiting: Promise<Answer>[] = [hub.get(newAgent()), hub.take(newAgent())]
    await eventually(async () => expect(await polls(world)).toBe(2))
    const stopping = await runningTimeOf(async () => {
      const stopped = world[Symbol.asyncDispose]()
      expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([204, 204])
      await stopped
    })
    // By themselves they end after half a minute.
    expect(stopping).toBeLessThan(20_000)
  })
})

describe('time', () => {
  it('takes messages away, tokens too, and gives their room to others', async () => {
    let ahead = 0
    const clock = { now: () => Date.now() + ahead, after: systemClock.after }
    const brief = { ...hasty, ttlDays: 1, queueLength: 1, connectionTimeout: 0 }
    await using world = await startWorld({
      clock,
      config: { rooms: ['mq'], mq: { domains: { default: brief } } },
    })
    const hub = hubAt(world.url)
    const agent = newAgent()
    const id = await hub.put(agent.hash, 'for a day')
    const { token, signature } = await hub.access(agent)
    ahead = 86_400_000 - 60_000
    expect((await hub.get(agent)).body).toEqual({ messageId: id, message: 'for a day' })
    expect((await hub.ask('GET', `/get/${agent.hash}/${signature}`, token)).status).toBe(403)
    ahead = 86_400_000
    expect((await hub.get(agent)).status).toBe(204)
    expect((await hub.take(agent, id)).status).toBe(500)
    expect((await hub.take(agent)).status).toBe(204)
    await hub.put(agent.hash, 'another one')
    expect((await hub.take(agent)).body).toMatchObject({ message: 'another one' })
  })
})

describe('limits', () => {
  it('429, and when to come again; a reader is not held up by strangers who ask for tokens', async () => {
    const limits = { ...NO_RATE_LIMITS, mqToken: '6, 1/h', mqPut: '2, 1/h', mqGet: '3, 1/h' }
    await using world = await startWorld({
      config: { rooms: ['mq'], limits, mq: { domains: { default: hasty } } },
    })
    const hub = hubAt(world.url)
    const agent = newAgent()
    const { token, signature } = await hub.access(agent)
    const refused = ({ status, body, headers }: Answer) => {
      expect({ status, body }).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(60)
    }
    const put = () => hub.ask('PUT', `/put/${agent.hash}`, token, { body: 'x' })
    expect([(await put()).status, (await put()).status]).toEqual([200, 200])
    refused(await put())
    const get = (held = token, proof = signature) => hub.ask('GET', `/get/${agent.hash}/${proof}`, held)
    for (let at = 0; at < 3; at++) expect((await get()).status).toBe(200)
    refused(await get())
    // Another token of the same queue has a bucket of its own.
    const more = await hub.access(agent)
    expect((await get(more.token, more.signature)).status).toBe(200)
    for (let at = 0; at < 4; at++) await hub.token(agent.hash)
    refused(await hub.ask('GET', `/${agent.hash}/token`))
    expect((await hub.ask('GET', `/${newAgent().hash}/token`)).status).toBe(200)
    expect(await world.metrics.text()).toMatch(/mq_refused_total\{reason="rate_limited"\} 3/)
  })
})
