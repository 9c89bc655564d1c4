import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accountKey } from '../../src/protocol/caip.ts'
import { newOwner } from '../support/owner.ts'
import { newDevice } from '../support/story.ts'
import { startWorld, type World } from '../support/world.ts'
import { commandLineOf } from './belfry.ts'

let world: World
let dir: string
beforeAll(async () => {
  world = await startWorld()
  dir = mkdtempSync(join(tmpdir(), 'belfry-cli-'))
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

const belfry = (...words: string[]) => commandLineOf(world, dir).belfry(words)
const json = (...words: string[]) => commandLineOf(world, dir).json(...words)
const statusOf = async (project: string, token: string) =>
  (await world.http('GET', `/${project}/subscribers`, { token })).status

describe('project', () => {
  it('is made with a secret, gets more of them, and each ends alone', async () => {
    const made = await json('project', 'create', 'shop', '--name', 'Shop')
    expect(made).toMatchObject({ id: 'shop', name: 'Shop', secrets: [{ id: 'first', expiresAt: null }] })
    const ci = await json('project', 'secret', 'add', 'shop', '--name', 'CI', '--life', '90d')
    const next = await json('project', 'secret', 'rotate', 'shop', 'first', '--overlap', '24h')
    for (const secret of [made.secret, ci.secret, next.secret])
      expect(await statusOf('shop', secret)).toBe(200)
    const shown = await json('project', 'show', 'shop')
    expect(shown.secrets.map(({ name }: { name: string }) => name)).toEqual(['first', 'CI', 'first'])
    expect(Date.parse(shown.secrets[0].expiresAt) - Date.now()).toBeGreaterThan(23 * 3_600_000)
    expect(shown.secrets[2].lastUsedAt).toMatch(/:00:00\.000Z$/)
    const { stdout } = await belfry('project', 'show', 'shop')
    expect(stdout).toContain(`, last used in the hour from ${shown.secrets[2].lastUsedAt}`)
    expect(JSON.stringify(shown)).not.toContain(ci.secret)
    await json('project', 'secret', 'revoke', 'shop', 'first')
    await json('project', 'secret', 'revoke', 'shop', ci.secretId)
    expect(await statusOf('shop', made.secret)).toBe(401)
    expect(await statusOf('shop', ci.secret)).toBe(401)
    expect(await statusOf('shop', next.secret)).toBe(200)
    const ids = (await json('project', 'list')).map(({ id }: { id: string }) => id)
    expect(ids).toEqual(expect.arrayContaining(['shop', world.project.id]))
  })

  it('the first secret, which the operator can show again, is revoked like any other', async () => {
    const { secret } = await json('app', 'add', 'first.example', '--project', 'first-project')
    await json('project', 'secret', 'rotate', 'first-project', '--overlap', '0')
    expect(await statusOf('first-project', secret)).toBe(401)
    expect((await json('app', 'add', 'first.example')).secret).toBeNull()
  })

  it('is granted limits, quotas and retention, one by one', async () => {
    await json('project', 'create', 'granted')
    await json('project', 'set', 'granted', '--limit', 'subscribersV0=2, 1/h', '--quota', 'apps=1')
    const set = await json('project', 'set', 'granted', '--limit', 'link=off', '--retention-days', '7')
    expect(set.settings).toEqual({
      limits: { subscribersV0: '2, 1/h', link: 'off' },
      quotas: { apps: 1 },
      retentionDays: 7,
    })
    await json('app', 'add', 'one.granted.example', '--project', 'granted')
    const two = await belfry('app', 'add', 'two.granted.example', '--project', 'granted')
    expect(two).toMatchObject({ code: 1, stderr: 'The quota of the project is used up: it is 1 apps\n' })
    const { secret } = await json('app', 'add', 'one.granted.example')
    const statuses = []
    for (let at = 0; at < 3; at++) statuses.push(await statusOf('granted', secret))
    expect(statuses).toEqual([200, 200, 429])
    const back = await json('project', 'set', 'granted', '--quota', 'apps=', '--retention-days', '')
    expect(back.settings).toEqual({ limits: { subscribersV0: '2, 1/h', link: 'off' } })
    const { stdout } = await belfry('project', 'show', 'granted')
    expect(stdout).toContain('subscribersV0: 2, 1/h')
  })

  it.each<[string[], number, string]>([
    [['project', 'show', 'nobody'], 1, 'There is nothing here by that name: project nobody'],
    [['project', 'create', 'a project'], 1, 'a project id is 1 to 64'],
    [['project', 'set', 'shop', '--limit', 'notify=often'], 1, 'limits.notify: must be like 20, 2/s, or off'],
    [['project', 'set', 'shop', '--limit', 'other=off'], 1, 'limits'],
    [['project', 'set', 'shop', '--quota', 'apps=many'], 1, 'quotas.apps'],
    [['project', 'set', 'shop', '--limit', 'notify'], 2, '--limit must be NAME=VALUE'],
    [['project', 'secret', 'rotate', 'shop', '--overlap', 'soon'], 2, '--overlap must be like 30m'],
    [['project', 'secret', 'revoke', 'shop', 'none'], 1, 'secret none'],
    [['project', 'secret', 'revoke', 'shop'], 2, 'SECRET'],
  ])('%j ends with %i', async (words, expected, sentence) => {
    const { code, stderr } = await belfry(...words)
    expect(stderr).toContain(sentence)
    expect(code).toBe(expected)
  })
})

describe('account', () => {
  it('is exported to a file and erased, not without a word', async () => {
    const owner = newOwner()
    await using device = newDevice(world, owner)
    const { types } = await world.addApp('account.example', { types: [{ name: 'News' }] })
    await device.subscribe('account.example', [types[0]?.id ?? ''])
    const file = join(dir, 'account.json')
    await json('account', 'export', owner.account, '--to', file)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      account: owner.account,
      subscriptions: [{ domain: 'account.example' }],
    })
    expect(await belfry('account', 'erase', owner.account)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--yes'),
    })
    const erased = await json('account', 'erase', owner.on(10), '--yes')
    expect(erased).toMatchObject({ identityKeys: 1, subscriptions: 1 })
    const { record } = await world.stores.notify.account(accountKey(owner.account))
    expect(record.subscriptions).toEqual([])
    const none = join(dir, 'none.json')
    expect((await belfry('account', 'export', 'nobody', '--to', none)).code).toBe(1)
    expect(existsSync(none)).toBe(false)
  })
})
