/** `belfry webhook`, `belfry welcome` and `belfry settings`, on the server of a world. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startReceiver } from '../support/webhook-receiver.ts'
import { startWorld, type World } from '../support/world.ts'
import { commandLineOf } from './belfry.ts'

const DOMAIN = 'projects.example.com'

let world: World
beforeAll(async () => {
  const allowPrivateAddresses = { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] }
  world = await startWorld({ config: { allowPrivateAddresses } })
  await json('app', 'add', DOMAIN, '--name', 'Example', '--type', 'News: what is new')
})
afterAll(() => world[Symbol.asyncDispose]())

const belfry = (...words: string[]) => commandLineOf(world).belfry(words)
const json = (...words: string[]) => commandLineOf(world).json(...words)

describe('webhook', () => {
  it('adds one, whose receiver is asked, lists, replays and removes it', async () => {
    await using receiver = await startReceiver()
    const { id } = world.project
    const words = ['--url', receiver.url, '--event', 'answered', '--event', 'read']
    const added = await json('webhook', 'add', id, ...words)
    expect(added).toEqual({ id: expect.any(String), secret: expect.stringMatching(/^whsec_/) })
    await eventually(() => expect(receiver.challenges).toHaveLength(1))
    await eventually(async () =>
      expect(await json('webhook', 'list', id)).toMatchObject([
        { id: added.id, url: receiver.url, events: ['answered', 'read'], state: 'enabled' },
      ]),
    )
    expect(await json('webhook', 'replay', id, added.id)).toEqual({ replayed: 0 })
    expect((await belfry('webhook', 'list', id)).stdout).toBe(
      `${added.id}  enabled  ${receiver.url}  answered, read\n`,
    )
    expect(await belfry('webhook', 'remove', id, added.id)).toMatchObject({
      code: 1,
      stderr: 'Say --yes: what is removed does not come back.\n',
    })
    expect(await json('webhook', 'remove', id, added.id, '--yes')).toEqual({ id: added.id })
    expect((await belfry('webhook', 'list', id)).stdout).toBe('There are none yet.\n')
    expect(await json('audit')).toMatchObject({
      rows: expect.arrayContaining([
        expect.objectContaining({ action: 'POST /admin/projects/:id/webhooks' }),
      ]),
    })
  })

  it('says what is wrong', async () => {
    const { id } = world.project
    const fails = async (...words: string[]) => (await belfry('webhook', ...words)).stderr
    expect(await fails('add', id, '--url', 'https://10.0.0.1/', '--event', 'answered')).toMatch(/public/)
    expect(await fails('add', id, '--url', 'http://127.0.0.1:9/', '--event', 'asked')).toMatch(
      /must be one of/,
    )
    expect(await fails('list', 'nobody')).toMatch(/There is nothing here by that name/)
    expect(await fails('remove', id, 'none', '--yes')).toMatch(/There is nothing here by that name/)
  })
})

describe('welcome', () => {
  it('is set, changed in a part, put off, and shown', async () => {
    expect((await belfry('welcome', 'get', DOMAIN)).stdout).toBe('New subscribers get none.\n')
    expect(await json('welcome', 'get', DOMAIN)).toBeNull()
    const words = ['--type', 'News', '--title', 'Welcome', '--body', 'It is good to have you']
    const first = await json('welcome', 'set', DOMAIN, ...words)
    expect(first).toMatchObject({
      enabled: true,
      title: 'Welcome',
      body: 'It is good to have you',
      url: null,
    })
    const changed = { ...first, title: 'Hello', enabled: false }
    expect(await json('welcome', 'set', DOMAIN, '--title', 'Hello', '--off')).toEqual(changed)
    expect(await json('welcome', 'get', DOMAIN)).toEqual(changed)
    expect((await belfry('welcome', 'set', DOMAIN, '--on')).stdout).toMatch(/^on {2}\S+ {2}Hello: It is good/)
  })

  it('says what is wrong', async () => {
    await json('app', 'add', 'quiet.example.com', '--type', 'News')
    const fails = async (...words: string[]) => belfry('welcome', ...words)
    expect(await fails('get', 'nobody.example.com')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not registered/),
    })
    const missing = await fails('set', 'quiet.example.com', '--title', 'Hello')
    expect(missing).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^--type is missing: there is no welcome yet/),
    })
    expect(await fails('set', DOMAIN, '--type', 'Alarm')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/does not declare/),
    })
    expect(await fails('set', DOMAIN, '--on', '--off')).toMatchObject({ code: 2 })
  })
})

describe('settings', () => {
  it('of a project are read and changed one by one', async () => {
    const { id } = world.project
    expect(await json('settings', 'get', 'project', id)).toEqual({})
    const set = { 'retention-days': '90', 'limit.notify': '20, 2/s', 'quota.apps': '5' }
    const words = Object.entries(set).map(([name, value]) => `${name}=${value}`)
    expect(await json('settings', 'set', 'project', id, ...words)).toEqual(set)
    const fewer = { 'retention-days': '90', 'quota.apps': '6' }
    expect(await json('settings', 'set', 'project', id, 'limit.notify=', 'quota.apps=6')).toEqual(fewer)
    expect((await belfry('settings', 'get', 'project', id)).stdout).toBe('retention-days=90\nquota.apps=6\n')
  })

  it('of an app are read and changed one by one', async () => {
    const before = { name: 'Example', description: '', url: '', listed: 'off', links: 'off' }
    expect(await json('settings', 'get', 'app', DOMAIN)).toEqual(before)
    const after = { ...before, listed: 'on', description: 'a = b' }
    expect(await json('settings', 'set', 'app', DOMAIN, 'listed=on', 'description=a = b')).toEqual(after)
    expect(await json('app', 'show', DOMAIN)).toMatchObject({
      listed: true,
      description: 'a = b',
      name: 'Example',
    })
  })

  it.each([
    [['get', 'store', 'x'], /^Settings are of a project or an app, not of "store"/],
    [['set', 'app', DOMAIN, 'listed'], /^A setting is NAME=VALUE, not "listed"/],
    [['set', 'app', DOMAIN, 'listed=yes'], /^listed is on or off, not "yes"/],
    [['set', 'app', DOMAIN, 'colour=red'], /^There is no setting "colour"; there are: name, /],
    [['set', 'project', 'default', 'quota.apps=many'], /^quota\.apps is a whole number, not "many"/],
    [['set', 'project', 'default', 'speed=2'], /^There is no setting "speed"; there are: retention-days, /],
  ])('%j is told what is wrong', async (words, sentence) => {
    const named = words.map((word) => (word === 'default' ? world.project.id : word))
    const { code, stderr } = await belfry('settings', ...named)
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(sentence) })
  })
})
