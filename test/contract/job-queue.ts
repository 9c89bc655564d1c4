import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Job } from '../../src/platform/jobs/job-queue.ts'
import { eventually } from '../support/eventually.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const T = 1_800_000_000_000
const DAY = 86_400_000

const job = (id: string, more: Partial<Job> = {}): Job => ({
  queue: 'q',
  id,
  group: 'g',
  at: T,
  expiresAt: T + DAY,
  attempts: 0,
  body: { for: id },
  ...more,
})

/** Work for later: jobs that are taken, settled, looked at. */
export const agendaContract = (engine: Engine): void => {
  describe(`the agenda on ${engine.name}`, () => {
    let stores: TestStores
    const jobQueue = () => stores.jobQueue
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const take = async (now = T, { queue = 'q', limit = 100, until = now + 100 } = {}) =>
      (await jobQueue().take({ queue, limit, now, until })).map(({ id }) => id)

    it('gives a job back as it was added', async () => {
      const whole = job('a', { attempts: 3, body: { deep: [1, null, { text: 'ü' }] } })
      expect(await jobQueue().add([whole])).toEqual([true])
      expect(await jobQueue().job('q', 'a')).toEqual(whole)
      expect(await jobQueue().take({ queue: 'q', limit: 1, now: T, until: T + 1 })).toEqual([whole])
      expect(await jobQueue().job('q', 'b')).toBeUndefined()
    })

    it('takes what is due, the longest due first, of one queue', async () => {
      await jobQueue().add([
        job('c', { at: T - 1 }),
        job('a', { at: T - 3 }),
        job('late', { at: T + 1 }),
        job('b', { at: T - 2 }),
        job('other', { queue: 'other' }),
      ])
      expect(await take(T, { limit: 2 })).toEqual(['a', 'b'])
      expect(await take()).toEqual(['c'])
      expect(await take(T + 1)).toEqual(['late'])
      expect(await take(T, { queue: 'other' })).toEqual(['other'])
    })

    it('gives a job to nobody while what became of it is being written', async () => {
      const ids = Array.from({ length: 200 }, (_, at) => `${at}`)
      await jobQueue().add(ids.map((id) => job(id)))
      const taken: string[] = []
      for (let busy = new Set<Promise<void>>(); taken.length < ids.length || busy.size > 0; ) {
        for (const id of await take(T, { limit: 10, until: T + DAY })) {
          taken.push(id)
          const kind = Number(id) % 2 === 0 ? 'done' : 'again'
          const outcome = { id, kind, at: T + 1, attempts: 1 } as const
          const settling = jobQueue().complete('q', [outcome])
          busy.add(settling)
          settling.then(() => busy.delete(settling))
        }
        await new Promise((resolve) => setImmediate(resolve))
        if (taken.length > ids.length) busy = new Set()
      }
      expect(taken.toSorted()).toEqual(ids.toSorted())
      expect((await take(T + 1, { limit: 200 })).length).toBe(100)
    })

    it('gives a taken job to nobody else until its lease ends', async () => {
      await jobQueue().add([job('a')])
      expect(await take(T)).toEqual(['a'])
      expect(await take(T + 99)).toEqual([])
      expect(await take(T + 100)).toEqual(['a'])
    })

    it('lets one of a hundred takers have a job', async () => {
      await jobQueue().add([job('a')])
      const taken = await Promise.all(Array.from({ length: 100 }, () => take()))
      expect(taken.flat()).toEqual(['a'])
    })

    it('leaves a job as it is when its id is added again', async () => {
      const all = await Promise.all(
        Array.from({ length: 100 }, (_, at) => jobQueue().add([job('a', { body: at })])),
      )
      expect(all.flat().filter(Boolean)).toHaveLength(1)
      await jobQueue().complete('q', [{ id: 'a', kind: 'done' }])
      expect(await jobQueue().add([job('a')])).toEqual([true])
    })

    it('ends a job that is done, tries one again, keeps a failed one as a dead letter', async () => {
      await jobQueue().add([job('a'), job('b'), job('c')])
      await take()
      await jobQueue().complete('q', [
        { id: 'a', kind: 'done' },
        { id: 'b', kind: 'again', at: T + 50, attempts: 1, body: 'half' },
        { id: 'c', kind: 'failed', attempts: 2, failure: 'gone' },
        { id: 'unknown', kind: 'done' },
      ])
      expect(await jobQueue().count('q', 'g')).toEqual({ waiting: 1, dead: 1 })
      expect(await take(T + 49)).toEqual([])
      expect(await jobQueue().take({ queue: 'q', limit: 9, now: T + 50, until: T + 60 })).toEqual([
        job('b', { at: T + 50, attempts: 1, body: 'half' }),
      ])
      expect(await jobQueue().job('q', 'a')).toBeUndefined()
      expect(await jobQueue().job('q', 'c')).toEqual(job('c', { attempts: 2, failure: 'gone' }))
      expect(await take(T + 59)).toEqual([])
    })

    it('revives dead letters only', async () => {
      await jobQueue().add([job('a'), job('b')])
      await take()
      await jobQueue().complete('q', [{ id: 'a', kind: 'failed', attempts: 5, failure: 'no' }])
      expect(await jobQueue().revive('q', 'b', T + 7)).toBe(false)
      expect(await jobQueue().revive('q', 'unknown', T + 7)).toBe(false)
      expect(await jobQueue().revive('q', 'a', T + 7)).toBe(true)
      expect(await jobQueue().revive('q', 'a', T + 7)).toBe(false)
      expect(await jobQueue().count('q', 'g')).toEqual({ waiting: 2, dead: 0 })
      expect(await jobQueue().take({ queue: 'q', limit: 9, now: T + 7, until: T + 8 })).toEqual([
        job('a', { at: T + 7 }),
      ])
    })

    it('removes a job while somebody works on it', async () => {
      await jobQueue().add([job('a'), job('b')])
      await take()
      expect(await jobQueue().remove('q', ['a', 'unknown'])).toEqual([true, false])
      await jobQueue().complete('q', [{ id: 'a', kind: 'again', at: T, attempts: 1 }])
      expect(await jobQueue().job('q', 'a')).toBeUndefined()
      expect(await take(T + 1000)).toEqual(['b'])
    })

    it('lists the jobs of a group in pages, the dead ones apart', async () => {
      const ids = Array.from({ length: 25 }, (_, at) => `j${String(at).padStart(2, '0')}`)
      await jobQueue().add([...ids.map((id) => job(id)), job('x', { group: 'gg' })])
      await take(T, { limit: 3 })
      await jobQueue().complete('q', [{ id: 'j01', kind: 'failed', attempts: 1, failure: 'no' }])
      const alive = ids.filter((id) => id !== 'j01')
      const seen: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await jobQueue().list('q', { group: 'g', dead: false, after, limit: 10 })
        seen.push(...page.map(({ id }) => id))
        after = page.at(-1)?.id
        if (page.length < 10) break
      }
      expect(seen).toEqual(alive)
      const dead = await jobQueue().list('q', { group: 'g', dead: true, limit: 10 })
      expect(dead.map(({ id }) => id)).toEqual(['j01'])
      expect(await jobQueue().count('q', 'gg')).toEqual({ waiting: 1, dead: 0 })
    })

    it('neither gives nor keeps what has expired, in the queue’s way least of all', async () => {
      const expired = Array.from({ length: 30 }, (_, at) =>
        job(`e${at}`, { at: T - 10, expiresAt: T + 5, group: at % 2 === 0 ? 'g' : 'h' }),
      )
      await jobQueue().add([...expired, job('a')])
      await take(T, { limit: 1 })
      await jobQueue().complete('q', [{ id: 'e0', kind: 'failed', attempts: 1, failure: 'no' }])
      expect(await take(T + 5, { limit: 5 })).toEqual(['a'])
      expect(await jobQueue().sweep(T + 5, 20)).toBe(20)
      expect(await jobQueue().sweep(T + 5, 20)).toBe(10)
      expect(await jobQueue().sweep(T + 5, 20)).toBe(0)
      expect(await jobQueue().count('q', 'g')).toEqual({ waiting: 1, dead: 0 })
      expect(await jobQueue().count('q', 'h')).toEqual({ waiting: 0, dead: 0 })
    })

    it('calls the listeners of the queue when a job was added', async () => {
      let calls = 0
      const listening = jobQueue().onJobs('q', () => {
        calls += 1
      })
      await eventually(async () => {
        await jobQueue().add([job(`n${calls}${Math.random()}`)])
        expect(calls).toBeGreaterThan(0)
      })
      listening[Symbol.dispose]()
    })

    it('loses nothing over a restart', async () => {
      await jobQueue().add([job('a'), job('b'), job('c')])
      await take()
      await jobQueue().complete('q', [{ id: 'a', kind: 'done' }])
      await jobQueue().complete('q', [{ id: 'b', kind: 'failed', attempts: 1, failure: 'no' }])
      await stores.reopen()
      expect(await take(T + 100)).toEqual(['c'])
      expect(await jobQueue().count('q', 'g')).toEqual({ waiting: 1, dead: 1 })
    })
  })
}
