/** `belfry import walletconnect`: apps in the shapes of the hosted service, and whom to invite. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newOwner } from '../support/owner.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'
import { runBelfry } from './belfry.ts'

const TYPE = '4d2f4c64-5d3a-4f2c-9d6d-3a9b6f1f7c11'
const icon = (size: string) => `https://cdn.example/${size}.png`
const icons = { sm: icon('sm'), md: icon('md'), lg: icon('lg') }
/** As the hosted service answers, with what Belfry has no place for. */
const config = (domain: string) => ({
  data: {
    id: 'f3a1b2c4',
    name: 'Shop',
    homepage: `https://${domain}`,
    description: 'A shop',
    dapp_url: `https://${domain}/app`,
    image_id: 'x',
    image_url: icons,
    notificationTypes: [
      { id: TYPE, name: 'News', description: 'What is new', imageUrls: icons },
      { id: '5d2f4c64-5d3a-4f2c-9d6d-3a9b6f1f7c12', name: 'Sales', description: '', imageUrls: null },
    ],
    isVerified: true,
  },
})

let world: ClientWorld
let dir: string
let service: Server
let serviceUrl: string
beforeAll(async () => {
  world = await startClientWorld()
  dir = mkdtempSync(join(tmpdir(), 'belfry-import-'))
  service = createServer(({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://x')
    if (pathname === '/large') return response.end(`"${'x'.repeat(5_000_000)}"`)
    if (pathname !== '/w3i/v1/notify-config') return response.writeHead(404).end('{}')
    response.end(JSON.stringify(config(searchParams.get('appDomain') ?? '')))
  })
  await new Promise<void>((done) => service.listen(0, '127.0.0.1', done))
  const address = service.address()
  serviceUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  service.close()
  rmSync(dir, { recursive: true })
})

const access = () => ({ cwd: dir, env: { BELFRY_SERVER: world.url, BELFRY_ADMIN_TOKEN: world.adminToken } })
const belfry = (...words: string[]) => runBelfry(words, access())
const json = async (...words: string[]) => {
  const { code, stdout, stderr } = await belfry(...words, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)
}
const importing = (...words: string[]) => json('import', 'walletconnect', ...words)
const file = (name: string, content: unknown) => {
  writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}

describe('an app', () => {
  it('is added from where the service answers, once, with the ids of its types', async () => {
    const source = `${serviceUrl}/w3i/v1/notify-config?projectId=p&appDomain=shop.test`
    expect(await importing(source, '--dry-run')).toEqual({
      dryRun: true,
      apps: [{ domain: 'shop.test', action: 'add', types: 2 }],
    })
    expect((await belfry('app', 'show', 'shop.test')).code).toBe(1)

    const { apps } = await importing(source, '--project', 'moved', '--listed')
    expect(apps).toEqual([
      { domain: 'shop.test', action: 'add', types: 2, projectId: 'moved', secret: expect.any(String) },
    ])
    const shown = await json('app', 'show', 'shop.test')
    expect(shown).toMatchObject({
      ...{ name: 'Shop', description: 'A shop', url: 'https://shop.test/app', icons, listed: true },
      types: [
        { id: TYPE, name: 'News', description: 'What is new' },
        { name: 'Sales', description: '' },
      ],
    })
    expect(await importing(source)).toMatchObject({ apps: [{ action: 'keep' }] })
    expect(await json('app', 'show', 'shop.test')).toEqual(shown)
  })

  it('is changed where the source says something else, and keeps types of its own', async () => {
    const name = file('changed.json', config('changed.test'))
    await importing(name)
    await belfry(
      'app',
      'set',
      'changed.test',
      '--name',
      'Mine',
      '--type',
      'News: mine',
      '--type',
      'Own: of here',
    )
    const before = await json('app', 'show', 'changed.test')
    expect(await importing(name, '--dry-run')).toMatchObject({ apps: [{ action: 'change' }] })
    expect(await json('app', 'show', 'changed.test')).toEqual(before)
    expect(await importing(name)).toMatchObject({ apps: [{ action: 'change' }] })
    const after = await json('app', 'show', 'changed.test')
    expect(after.name).toBe('Shop')
    expect(after.types.map((type: { name: string }) => type.name)).toEqual(['News', 'Sales', 'Own'])
    expect(after.types[0].id).toBe(TYPE)
    expect(after.authenticationKey).toBe(before.authenticationKey)
    expect(await importing(name)).toMatchObject({ apps: [{ action: 'keep' }] })
  })

  it('is one of many in a list, or in an answer of projects', async () => {
    const list = [config('one.test'), { ...config('x.test').data, appDomain: 'two.test' }]
    const said = await belfry('import', 'walletconnect', file('list.json', list))
    expect(said).toMatchObject({ code: 0, stderr: '' })
    expect(said.stdout).toContain('one.test is added; 2 types.')
    expect(said.stdout).toContain('two.test is added; 2 types.')
    expect(said.stdout).toContain('docs/moving.md')
    const { notificationTypes: _, ...plain } = config('three.test').data
    const projects = { projects: { a: plain }, count: 1 }
    expect(await importing(file('projects.json', projects))).toMatchObject({
      apps: [{ domain: 'three.test', action: 'add', types: 0 }],
    })
  })
})

describe('former subscribers', () => {
  it('are invited and not subscribed, and those that came are left out', async () => {
    const [came, waiting] = [world.newOwner(), newOwner()]
    await importing(file('invite.json', config('invite.test')))
    const { wallet } = world.device(came)
    await wallet.watch()
    await wallet.subscribe('invite.test')

    const accounts = [came.account, waiting.account, waiting.on(137)]
    file('subscribers.json', accounts)
    const words = ['invite.json', '--accounts', 'subscribers.json', '--to', 'invite.txt']
    expect((await importing(...words, '--dry-run')).invitations.invite).toEqual([waiting.account])
    expect(existsSync(join(dir, 'invite.txt'))).toBe(false)
    const { invitations } = await importing(...words)
    expect(invitations).toEqual({
      link: expect.stringMatching(/^http:\/\/localhost:\d+\/#\/discover\/invite\.test$/),
      ...{ accounts: 2, subscribed: 1, invite: [waiting.account] },
    })
    expect(readFileSync(join(dir, 'invite.txt'), 'utf8')).toBe(`${waiting.account}\n`)
    const { subscribers } = await json('subscribers', 'invite.test')
    expect(subscribers.map(({ account }: { account: string }) => account)).toEqual([came.account])

    const lines = file(
      'lines.txt',
      `# from the other service\n${came.account}\n\n${waiting.account} # late\n`,
    )
    const said = await belfry('import', 'walletconnect', 'invite.json', '--accounts', lines)
    expect(said.stdout).toContain('Of 2 accounts 1 are subscribed here. 1 are to be invited')
  })
})

it.each([
  [['nowhere.json'], 1, 'The file nowhere.json cannot be read'],
  [['text.txt'], 1, 'text.txt holds no JSON'],
  [['number.json'], 1, 'no answer of notify-config'],
  [['empty.json'], 1, 'There is no app in it'],
  [['many.json'], 1, 'At most 100 apps'],
  [['twice.json'], 1, 'same.test is named twice'],
  [['two.json', '--domain', 'x.test'], 1, '--domain cannot name them'],
  [['two.json', '--accounts', 'text.txt'], 2, '--accounts is of one app'],
  [['nameless.json'], 1, 'Nothing says on which domain "Shop" is'],
  [['long.json'], 1, 'long.test cannot be imported'],
  [['one.json', '--domain', 'No Domain'], 1, 'cannot be imported'],
  [['one.json', '--accounts', 'text.txt'], 1, 'Entry 1 of text.txt is no CAIP-10 account: "no JSON"'],
  [['one.json', '--to', 'x'], 2, '--to needs --accounts'],
  [['SERVICE/large'], 1, 'too large'],
  [['SERVICE/nothing?secret=abc'], 1, '/nothing answered 404'],
  [['http://127.0.0.1:1/x'], 1, 'does not answer'],
  [[], 2, 'See: belfry import walletconnect --help'],
])('import walletconnect %j ends with %i', async (words, code, sentence) => {
  file('text.txt', 'no JSON')
  file('number.json', 7)
  file('empty.json', [])
  file(
    'many.json',
    Array.from({ length: 101 }, (_, at) => config(`a${at}.test`)),
  )
  file('twice.json', [config('same.test'), config('same.test')])
  file('two.json', [config('a.test'), config('b.test')])
  file('nameless.json', { data: { name: 'Shop' } })
  file('long.json', { data: { ...config('long.test').data, name: 'x'.repeat(200) } })
  file('one.json', config('refused.test'))
  const said = await belfry(
    'import',
    'walletconnect',
    ...words.map((word) => word.replace('SERVICE', serviceUrl)),
  )
  expect({ code: said.code, stdout: said.stdout }).toEqual({ code, stdout: '' })
  expect(said.stderr).toContain(sentence)
  expect(said.stderr).not.toMatch(/ {4}at |secret=abc/)
})
