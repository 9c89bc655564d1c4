import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HOUR_MS, MINUTE_MS } from '../../../src/platform/units.ts'
import { forwardClock } from '../../support/clock.ts'
import { startRedis } from '../../support/redis.ts'
import { startWorld, type World } from '../../support/world.ts'
import { openConsole } from './browser-session.ts'

describe.each(['LMDB', 'Redis'])('sessions of the console on %s', (engine) => {
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  let world: World
  let clock: ReturnType<typeof forwardClock>
  beforeEach(async () => {
    clock = forwardClock()
    if (engine === 'Redis') redis = await startRedis()
    world = await startWorld({ clock, ...(redis && { config: { redisUrl: redis.url } }) })
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
    await redis?.[Symbol.asyncDispose]()
  })

  it('begin with the admin token, in a cookie that scripts and other sites do not get', async () => {
    const page = openConsole(world)
    expect((await page.ask('GET', '/console/session')).body).toMatchObject({ session: null })
    expect((await page.ask('GET', '/admin/apps')).status).toBe(401)
    expect((await page.signIn('another')).status).toBe(401)
    const { status, body, setCookie } = await page.signIn()
    expect(status).toBe(200)
    expect(body).toMatchObject({ session: { method: 'token' } })
    expect(setCookie).toMatch(/HttpOnly/)
    expect(setCookie).toMatch(/SameSite=Strict/)
    expect(setCookie).toMatch(/Path=\//)
    expect((await page.ask('GET', '/admin/apps')).status).toBe(200)
  })

  it('end 30 minutes after the last use; what the page asks by itself is none', async () => {
    const page = openConsole(world)
    await page.signIn()
    clock.forward(29 * MINUTE_MS)
    expect((await page.ask('GET', '/admin/apps')).status).toBe(200)
    clock.forward(29 * MINUTE_MS)
    expect((await page.ask('GET', '/admin/apps', { headers: { 'x-background': '1' } })).status).toBe(200)
    clock.forward(2 * MINUTE_MS)
    expect((await page.ask('GET', '/admin/apps')).status).toBe(401)
  })

  it('end 12 hours after they began, however busy they are', async () => {
    const page = openConsole(world)
    await page.signIn()
    for (let step = 1; step < 36; step++) {
      clock.forward(HOUR_MS / 3)
      expect((await page.ask('GET', '/admin/apps')).status).toBe(200)
    }
    clock.forward(HOUR_MS / 3)
    expect((await page.ask('GET', '/admin/apps')).status).toBe(401)
  })

  it('end by signing out, and by another session; a forged or former cookie is none', async () => {
    const [one, other] = [openConsole(world), openConsole(world)]
    await one.signIn()
    await other.signIn()
    const former = one.cookie
    const { body } = await other.ask('GET', '/console/sessions')
    const { sessions } = body as { sessions: { id: string }[] }
    expect(sessions).toHaveLength(2)
    const mine = (await other.ask('GET', '/console/session')).body as { session: { id: string } }
    const theirs = sessions.find(({ id }) => id !== mine.session.id)
    expect((await other.ask('DELETE', `/console/sessions/${theirs?.id}`)).status).toBe(204)
    expect((await one.ask('GET', '/admin/apps')).status).toBe(401)
    one.cookie = `${former.split('=')[0]}=${'A'.repeat(43)}`
    expect((await one.ask('GET', '/admin/apps')).status).toBe(401)
    const last = other.cookie
    expect((await other.ask('DELETE', '/console/session')).status).toBe(204)
    other.cookie = last
    expect((await other.ask('GET', '/admin/apps')).status).toBe(401)
  })

  it('outlast a restart, and their tokens are nowhere in the store', async () => {
    const page = openConsole(world)
    await page.signIn()
    const [session] = await world.stores.console.sessions(clock.now())
    expect(JSON.stringify(session)).not.toContain(page.cookie.split('=')[1])
    await world.restart()
    expect((await page.ask('GET', '/admin/apps')).status).toBe(200)
  })
})

describe('a page of somebody else', () => {
  it.for<Record<string, string>>([
    { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': '', origin: 'null' },
    { origin: 'https://evil.example' },
  ])('changes nothing and reads nothing, cookie or not: %o', async (headers) => {
    await using world = await startWorld()
    const page = openConsole(world)
    await page.signIn()
    const body = { domain: 'made.example' }
    expect((await page.ask('POST', '/admin/apps', { body, headers })).status).toBe(403)
    expect((await page.ask('GET', '/admin/projects', { headers })).status).toBe(403)
    expect((await page.ask('DELETE', '/console/session', { headers })).status).toBe(403)
    const apps = await page.ask('GET', '/admin/apps')
    expect(apps.body).toMatchObject({ apps: [] })
    expect(apps.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('sends no form: what changes something is JSON', async () => {
    await using world = await startWorld()
    const page = openConsole(world)
    await page.signIn()
    const headers = { 'content-type': 'text/plain' }
    expect((await page.ask('POST', '/admin/usage', { body: '{}', headers })).status).toBe(415)
  })
})

it('who tries tokens is held up by address', async () => {
  await using world = await startWorld({ config: { limits: {} } })
  const page = openConsole(world)
  const tries = []
  for (let at = 0; at < 11; at++) tries.push((await page.signIn(`wrong ${at}`)).status)
  expect(tries).toEqual([...Array.from({ length: 10 }, () => 401), 429])
  // The right one, too, or the answer would tell it.
  expect((await page.signIn()).status).toBe(429)
})

it('behind a proxy that names another host the public URL counts', async () => {
  await using world = await startWorld({ config: { publicUrl: 'https://belfry.example' } })
  const page = openConsole(world)
  const headers = { origin: 'https://belfry.example' }
  expect(
    (await page.ask('POST', '/console/session', { body: { token: world.adminToken }, headers })).status,
  ).toBe(200)
  expect((await page.ask('POST', '/admin/usage', { headers })).status).toBe(200)
  expect(
    (await page.ask('POST', '/admin/usage', { headers: { origin: 'https://other.example' } })).status,
  ).toBe(403)
})

it('over https the cookie is of this host alone', async () => {
  await using world = await startWorld({ config: { publicUrl: 'https://belfry.example' } })
  const page = openConsole(world)
  const { setCookie } = await page.signIn()
  expect(setCookie).toMatch(/^__Host-belfry-console=.*Secure/)
})

it('a server without the console has no sessions', async () => {
  await using world = await startWorld({ config: { pages: [] } })
  expect((await openConsole(world).signIn()).status).toBe(404)
})
