import { expect, it } from 'vitest'
import { DAY_MS } from '../../../src/platform/units.ts'
import { forwardClock } from '../../support/clock.ts'
import { startWorld } from '../../support/world.ts'
import { openConsole } from './browser-session.ts'

interface Row {
  by: string
  session: string
  action: string
  subject: Record<string, string>
  status: number
  failure: string
  address: string
}

it('has a row for each thing that an operator did, of the command line and of the console, and no secret', async () => {
  await using world = await startWorld()
  const token = world.adminToken
  await world.addApp('app.example', { types: [{ name: 'News' }] })
  await world.http('DELETE', '/admin/apps/nobody.example', { token })
  await world.http('GET', '/admin/apps', { token })
  await world.http('GET', '/admin/backup', { token })
  const made = await world.http('POST', '/admin/projects', { token, body: { id: 'other', name: 'Other' } })
  const page = openConsole(world)
  await page.signIn('wrong')
  await page.signIn()
  await page.ask('POST', '/admin/projects/other/secrets', { body: { name: 'second' } })
  await page.ask('POST', '/admin/blocks', { body: { kind: 'address', value: 'nowhere' } })
  const { cookie } = page
  await page.ask('DELETE', '/console/session')

  const { body } = await world.http('GET', '/admin/audit', { token })
  const { rows } = body as { rows: Row[] }
  const told = rows.map(({ by, action, subject, status }) => [by, action, subject, status]).reverse()
  expect(told).toEqual([
    ['token', 'POST /admin/apps', { domain: 'app.example' }, 200],
    ['token', 'DELETE /admin/apps/:domain', { domain: 'nobody.example' }, 404],
    ['token', 'GET /admin/backup', {}, 200],
    ['token', 'POST /admin/projects', { id: 'other', name: 'Other' }, 200],
    ['session', 'sign in with token', {}, 200],
    ['session', 'POST /admin/projects/:id/secrets', { id: 'other', name: 'second' }, 200],
    ['session', 'POST /admin/blocks', { kind: 'address', value: 'nowhere' }, 422],
    ['session', 'sign out', {}, 200],
  ])
  expect(rows.find(({ status }) => status === 422)?.failure).toContain('must be an IPv4 or IPv6 address')
  expect(rows.every(({ address }) => address === '127.0.0.1')).toBe(true)
  const { secret } = made.body as { secret: string }
  for (const hidden of [secret, token, cookie.split('=')[1] ?? 'none'])
    expect(JSON.stringify(rows)).not.toContain(hidden)
})

it('is told page by page, the newest first, for 90 days', async () => {
  const clock = forwardClock()
  await using world = await startWorld({ clock })
  const token = world.adminToken
  for (let at = 0; at < 5; at++)
    await world.http('POST', '/admin/projects', { token, body: { id: `p${at}` } })
  const seen: string[] = []
  for (let path = '/admin/audit?limit=2'; ; ) {
    const { body } = await world.http('GET', path, { token })
    const { rows, next } = body as { rows: Row[]; next: string | null }
    seen.push(...rows.map(({ subject }) => subject.id ?? ''))
    if (next === null) break
    path = `/admin/audit?limit=2&after=${next}`
  }
  expect(seen).toEqual(['p4', 'p3', 'p2', 'p1', 'p0'])
  clock.forward(91 * DAY_MS)
  expect((await world.http('GET', '/admin/audit', { token })).body).toMatchObject({ rows: [] })
})

it('is bounded: the oldest rows go', async () => {
  await using world = await startWorld()
  const { console: store } = world.stores
  const row = {
    by: 'token',
    session: '',
    passkey: '',
    address: '',
    subject: {},
    status: 200,
    failure: '',
  } as const
  const now = Date.now()
  const many = Array.from({ length: 10_201 }, (_, at) => ({
    ...row,
    ...{ at: now - 20_000 + at, action: `${at}`, id: (at + 1).toString(16).padStart(24, '0') },
  }))
  await store.restoreAudit(many)
  await store.record({ ...row, at: now, action: 'the newest' })
  const [newest] = await store.audit({ limit: 1, now })
  expect(newest?.action).toBe('the newest')
  expect((await store.audit({ limit: 20_000, now })).length).toBeLessThanOrEqual(10_001)
})
