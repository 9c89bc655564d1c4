import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApps } from '../../../src/notify/apps/apps.ts'
import { type HttpWorld, startHttpWorld } from '../../support/world/notify-http.ts'

let world: HttpWorld
beforeEach(async () => {
  world = await startHttpWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

const UUID4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('projects', () => {
  it('get an id, and a secret of 32 random bytes of which only the hash is kept', async () => {
    const { project, secret } = await world.apps.createProject({ name: 'Mine' })
    expect(project.id).toMatch(/^[0-9a-f]{32}$/)
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    const kept = await world.store.project(project.id)
    expect(kept).toEqual({
      id: project.id,
      name: 'Mine',
      secretHash: createHash('sha256').update(secret).digest('hex'),
      createdAt: world.clock.now(),
    })
    expect(JSON.stringify(kept)).not.toContain(secret)
  })

  it('keep the id and secret that the operator chose, and refuse an id twice', async () => {
    const { project, secret } = await world.apps.createProject({
      id: 'My_project-1',
      secret: 'chosen secret',
    })
    expect([project.id, secret]).toEqual(['My_project-1', 'chosen secret'])
    await expect(world.apps.createProject({ id: 'My_project-1' })).rejects.toMatchObject({ code: 'conflict' })
    await expect(world.apps.authenticate('My_project-1', 'chosen secret')).resolves.toEqual(project)
  })

  it.each(['', 'a b', 'a/b', 'x'.repeat(65), 'ä'])('refuse the id %j', async (id) => {
    await expect(world.apps.createProject({ id })).rejects.toMatchObject({ code: 'bad_params', field: 'id' })
  })

  it('let in who knows the secret, and do not tell a wrong secret from a project that is not there', async () => {
    const { project, secret } = await world.apps.createProject()
    const other = await world.apps.createProject()
    await expect(world.apps.authenticate(project.id, secret)).resolves.toMatchObject({ id: project.id })
    for (const [id, wrong] of [
      [project.id, ''],
      [project.id, `${secret}x`],
      [project.id, other.secret],
      ['0'.repeat(32), secret],
      ['../../..', secret],
      ['x'.repeat(5000), secret],
    ] as const) {
      await expect(world.apps.authenticate(id, wrong)).rejects.toMatchObject({
        code: 'unauthenticated',
        message: 'Authentication is missing or wrong',
      })
    }
  })
})

describe('enrolment', () => {
  it('makes two key pairs, seals the private ones, and watches the topic before it answers', async () => {
    const projectId = world.project.id
    const { record, authentication, subscribe } = await world.apps.enrol({ projectId, domain: 'app.example' })
    expect(Buffer.from(authentication.publicKey).toString('hex')).toBe(record.authenticationKey)
    expect(Buffer.from(subscribe.publicKey).toString('hex')).toBe(record.subscribeKey)
    expect(record.subscribeTopic).toBe(createHash('sha256').update(subscribe.publicKey).digest('hex'))
    expect(world.joined).toEqual([record.subscribeTopic])
    const kept = await world.store.app('app.example')
    expect(kept).toEqual(record)
    for (const secret of [authentication.seed, subscribe.privateKey]) {
      expect(JSON.stringify(kept)).not.toContain(Buffer.from(secret).toString('hex'))
      expect(JSON.stringify(kept)).not.toContain(Buffer.from(secret).toString('base64url'))
    }
    expect(Buffer.from(world.vault.open(record.authenticationSeed))).toEqual(Buffer.from(authentication.seed))
  })

  it('again answers the same keys and leaves what is declared', async () => {
    const projectId = world.project.id
    const first = await world.apps.enrol({
      projectId,
      domain: 'app.example',
      name: 'App',
      types: [{ name: 'A' }],
    })
    const again = await world.apps.enrol({ projectId, domain: 'app.example' })
    expect(again.record).toEqual(first.record)
  })

  it('gives everyone who enrols at the same time the same keys', async () => {
    const projectId = world.project.id
    const enrolled = await Promise.all(
      Array.from({ length: 20 }, () => world.apps.enrol({ projectId, domain: 'app.example' })),
    )
    expect(new Set(enrolled.map(({ record }) => record.subscribeKey)).size).toBe(1)
    expect(new Set(enrolled.map(({ authentication }) => authentication.did)).size).toBe(1)
  })

  it('is refused to a second project, and to a project that is not there', async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'app.example' })
    const { project } = await world.apps.createProject()
    await expect(world.apps.enrol({ projectId: project.id, domain: 'app.example' })).rejects.toMatchObject({
      code: 'conflict',
      field: 'appDomain',
    })
    await expect(world.apps.enrol({ projectId: 'nobody', domain: 'b.example' })).rejects.toMatchObject({
      code: 'not_found',
    })
    expect(await world.store.app('b.example')).toBeUndefined()
  })

  it.each([
    '',
    'App.example',
    'https://app.example',
    'app.example/',
    ' app.example',
    'a:b',
    'a:123456',
    'ä.example',
  ])('refuses the domain %j', async (domain) => {
    const enrolment = world.apps.enrol({ projectId: world.project.id, domain })
    await expect(enrolment).rejects.toMatchObject({ code: 'bad_params', field: 'domain' })
  })

  it.each(['localhost', 'localhost:3000', 'com', 'a_b-c.example', `${'a'.repeat(253)}`])(
    'takes the domain %j',
    async (domain) => {
      const { record } = await world.apps.enrol({ projectId: world.project.id, domain })
      expect(record.domain).toBe(domain)
    },
  )

  it('fails when the topic cannot be watched, and is completed by asking again', async () => {
    const join = vi.fn().mockRejectedValueOnce(new Error('no relay')).mockResolvedValue(undefined)
    const apps = createApps({ ...world.deps, join })
    const app = { projectId: world.project.id, domain: 'app.example' }
    await expect(apps.enrol(app)).rejects.toThrow('no relay')
    const { record } = await apps.enrol(app)
    expect(join.mock.calls).toEqual([[record.subscribeTopic], [record.subscribeTopic]])
  })
})

