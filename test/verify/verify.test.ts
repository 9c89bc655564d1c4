import { importJWK, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { NO_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { startRedis } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'

const ID = 'ab'.repeat(32)
const DECLARED = 'https://app.example.com'

const keyAnswer = z.object({
  publicKey: z
    .object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() })
    .loose(),
  expiresAt: z.number(),
})

const publicKeyOf = async (world: World) => keyAnswer.parse((await world.http('GET', '/v3/public-key')).body)

/** What a browser gets for the frame of a page of `embedder`. */
const frameFor = async (world: World, query: Record<string, string>, embedder?: string) =>
  fetch(`${world.url}/v3/attestation?${new URLSearchParams(query)}`, {
    ...(embedder !== undefined && { headers: { referer: embedder } }),
  })

const attestationIn = async (world: World, response: Response) => {
  const [, token = ''] = /data-attestation="([^"]*)"/.exec(await response.text()) ?? []
  const { publicKey } = await publicKeyOf(world)
  const { payload } = await jwtVerify(token, await importJWK(publicKey, 'ES256'), { algorithms: ['ES256'] })
  return payload
}

let world: World
beforeAll(async () => {
  world = await startWorld()
  await world.addApp('app.example.com')
  await world.addApp('localhost:3000')
})
afterAll(() => world[Symbol.asyncDispose]())

describe('an attestation', () => {
  it.each([DECLARED, 'http://localhost:3000'])(
    'says that a request came from a page of a declared app: %s',
    async (origin) => {
      const response = await frameFor(world, { id: ID, origin, projectId: 'p' }, `${origin}/`)
      expect(response.headers.get('content-security-policy')).toContain(`frame-ancestors ${origin}`)
      expect(await attestationIn(world, response)).toMatchObject({ id: ID, origin, isVerified: true })
    },
  )

  it.each([
    ['of another page', DECLARED, 'https://lookalike.example/'],
    ['of a program that names no page', DECLARED, undefined],
    ['of a page that no app has declared', 'https://lookalike.example', 'https://lookalike.example/'],
    ['of a page without TLS', 'http://app.example.com', 'http://app.example.com/'],
    ['of another port', `${DECLARED}:8443`, `${DECLARED}/`],
  ])('%s verifies nothing, and is there at once', async (_, origin, referer) => {
    const payload = await attestationIn(world, await frameFor(world, { id: ID, origin }, referer))
    expect(payload).toMatchObject({ id: ID, origin: '', isVerified: false })
  })

  it.each([
    { id: 'x', origin: DECLARED },
    { id: ID, origin: 'app.example.com' },
    { id: ID, origin: `${DECLARED}/path` },
    { id: ID, origin: 'https://a;script-src https://b' },
    { id: ID, origin: 'https://a"b.example' },
    { id: ID, origin: 'javascript:alert(1)' },
    { id: ID },
  ])('is not asked for like this: %j', async (query) => {
    const { status, headers } = await frameFor(world, query, DECLARED)
    expect(status).toBe(422)
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
  })

  it('is paid for by the address that asks', async () => {
    await using poor = await startWorld({
      config: { budgets: { ...NO_BUDGETS, work: { burst: 100, seconds: 600 } } },
    })
    const statuses: number[] = []
    for (let at = 0; at < 40; at++) {
      statuses.push((await frameFor(poor, { id: ID, origin: DECLARED }, DECLARED)).status)
    }
    expect(statuses).toContain(429)
    expect(statuses.filter((status) => status === 200).length).toBeLessThan(20)
  })
})

describe('the key of attestations', () => {
  it('is asked for by pages of any origin, and stays over a restart', async () => {
    const response = await fetch(`${world.url}/v3/public-key`, {
      headers: { origin: 'https://wallet.example' },
    })
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    const { publicKey, expiresAt } = keyAnswer.parse(await response.json())
    expect(publicKey).not.toHaveProperty('d')
    expect(expiresAt).toBeGreaterThan(Date.now() / 1000)
    await world.restart()
    expect((await publicKeyOf(world)).publicKey).toEqual(publicKey)
  })

  it('is one for all processes on a Redis', async () => {
    await using redis = await startRedis()
    const config = { redisUrl: redis.url, secret: 'ab'.repeat(16) }
    await using one = await startWorld({ config })
    await using other = await startWorld({ config, rooms: ['verify'] })
    expect((await publicKeyOf(other)).publicKey).toEqual((await publicKeyOf(one)).publicKey)
    await one.addApp('app.example.com')
    const response = await frameFor(other, { id: ID, origin: DECLARED }, DECLARED)
    expect(await attestationIn(one, response)).toMatchObject({ isVerified: true })
  })
})

it('statements that a server would have kept are answered at once: there are none', async () => {
  expect((await world.http('GET', `/attestation/${ID}`)).status).toBe(404)
})
