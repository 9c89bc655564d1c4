/** `belfry app show, set, remove` and `belfry subscribers`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'
import { runBelfry } from './belfry.ts'

let world: ClientWorld
let dir: string
beforeAll(async () => {
  world = await startClientWorld()
  dir = mkdtempSync(join(tmpdir(), 'belfry-app-'))
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true })
})

const access = () => ({ cwd: dir, env: { BELFRY_SERVER: world.url, BELFRY_ADMIN_TOKEN: world.adminToken } })
const belfry = (...words: string[]) => runBelfry(words, access())
const json = async (...words: string[]) => {
  const { code, stdout, stderr } = await belfry(...words, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}

describe('app show and set', () => {
  it('show what an app says about itself, and change only what is named', async () => {
    const added = await json('app', 'add', 'shown.test', '--name', 'Shown', '--type', 'News: what is new')
    const shown = await json('app', 'show', 'shown.test')
    expect(shown).toMatchObject({
      ...{ domain: 'shown.test', projectId: added.projectId, name: 'Shown', description: '', listed: false },
      ...{ types: [{ ...added.types[0], description: 'what is new' }], subscribers: 0 },
      ...{ subscribeKey: added.subscribeKey, authenticationKey: added.authenticationKey },
    })
    // Public keys only.
    expect(JSON.stringify(shown)).not.toContain(added.secret)
    expect(Object.keys(shown).filter((name) => /seed|private|secret/i.test(name))).toEqual([])

    const changed = await json('app', 'set', 'shown.test', '--description', 'D', '--listed')
    expect(changed).toEqual({ ...shown, description: 'D', listed: true })
    const types = await json('app', 'set', 'shown.test', '--type', 'News: new words', '--type', 'Sale')
    expect(types.types).toMatchObject([{ id: added.types[0].id, description: 'new words' }, { name: 'Sale' }])
    expect(await json('app', 'set', 'shown.test', '--unlisted')).toEqual({ ...types, listed: false })
    const { stdout } = await belfry('app', 'show', 'shown.test')
    expect(stdout).toContain('  name                 Shown\n')
    expect(stdout).toMatch(/ {2}type {17}\S+ {2}News: new words\n/)
  })

  it.each([
    [['app', 'show', 'nobody.test'], 1, 'The app is not registered: nobody.test'],
    [['app', 'show', 'No Domain'], 1, 'The app is not registered'],
    [['app', 'set', 'nobody.test', '--name', 'N'], 1, 'The app is not registered: nobody.test'],
    [['app', 'set', 'shown.test'], 2, 'Say what to change'],
    [['app', 'set', 'shown.test', '--listed', '--unlisted'], 2, 'not both'],
    [['app', 'set', 'shown.test', '--url', 'no url'], 1, 'url: must be'],
    [['app', 'remove', 'nobody.test', '--yes'], 1, 'The app is not registered: nobody.test'],
    [['app', 'remove', 'shown.test'], 1, 'Say --yes'],
    [['subscribers', 'nobody.test'], 1, 'The app is not registered: nobody.test'],
    [['subscribers', 'shown.test', '--limit', '0'], 2, '--limit must be'],
  ])('%j ends with %i', async (words, code, sentence) => {
    const said = await belfry(...words)
    expect({ code: said.code, stdout: said.stdout }).toEqual({ code, stdout: '' })
    expect(said.stderr).toContain(sentence)
    expect(said.stderr).not.toContain('    at ')
  })
})

describe('subscribers and app remove', () => {
  it('list who is subscribed page by page, and end it all', async () => {
    const domain = 'ends.test'
    const [news = '', sale = ''] = await world.app(domain, ['News', 'Sale'])
    await world.app('stays.test')
    const people = [world.newOwner(), world.newOwner(), world.newOwner()]
    const devices = people.map((owner) => world.device(owner))
    for (const { wallet } of devices) {
      await wallet.watch()
      await wallet.subscribe(domain, [sale])
      await wallet.subscribe('stays.test')
    }
    const accounts = people.map(({ account }) => account)
    const whole = await json('subscribers', domain)
    expect(whole.next).toBeNull()
    expect(whole.subscribers.map(({ account }: { account: string }) => account).sort()).toEqual(
      [...accounts].sort(),
    )
    expect(whole.subscribers[0]).toMatchObject({ types: ['Sale'], expiresAt: expect.stringMatching(/Z$/) })
    const first = await json('subscribers', domain, '--limit', '2')
    const second = await json('subscribers', domain, '--limit', '2', '--after', first.next)
    expect([...first.subscribers, ...second.subscribers]).toEqual(whole.subscribers)
    expect((await belfry('subscribers', domain, '--limit', '2')).stdout).toContain(`--after ${first.next}`)
    expect(await json('app', 'show', domain)).toMatchObject({ subscribers: 3 })

    expect(await json('app', 'remove', domain, '--yes')).toEqual({ domain, ended: 3 })
    for (const { wallet } of devices) {
      await eventually(() => expect(wallet.subscriptions().map((one) => one.domain)).toEqual(['stays.test']))
    }
    expect((await belfry('app', 'show', domain)).code).toBe(1)
    expect((await fetch(`${world.url}/apps/${domain}/did.json`)).status).toBe(404)
    const { wallet } = world.device(world.newOwner())
    await expect(wallet.subscribe(domain)).rejects.toMatchObject({ code: 'unknown_app' })

    // Somebody else may have the domain now: with other keys, and nobody is subscribed to it.
    const again = await json('app', 'add', domain, '--project', 'another', '--type', 'News')
    expect(again.types[0].id).not.toBe(news)
    expect(await json('subscribers', domain)).toEqual({ subscribers: [], next: null })
    expect((await belfry('subscribers', domain)).stdout).toBe('There are none yet.\n')
  }, 120_000)
})
