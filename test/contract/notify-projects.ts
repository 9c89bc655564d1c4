import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OutboxEntry } from '../../src/notify/store/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { project } from './notify-samples.ts'

const secretOf = (id: string) => ({ id, name: id, hash: 'ab'.repeat(32), createdAt: 1 })

/** What the operator changes of projects, and asks about subscribers and the outbox. */
export const notifyProjectsContract = (engine: Engine): void => {
  describe(`projects and operators' questions of the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('replaces a project that is still the one that was read, also after a restart', async () => {
      await store().createProject(project('a'))
      const old = await store().project('a')
      if (!old) throw new Error('it was made')
      const next = { ...old, secrets: [secretOf('s1')], settings: { quotas: { apps: 3 }, retentionDays: 7 } }
      expect(await store().replaceProject(old, next)).toBe(true)
      expect(await store().replaceProject(old, { ...old, name: 'late' })).toBe(false)
      await stores.reopen()
      expect(await store().project('a')).toEqual(next)
      expect(await store().projects({ limit: 10 })).toEqual([next])
    })

    it('of many that replace it at once one is first, and one that is not there is not made', async () => {
      await store().createProject(project('a'))
      const old = await store().project('a')
      if (!old) throw new Error('it was made')
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, at) => store().replaceProject(old, { ...old, name: `${at}` })),
      )
      expect(outcomes.filter((was) => was)).toHaveLength(1)
      expect((await store().project('a'))?.name).toBe(`${outcomes.indexOf(true)}`)
      expect(await store().replaceProject(project('b'), project('b'))).toBe(false)
      expect(await store().project('b')).toBeUndefined()
    })

    const subscribe = (key: string, domain: string, outbox: OutboxEntry[] = []) =>
      store().commit({
        accountKey: key,
        expectedVersion: 0,
        record: {
          subscriptions: [
            {
              id: `s-${key}`,
              domain,
              scope: [],
              key: 'sealed',
              topic: `topic-${key}`,
              createdAt: 1,
              expiresAt: Date.now() + 1_000_000,
              account: key,
            },
          ],
          watchers: [],
        },
        outbox,
      })

    it('counts the subscribers of an app, to a limit', async () => {
      for (let at = 0; at < 7; at++) await subscribe(`eip155:0x${at}`, 'app.example')
      await subscribe('eip155:0xff', 'app.example.org')
      expect(await store().countSubscribers('app.example', 100)).toBe(7)
      expect(await store().countSubscribers('app.example', 5)).toBe(5)
      expect(await store().countSubscribers('none.example', 5)).toBe(0)
    })

    it('shows what an account has in the outbox, held or not, until it is completed', async () => {
      const entries = Array.from(
        { length: 1_200 },
        (_, at): OutboxEntry => ({
          id: `e${at}`,
          task: { kind: 'changed', accountKey: 'eip155:0x1', identityKey: `did:key:${at}` },
          createdAt: Date.now(),
          expiresAt: Date.now() + 1_000_000,
        }),
      )
      await subscribe('eip155:0x1', 'app.example', entries)
      await subscribe('eip155:0x2', 'app.example', [
        {
          ...entries[0],
          id: 'other',
          task: { kind: 'leave', topic: 't' },
          createdAt: 1,
          expiresAt: Date.now() + 9e5,
        },
      ])
      const idsOf = async () => {
        const ids = new Set<string>()
        for await (const { id } of store().outboxEntries()) if (id !== 'other') ids.add(id)
        return ids
      }
      const now = Date.now()
      await store().takeOutbox({ worker: 'w', limit: 100, now, until: now + 60_000 })
      expect(await idsOf()).toEqual(new Set(entries.map(({ id }) => id)))
      await store().completeOutbox(
        entries.slice(0, 1_000).map(({ id }) => ({ id })),
        now,
      )
      expect((await idsOf()).size).toBe(200)
    })
  })
}
