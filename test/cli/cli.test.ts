import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createWallet, fromNotifyServer } from '../../src/sdk/wallet.ts'
import { SETTING_NAMES, settingOf } from '../../src/server/config/settings.ts'
import { newOwner } from '../support/owner.ts'
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

const belfry = (words: string[], env?: NodeJS.ProcessEnv) => commandLineOf(world, dir).belfry(words, env)
const json = (...words: string[]) => commandLineOf(world, dir).json(...words)

it('belfry --version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
  expect(await belfry(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('app add', () => {
  it('prints what a script needs, and the printed secret works', async () => {
    const app = await json(
      'app',
      'add',
      'app.example.com',
      '--name',
      'Example',
      '--type',
      'News: what: is new',
      '--type',
      'Sale',
    )
    expect(Object.keys(app)).toEqual([
      'projectId',
      'secret',
      'domain',
      'subscribeKey',
      'authenticationKey',
      'types',
    ])
    expect(app).toMatchObject({
      projectId: world.project.id,
      secret: world.project.secret,
      domain: 'app.example.com',
      types: [{ name: 'News' }, { name: 'Sale' }],
    })
    const { status } = await world.http('GET', `/${app.projectId}/subscribers`, { token: app.secret })
    expect(status).toBe(200)
    const config = await world.http('GET', '/w3i/v1/notify-config?appDomain=app.example.com')
    expect(config.body).toMatchObject({
      data: {
        name: 'Example',
        notificationTypes: [{ name: 'News', description: 'what: is new' }, { name: 'Sale' }],
      },
    })
  })

  it('again changes what is said and keeps the ids', async () => {
    const first = await json('app', 'add', 'again.example.com', '--type', 'News: old')
    const again = await json(
      'app',
      'add',
      'again.example.com',
      '--type',
      'News: new',
      '--description',
      'D',
      '--url',
      'https://again.example.com',
      '--icon',
      'https://again.example.com/i.png',
      '--listed',
    )
    expect(again).toEqual(first)
    const { body } = await world.http('GET', '/w3i/v1/projects')
    expect(body).toMatchObject({
      projects: {
        'again.example.com': {
          description: 'D',
          homepage: 'https://again.example.com',
          image_url: { sm: 'https://again.example.com/i.png', lg: 'https://again.example.com/i.png' },
        },
      },
    })
  })

  it('with a project of its own prints that one’s secret', async () => {
    const app = await json('app', 'add', 'own.example.com', '--project', 'own-project')
    expect(app.projectId).toBe('own-project')
    const ask = (token: string) => world.http('GET', '/own-project/subscribers', { token })
    expect((await ask(app.secret)).status).toBe(200)
    expect((await ask(world.project.secret)).status).toBe(401)
  })

  it('for people prints the same in words', async () => {
    const { code, stdout } = await belfry(['app', 'add', 'words.example.com', '--type', 'News'])
    expect(code).toBe(0)
    expect(stdout).toContain('words.example.com is ready')
    expect(stdout).toContain(world.project.secret)
  })

  it.each<[string[], number, string]>([
    [['app', 'add', 'Not A Domain'], 1, 'domain: must be a domain in lower case'],
    [
      ['app', 'add', 'app.example.com', '--project', 'other'],
      1,
      'already taken: another project holds this domain',
    ],
    [['app', 'add'], 2, 'DOMAIN'],
    [['app', 'add', 'a.example', '--type', ': nothing'], 2, "--type must be 'Name: description'"],
    [['app', 'add', 'a.example', 'b.example'], 2, 'Too many arguments'],
    [['app', 'add', 'a.example', '--colour', 'red'], 2, "Unknown option '--colour'"],
  ])('%j ends with %i', async (words, expected, sentence) => {
    const { code, stdout, stderr } = await belfry(words)
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain('    at ')
  })
})

describe('app list, keys, notify', () => {
  it('show what is there and send what is said', async () => {
    const app = await json('app', 'add', 'bell.example.com', '--type', 'News')
    const owner = newOwner()
    await using wallet = createWallet({
      url: world.url,
      account: owner.account,
      sign: async (text: string) => owner.sign(text),
      domain: 'wallet.example.com',
      allApps: true,
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, world.url),
    })
    await wallet.subscribe('bell.example.com')

    const apps = await json('app', 'list')
    expect(apps.map(({ domain }: { domain: string }) => domain)).toContain('bell.example.com')
    expect((await belfry(['app', 'list'])).stdout).toContain('bell.example.com')

    const keys = await json('keys', 'list')
    expect(keys).toContainEqual({ identityKey: wallet.identityKey, account: owner.account, revokedAt: null })
    const shown = await json('keys', 'show', wallet.identityKey)
    expect(shown).toMatchObject({
      identityKey: wallet.identityKey,
      cacao: { p: { iss: `did:pkh:${owner.account}` } },
    })
    expect((await belfry(['keys', 'show', 'did:key:z6Mkx'])).code).toBe(1)

    const say = ['--title', 'Hello', '--body', 'There']
    const byName = await json('notify', 'bell.example.com', '--type', 'News', ...say, '--all')
    expect(byName).toMatchObject({ status: 'done', total: 1, handed: 1, skipped: 0 })
    const byId = ['notify', 'bell.example.com', '--type', app.types[0].id, ...say, '--account', owner.account]
    expect(await json(...byId)).toMatchObject({ sent: [owner.account] })

    const stranger = newOwner().account
    const missed = await belfry([...byId, '--account', stranger, '--json'])
    expect(missed).toMatchObject({ code: 1, stderr: '1 did not get it.\n' })
    expect(JSON.parse(missed.stdout)).toEqual({ sent: [owner.account], failed: [], not_found: [stranger] })
    const { notifications } = await wallet.history('bell.example.com')
    expect(notifications).toHaveLength(3)
  })

  it('broadcast shows how far it is, and cancels', async () => {
    const app = await json('app', 'add', 'tower.example.com', '--type', 'News')
    const owner = newOwner()
    await using wallet = createWallet({
      url: world.url,
      account: owner.account,
      sign: async (text: string) => owner.sign(text),
      domain: 'wallet.example.com',
      allApps: true,
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, world.url),
    })
    await wallet.subscribe('tower.example.com')
    const say = ['broadcast', 'tower.example.com', '--type', 'News', '--title', 'Hello', '--body', 'All']
    const { code, stdout, stderr } = await belfry([...say, '--id', 'one'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('1 of 1\n') })
    expect(stdout).toMatch(/^one done: handed over to 1 of 1 subscribers, 0 skipped/)
    expect(await json(...say, '--id', 'one', '--detach')).toEqual({ id: 'one', status: 'done' })
    expect((await belfry(['broadcast', 'tower.example.com', '--status', 'one'])).stdout).toContain('done: ')
    expect(await json('broadcast', 'tower.example.com', '--cancel', 'one')).toEqual({ cancelled: 0 })
    expect(await belfry(['broadcast', 'tower.example.com', '--status', 'none'])).toMatchObject({ code: 1 })
    expect((await belfry([...say, '--type', 'No such'])).code).toBe(1)
    const { notifications } = await wallet.history('tower.example.com')
    expect(notifications).toMatchObject([{ type: app.types[0].id, title: 'Hello', body: 'All' }])
  })

  it.each<[string[], string]>([
    [['broadcast', 'bell.example.com', '--title', 'a', '--body', 'b'], '--type'],
    [['broadcast'], 'DOMAIN'],
    [['notify', 'bell.example.com', '--title', 'a', '--body', 'b', '--all'], '--type'],
    [['notify', 'bell.example.com', '--type', 'News', '--title', 'a', '--body', 'b'], 'Say who gets it'],
    [['keys', 'show'], 'KEY'],
  ])('%j makes no sense', async (words, sentence) => {
    const { code, stderr } = await belfry(words)
    expect(code).toBe(2)
    expect(stderr).toContain(sentence)
  })
})

describe('rotate', () => {
  it('replaces the keys of an app and of the server, and says until when the former ones count', async () => {
    const old = await json('app', 'add', 'keys.example.com')
    const document = async (path: string) => (await fetch(`${world.url}${path}`)).json()
    const rotated = await json('rotate', 'app', 'keys.example.com', '--overlap', '2d')
    expect(Object.keys(rotated)).toEqual(['authenticationKey', 'subscribeKey', 'until'])
    expect(rotated.subscribeKey).not.toBe(old.subscribeKey)
    expect(Math.round((Date.parse(rotated.until) - Date.now()) / 3_600_000)).toBe(48)
    const both = await document('/apps/keys.example.com/did.json')
    expect(
      both.verificationMethod.map(({ publicKeyJwk }: { publicKeyJwk: { x: string } }) =>
        Buffer.from(publicKeyJwk.x, 'base64url').toString('hex'),
      ),
    ).toEqual([rotated.subscribeKey, rotated.authenticationKey, old.subscribeKey, old.authenticationKey])
    await json('rotate', 'app', 'keys.example.com', '--overlap', '0')
    expect((await document('/apps/keys.example.com/did.json')).keyAgreement).toHaveLength(1)
    const { code, stdout } = await belfry(['rotate', 'server'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/former ones count until \d{4}-/)
    expect((await document('/.well-known/did.json')).keyAgreement).toHaveLength(2)
  })

  it('refuses a time that is none, and an app that is not there', async () => {
    for (const overlap of ['soon', '30', '-1d', '2w']) {
      const { code, stderr } = await belfry(['rotate', 'server', `--overlap=${overlap}`])
      expect(code).toBe(2)
      expect(stderr).toContain('--overlap must be a time')
    }
    const { code, stderr } = await belfry(['rotate', 'app', 'nobody.example.com'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('nobody.example.com') })
  })
})

describe('reseal', () => {
  it('finds nothing to do where the secret was never changed', async () => {
    expect(await json('reseal')).toMatchObject({ isDone: true, resealed: 0, unreadable: 0, error: null })
  })

  it('makes no new secret where no server has made one', async () => {
    const { code, stderr } = await belfry(['reseal', '--new', '--data', dir])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('no server has made one') })
  })
})

