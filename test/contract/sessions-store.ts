import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Engine, TestStores } from '../support/stores.ts'

const T = Date.UTC(2026, 0, 1)
const MINUTE = 60_000
const LONGEST = 30 * MINUTE
const endpoint = (process: string, at = 0) => ({ process, socket: `socket-${at}` })
const fresh = { createdAt: T, expiresAt: T + 5 * MINUTE }

/** What the session relay may rely on, whatever the engine. */
export const sessionsStoreContract = (engine: Engine): void => {
  describe(`sessions on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.sessions
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('a session that was never made is not there', async () => {
      expect(await store().session('none', T)).toBeUndefined()
      expect(await store().end('none')).toBeUndefined()
      for (const side of ['initiator', 'joiner'] as const) {
        expect(await store().enter('none', side, { endpoint: endpoint('p'), now: T })).toEqual({
          outcome: 'not_found',
        })
      }
      expect(await store().session('none', T)).toBeUndefined()
    })

    it('gives its sides to one each, the initiator first, and says who is there', async () => {
      await store().create('one', fresh)
      expect(await store().session('one', T)).toEqual(fresh)
      const early = { endpoint: endpoint('wallet'), now: T, lifetimeMs: LONGEST }
      expect(await store().enter('one', 'joiner', early)).toEqual({ outcome: 'not_initialized' })
      expect(await store().session('one', T)).toEqual(fresh)

      const initiated = { ...fresh, initiator: endpoint('dapp') }
      expect(await store().enter('one', 'initiator', { endpoint: endpoint('dapp'), now: T })).toEqual({
        outcome: 'entered',
        session: initiated,
      })
      expect(await store().enter('one', 'initiator', { endpoint: endpoint('other'), now: T })).toEqual({
        outcome: 'taken',
      })

      const joined = { ...initiated, joiner: endpoint('wallet'), expiresAt: T + LONGEST }
      expect(await store().enter('one', 'joiner', early)).toEqual({ outcome: 'entered', session: joined })
      expect(await store().enter('one', 'joiner', { ...early, endpoint: endpoint('other') })).toEqual({
        outcome: 'taken',
      })
      expect(await store().session('one', T)).toEqual(joined)
    })

    it('of a hundred who ask at once for a side one gets it', async () => {
      await store().create('one', fresh)
      for (const side of ['initiator', 'joiner'] as const) {
        const racers = Array.from({ length: 100 }, (_, at) => endpoint('p', at))
        const outcomes = await Promise.all(
          racers.map((racer) => store().enter('one', side, { endpoint: racer, now: T, lifetimeMs: LONGEST })),
        )
        const winners = racers.filter((_, at) => outcomes[at]?.outcome === 'entered')
        expect(winners).toHaveLength(1)
        expect((await store().session('one', T))?.[side]).toEqual(winners[0])
      }
    })

    it('is over at its instant, and later when somebody has joined', async () => {
      await store().create('one', fresh)
      await store().create('two', fresh)
      const end = fresh.expiresAt
      await store().enter('one', 'initiator', { endpoint: endpoint('dapp'), now: end - 1 })
      await store().enter('one', 'joiner', {
        endpoint: endpoint('wallet'),
        now: end - 1,
        lifetimeMs: LONGEST,
      })
      expect(await store().enter('two', 'initiator', { endpoint: endpoint('dapp'), now: end })).toEqual({
        outcome: 'not_found',
      })
      expect(await store().session('two', end)).toBeUndefined()
      expect(await store().session('one', T + LONGEST - 1)).toMatchObject({ expiresAt: T + LONGEST })
      expect(await store().session('one', T + LONGEST)).toBeUndefined()
    })

    it('keeps a session until it ends, whatever a process says of its own life', async () => {
      await store().create('s', { createdAt: T, expiresAt: T + 5_000 })
      await store().heartbeat('a', { now: T + 4_000, until: T + 14_000 })
      await store().create('other', { createdAt: T + 4_001, expiresAt: T + 9_000 })
      expect(await store().session('s', T + 4_999)).toBeDefined()
      expect(await store().session('s', T + 5_000)).toBeUndefined()
    })

    it('is ended by one of those who end it at once', async () => {
      await store().create('one', fresh)
      await store().enter('one', 'initiator', { endpoint: endpoint('dapp'), now: T })
      const ends = await Promise.all(Array.from({ length: 20 }, () => store().end('one')))
      expect(ends.filter((end) => end !== undefined)).toEqual([{ ...fresh, initiator: endpoint('dapp') }])
      expect(await store().session('one', T)).toBeUndefined()
      expect(await store().enter('one', 'joiner', { endpoint: endpoint('w'), now: T })).toEqual({
        outcome: 'not_found',
      })
    })
  })
}

/** Where several processes share a store, each says that it lives. */
export const processesContract = (engine: Engine): void => {
  it(`processes on ${engine.name} live as long as they said last, and unknown ones do not`, async () => {
    await using stores = await engine.open()
    const { sessions } = stores
    expect(await sessions.deadProcesses([], T)).toEqual([])
    expect(await sessions.deadProcesses(['a', 'b'], T)).toEqual(['a', 'b'])
    await sessions.heartbeat('a', { now: T, until: T + 10_000 })
    await sessions.heartbeat('b', { now: T, until: T + 5_000 })
    expect(await sessions.deadProcesses(['a', 'b', 'c'], T + 4_999)).toEqual(['c'])
    expect(await sessions.deadProcesses(['a', 'b'], T + 5_000)).toEqual(['b'])
    await sessions.heartbeat('b', { now: T, until: T + 20_000 })
    expect(await sessions.deadProcesses(['b', 'a'], T + 10_000)).toEqual(['a'])
  })
}