describe('declaration', () => {
  it('gives types a random UUID unless they bring an id, and keeps the id of a name', async () => {
    const projectId = world.project.id
    const types = [{ name: 'News' }, { id: 'offers', name: 'Offers', description: 'Cheap' }, { name: 'News' }]
    const { record } = await world.apps.enrol({ projectId, domain: 'app.example', types })
    const [news, offers, moreNews] = record.types
    expect(news).toEqual({ id: expect.stringMatching(UUID4), name: 'News', description: '' })
    expect(offers).toEqual({ id: 'offers', name: 'Offers', description: 'Cheap' })
    expect(moreNews?.id).not.toBe(news?.id)

    const again = await world.apps.enrol({ projectId, domain: 'app.example', types })
    expect(again.record.types).toEqual(record.types)
    const fewer = await world.apps.describe('app.example', {
      types: [{ name: 'New' }, { name: 'News', description: '!' }],
    })
    expect(fewer.record.types[1]).toEqual({ id: news?.id, name: 'News', description: '!' })
    expect(fewer.record.types[0]?.id).toMatch(UUID4)
  })

  it('changes what is named and leaves the rest', async () => {
    const projectId = world.project.id
    const icons = { sm: 'https://app.example/s.png' }
    await world.apps.enrol({ projectId, domain: 'app.example', name: 'App', description: 'It', icons })
    await world.apps.describe('app.example', {
      url: 'https://app.example/in',
      icons: { lg: '/l.png' },
      listed: true,
    })
    expect((await world.apps.byDomain('app.example'))?.record).toMatchObject({
      name: 'App',
      description: 'It',
      url: 'https://app.example/in',
      icons: { sm: 'https://app.example/s.png', md: '', lg: '/l.png' },
      listed: true,
    })
  })

  it.each([
    [[{ id: 'x', name: 'too short' }]],
    [
      [
        { id: 'same', name: 'a' },
        { id: 'same', name: 'b' },
      ],
    ],
  ])('refuses the types %j', async (types) => {
    const enrolment = world.apps.enrol({ projectId: world.project.id, domain: 'app.example', types })
    await expect(enrolment).rejects.toMatchObject({ code: 'bad_params' })
    expect(await world.store.app('app.example')).toBeUndefined()
  })

  it('of an app that is not there is refused', async () => {
    await expect(world.apps.describe('b.example', { name: 'B' })).rejects.toMatchObject({
      code: 'unknown_app',
    })
  })
})

describe('look-ups', () => {
  it('find an app by domain and by topic, also one that was asked for before another process enrolled it', async () => {
    const other = createApps(world.deps)
    expect(await world.apps.byDomain('app.example')).toBeUndefined()
    const { record } = await other.enrol({ projectId: world.project.id, domain: 'app.example' })
    expect(await world.apps.byTopic('0'.repeat(64))).toBeUndefined()
    expect((await world.apps.byDomain('app.example'))?.record).toEqual(record)
    expect((await world.apps.byTopic(record.subscribeTopic))?.record).toEqual(record)
    await other.describe('app.example', { name: 'New name' })
    expect((await world.apps.byDomain('app.example'))?.record.name).toBe('New name')
  })

  it('open keys once', async () => {
    await world.apps.enrol({ projectId: world.project.id, domain: 'app.example' })
    const open = vi.fn(world.vault.open)
    const apps = createApps({ ...world.deps, vault: { ...world.vault, open } })
    const first = await apps.byDomain('app.example')
    const second = await apps.byTopic(first?.record.subscribeTopic ?? '')
    expect(second?.authentication).toBe(first?.authentication)
    expect(open).toHaveBeenCalledTimes(2)
  })

  it('list a project page by page, in domain order', async () => {
    const { project } = await world.apps.createProject()
    for (const domain of ['c', 'a', 'b']) await world.apps.enrol({ projectId: world.project.id, domain })
    await world.apps.enrol({ projectId: project.id, domain: 'aa' })
    const domains = async (page: Parameters<typeof world.apps.list>[0]) =>
      (await world.apps.list(page)).map(({ domain }) => domain)
    expect(await domains({ limit: 10 })).toEqual(['a', 'aa', 'b', 'c'])
    expect(await domains({ projectId: world.project.id, limit: 2 })).toEqual(['a', 'b'])
    expect(await domains({ projectId: world.project.id, limit: 2, after: 'b' })).toEqual(['c'])
  })
})
