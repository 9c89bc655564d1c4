import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MINUTE_MS } from '../../../src/platform/units.ts'
import { forwardClock } from '../../support/clock.ts'
import { startRedis } from '../../support/redis.ts'
import { startWorld, type World } from '../../support/world.ts'
import { createAuthenticator, type Lies } from './authenticator.ts'
import { openConsole } from './browser-session.ts'

const ORIGIN = 'https://belfry.example'

describe.each(['LMDB', 'Redis'])('passkeys on %s', (engine) => {
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  let world: World
  let clock: ReturnType<typeof forwardClock>
  let authenticator: ReturnType<typeof createAuthenticator>

  beforeEach(async () => {
    clock = forwardClock()
    if (engine === 'Redis') redis = await startRedis()
    const config = { publicUrl: ORIGIN, ...(redis && { redisUrl: redis.url }) }
    world = await startWorld({ clock, config })
    authenticator = createAuthenticator('belfry.example', ORIGIN)
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
    await redis?.[Symbol.asyncDispose]()
  })

  const register = async (lies: Lies = {}) => {
    const page = openConsole(world)
    await page.signIn()
    const { body } = await page.ask('POST', '/console/passkeys/begin')
    const answer = { name: 'Laptop', answer: authenticator.make(body, lies) }
    return { page, answer, ...(await page.ask('POST', '/console/passkeys', { body: answer })) }
  }
  const signIn = async (lies: Lies = {}) => {
    const page = openConsole(world)
    const asked = await page.ask('POST', '/console/passkeys/ask')
    const proof = { answer: authenticator.prove(asked.body, lies) }
    const { status, body } = await page.ask('POST', '/console/passkeys/session', { body: proof })
    return { page, proof, status, body }
  }

  it('are made in a session and let the operator in; the audit log names them', async () => {
    expect((await register()).status).toBe(200)
    const { page, status, body } = await signIn()
    expect(status).toBe(200)
    expect(body).toMatchObject({ session: { method: 'passkey', passkey: 'Laptop' } })
    expect((await page.ask('GET', '/admin/apps')).status).toBe(200)
    const { body: log } = await page.ask('GET', '/admin/audit?limit=1')
    expect(log).toMatchObject({ rows: [{ action: 'sign in with passkey', passkey: 'Laptop' }] })
  })

  it('answer a challenge once, within five minutes', async () => {
    const { page, answer } = await register()
    expect((await page.ask('POST', '/console/passkeys', { body: answer })).status).toBe(401)
    const first = await signIn()
    const again = await openConsole(world).ask('POST', '/console/passkeys/session', { body: first.proof })
    expect(again.status).toBe(401)
    const asked = await page.ask('POST', '/console/passkeys/ask')
    const late = { answer: authenticator.prove(asked.body) }
    clock.forward(5 * MINUTE_MS + 1)
    expect((await page.ask('POST', '/console/passkeys/session', { body: late })).status).toBe(401)
  })

  it('are of this server, of a verified person, and count', async () => {
    expect((await register({ origin: 'https://evil.example' })).status).toBe(401)
    expect((await register({ rpId: 'evil.example' })).status).toBe(401)
    expect((await register()).status).toBe(200)
    expect((await signIn({ counter: 20 })).status).toBe(200)
    expect((await signIn({ counter: 20 })).status).toBe(401)
    expect((await signIn({ counter: 7 })).status).toBe(401)
    expect((await signIn({ counter: 21, origin: 'https://evil.example' })).status).toBe(401)
    expect((await signIn({ counter: 22, rpId: 'evil.example' })).status).toBe(401)
    // Present, but not verified.
    expect((await signIn({ counter: 23, flags: 0x01 })).status).toBe(401)
    expect((await signIn({ counter: 24 })).status).toBe(200)
  })

  it('are no way in once they are removed, and their challenges are of one session', async () => {
    const { page } = await register()
    const other = openConsole(world)
    await other.signIn()
    const { body } = await page.ask('POST', '/console/passkeys/begin')
    const stolen = { name: 'Theirs', answer: createAuthenticator('belfry.example', ORIGIN).make(body) }
    expect((await other.ask('POST', '/console/passkeys', { body: stolen })).status).toBe(401)
    expect((await page.ask('DELETE', `/console/passkeys/${authenticator.id}`)).status).toBe(204)
    expect((await openConsole(world).ask('POST', '/console/passkeys/ask')).status).toBe(404)
  })

  it('are not asked for by strangers, of whom a challenge takes nothing while there is none', async () => {
    const stranger = openConsole(world)
    expect((await stranger.ask('POST', '/console/passkeys/begin')).status).toBe(401)
    expect((await stranger.ask('GET', '/console/passkeys')).status).toBe(401)
    expect((await stranger.ask('POST', '/console/passkeys/ask')).status).toBe(404)
    for (const answer of [{}, { id: 'x' }, authenticator.prove({ challenge: 'AAAA' })])
      expect(
        (await stranger.ask('POST', '/console/passkeys/session', { body: { answer } })).status,
      ).toBeOneOf([401, 422])
  })
})

it('need a host name and https', async () => {
  await using world = await startWorld({ config: { publicUrl: 'http://203.0.113.7' } })
  const page = openConsole(world)
  const { body } = await page.signIn()
  expect(body).toMatchObject({ passkeys: { unavailable: expect.stringContaining('host name') } })
  expect((await page.ask('POST', '/console/passkeys/begin')).status).toBe(503)
})