describe('the server that is asked', () => {
  it('is the one of the data directory, or of --server and --token', async () => {
    const elsewhere = { BELFRY_DATA: dir }
    const there = ['--server', world.url, '--token', world.adminToken]
    expect((await belfry(['app', 'list', ...there], elsewhere)).code).toBe(0)
    const byEnvironment = { ...elsewhere, BELFRY_SERVER: world.url, BELFRY_ADMIN_TOKEN: world.adminToken }
    expect((await belfry(['app', 'list'], byEnvironment)).code).toBe(0)
    expect((await belfry(['app', 'list', '--data', world.dataDir], elsewhere)).code).toBe(0)
    expect(await belfry(['app', 'list', '--server', world.url, '--token', 'wrong'], elsewhere)).toMatchObject(
      {
        code: 1,
        stderr: 'Authentication is missing or wrong: the admin token\n',
      },
    )
    expect((await belfry(['app', 'list', '--server', world.url], elsewhere)).code).toBe(2)
  })

  it('may not run', async () => {
    expect(await belfry(['app', 'list'], { BELFRY_DATA: dir })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No server is running on the data directory'),
    })
    // Killed, so that its file is still there.
    writeFileSync(join(dir, 'admin.json'), JSON.stringify({ url: 'http://127.0.0.1:9', token: 'x' }))
    expect(await belfry(['app', 'list'], { BELFRY_DATA: dir })).toMatchObject({
      code: 1,
      stderr: 'No server answers at http://127.0.0.1:9. Start one with: belfry serve\n',
    })
    rmSync(join(dir, 'admin.json'))
  })
})

describe('help', () => {
  it('lists every command, and every flag of serve', async () => {
    const { code, stdout } = await belfry(['--help'])
    expect(code).toBe(0)
    for (const name of ['serve', 'app', 'notify', 'keys', 'doctor', 'demo']) expect(stdout).toContain(name)
    const serve = await belfry(['serve', '--help'])
    expect(serve.code).toBe(0)
    for (const name of SETTING_NAMES) {
      const { flag, env } = settingOf(name)
      if (flag === undefined) continue
      expect(serve.stdout).toContain(`--${flag}`)
      expect(serve.stdout).toContain(env)
    }
    expect((await belfry(['app', 'add', '--help'])).stdout).toContain('--type')
  })

  it('is what a command line without sense gets, with 2', async () => {
    for (const words of [
      [],
      ['app'],
      ['nonsense'],
      ['app', 'nonsense'],
      ['serve', '--prot', '1'],
      ['serve', 'x'],
    ]) {
      const { code, stdout, stderr } = await belfry(words)
      expect({ words, code, stdout }).toEqual({ words, code: 2, stdout: '' })
      expect(stderr).toMatch(/\nSee: belfry .*--help\n$/)
      expect(stderr).not.toContain('    at ')
    }
  })
})
