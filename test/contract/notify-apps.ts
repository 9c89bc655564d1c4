import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine, TestStores } from '../support/stores.ts'
import { app, project } from './notify-samples.ts'

/** The notify server's own keys, projects and apps. */
export const notifyAppsContract = (engine: Engine): void => {
  describe(`projects and apps of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('keeps the first proposal of server keys, and gives it to everyone, also after a restart', async () => {
      const proposals = Array.from({ length: 100 }, (_, at) => ({
        authentication: `${at}`,
        subscribe: `${at}`,
      }))
      const kept = await Promise.all(proposals.map((proposal) => store().serverKeys(proposal)))
      expect(new Set(kept.map((keys) => JSON.stringify(keys))).size).toBe(1)
      expect(proposals).toContainEqual(kept[0])
      await stores.reopen()
      expect(await store().serverKeys({ authentication: 'late', subscribe: 'late' })).toEqual(kept[0])
    })

    it('creates a project once', async () => {
      const other = { ...project('a'), name: 'Another' }
      expect(await store().createProject(project('a'))).toBe(true)
      expect(await store().createProject(other)).toBe(false)
      expect(await store().project('a')).toEqual(project('a'))
      expect(await store().project('b')).toBeUndefined()
    })

    it('lets exactly one of many create a project', async () => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, at) => store().createProject({ ...project('a'), name: `${at}` })),
      )
      expect(answers.filter(Boolean)).toHaveLength(1)
      expect((await store().project('a'))?.name).toBe(`${answers.indexOf(true)}`)
    })

    it('pages through the projects', async () => {
      const ids = Array.from({ length: 12 }, (_, at) => `p${`${at}`.padStart(2, '0')}`)
      for (const id of ids) await store().createProject(project(id))
      const first = await store().projects({ limit: 5 })
      expect(first.map(({ id }) => id)).toEqual(ids.slice(0, 5))
      const rest = await store().projects({ after: ids[4] ?? '', limit: 50 })
      expect(rest.map(({ id }) => id)).toEqual(ids.slice(5))
    })

    it('gives an app back as it was created, by domain and by topic', async () => {
      expect(await store().createApp(app('app.example'))).toEqual(app('app.example'))
      expect(await store().app('app.example')).toEqual(app('app.example'))
      expect(await store().appByTopic('subscribe topic of app.example')).toEqual(app('app.example'))
      expect(await store().app('App.example')).toBeUndefined()
      expect(await store().appByTopic('another topic')).toBeUndefined()
    })

    it('answers the app that holds a domain to whoever comes later', async () => {
      await store().createApp(app('app.example'))
      const late = app('app.example', { projectId: 'another', subscribeTopic: 'another topic' })
      expect(await store().createApp(late)).toEqual(app('app.example'))
      expect(await store().appByTopic('another topic')).toBeUndefined()
      expect(await store().apps({ projectId: 'another', limit: 10 })).toEqual([])
    })

    it('shows exactly one of many their own proposal of an app', async () => {
      const proposals = Array.from({ length: 100 }, (_, at) =>
        app('app.example', { projectId: `p${at}`, subscribeTopic: `topic ${at}` }),
      )
      const held = await Promise.all(proposals.map((proposal) => store().createApp(proposal)))
      const winners = proposals.filter((proposal, at) => held[at]?.projectId === proposal.projectId)
      expect(winners).toHaveLength(1)
      for (const one of held) expect(one).toEqual(winners[0])
    })

    it('replaces what describes an app, and nothing else', async () => {
      await store().createApp(app('app.example'))
      const description = {
        name: 'New name',
        description: '',
        url: '',
        icons: { sm: '1', md: '2', lg: '3' },
        types: [],
        listed: true,
        links: true,
        welcome: { enabled: true, type: 'news', title: 'Hello', body: 'Welcome', url: null },
      }
      await store().describeApp('app.example', description)
      expect(await store().app('app.example')).toEqual({ ...app('app.example'), ...description })
      const { links: _, welcome: __, ...rest } = description
      await store().describeApp('app.example', rest)
      expect(await store().app('app.example')).toEqual({ ...app('app.example'), ...description })
      await store().describeApp('nobody.example', description)
      expect(await store().app('nobody.example')).toBeUndefined()
    })

    it('pages through apps in domain order, of all projects or of one', async () => {
      const domains = ['a.example', 'b.example', 'c.example', 'd.example', 'localhost:3000']
      for (const [at, domain] of [...domains].reverse().entries()) {
        await store().createApp(app(domain, { projectId: at % 2 === 0 ? 'even' : 'odd' }))
      }
      const names = async (page: Parameters<TestStores['notify']['apps']>[0]) =>
        (await store().apps(page)).map(({ domain }) => domain)
      expect(await names({ limit: 2 })).toEqual(domains.slice(0, 2))
      expect(await names({ after: 'b.example', limit: 10 })).toEqual(domains.slice(2))
      expect(await names({ projectId: 'even', limit: 10 })).toEqual([
        'a.example',
        'c.example',
        'localhost:3000',
      ])
      expect(await names({ projectId: 'even', after: 'a.example', limit: 1 })).toEqual(['c.example'])
      expect(await names({ projectId: 'eve', limit: 10 })).toEqual([])
    })

    it('removes an app from everywhere that names it, and answers the topics that led to it', async () => {
      const former = { ...app('app.example'), subscribeTopic: 'a former topic', until: 5 }
      await store().createApp(app('app.example', { projectId: 'a', previousKeys: [former] }))
      await store().createApp(app('b.example', { projectId: 'a' }))
      expect(await store().removeApp('app.example')).toEqual([
        'subscribe topic of app.example',
        'a former topic',
      ])
      expect(await store().removeApp('app.example')).toEqual([])
      expect(await store().removeApp('nobody.example')).toEqual([])
      expect(await store().app('app.example')).toBeUndefined()
      for (const topic of ['subscribe topic of app.example', 'a former topic']) {
        expect(await store().appByTopic(topic)).toBeUndefined()
      }
      for (const page of [{ limit: 5 }, { projectId: 'a', limit: 5 }]) {
        expect((await store().apps(page)).map(({ domain }) => domain)).toEqual(['b.example'])
      }
      const next = app('app.example', { projectId: 'another', subscribeTopic: 'a new topic' })
      expect(await store().createApp(next)).toEqual(next)
    })

    it('loses no project or app over a restart', async () => {
      await store().createProject(project('a'))
      await store().createApp(app('app.example', { projectId: 'a' }))
      await stores.reopen()
      expect(await store().project('a')).toEqual(project('a'))
      expect(await store().apps({ projectId: 'a', limit: 10 })).toHaveLength(1)
      expect(await store().appByTopic('subscribe topic of app.example')).toBeDefined()
    })
  })
}
