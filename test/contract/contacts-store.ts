import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Installation, Ticket } from '../../src/contacts/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const HOUR = 3_600_000
/** Not invented: Redis removes by its own clock what ended long ago. */
const T = Date.now()
const [alice, bob] = ['eip155:0xalice', 'did:key:z6MkBob']

const installation = (value: string, change: Partial<Installation> = {}): Installation => ({
  ...{ name: 'xmtp/installation/hex', value, expiresAt: T + HOUR },
  ...change,
})
const nonce = (at: number, until = T + 2 * HOUR): Ticket => ({ kind: 'nonce', nonce: at, first: 0, until })
let tokens = 0
const token = (id = `token ${tokens++}`): Ticket => ({ kind: 'token', id, until: T + HOUR })
const bounds = { now: T, most: 20 }

/** What the registry of installations may rely on, whatever the engine. */
export const contactsStoreContract = (engine: Engine): void => {
  describe(`the contacts store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.contacts
    const valuesOf = async (account: string, now = T) =>
      (await store().installations(account, now)).map(({ value }) => value)
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives installations back as they are, in the order of their grants, account by account', async () => {
      const odd = installation('_-', { name: 'xmtp/installation/base64', expiresAt: T + 1.5 })
      const long = installation('x'.repeat(21_846))
      for (const one of [long, odd, installation('aa')]) {
        expect(await store().grant(alice, token(), one, bounds)).toBe('done')
      }
      await store().grant(bob, token(), installation('bb'), bounds)
      expect(await store().installations(alice, T)).toEqual([long, odd, installation('aa')])
      expect(await valuesOf(bob)).toEqual(['bb'])
      expect(await store().installations('eip155:0xalic', T)).toEqual([])
    })

    it('takes a nonce once, in order, for every change', async () => {
      expect(await store().nonce(alice)).toBeUndefined()
      expect(await store().grant(alice, nonce(1), installation('aa'), bounds)).toBe('used')
      expect(await store().grant(alice, nonce(0), installation('aa'), bounds)).toBe('done')
      expect(await store().grant(alice, nonce(0), installation('bb'), bounds)).toBe('used')
      expect(await store().revoke(alice, nonce(0), installation('aa'), T)).toBe('used')
      expect(await store().revoke(alice, nonce(1), installation('aa'), T)).toBe('done')
      expect(await store().nonce(alice)).toBe(2)
      expect(await store().nonce(bob)).toBeUndefined()
      expect(await valuesOf(alice)).toEqual([])
    })

    it('takes a token once, whatever it was for, account by account', async () => {
      expect(await store().grant(alice, token('one'), installation('aa'), bounds)).toBe('done')
      expect(await store().grant(alice, token('one'), installation('aa'), bounds)).toBe('used')
      expect(await store().revoke(alice, token('one'), installation('aa'), T)).toBe('used')
      expect(await store().grant(bob, token('one'), installation('aa'), bounds)).toBe('done')
      expect(await store().revoke(alice, token('two'), installation('aa'), T)).toBe('done')
      expect(await store().revoke(alice, token('two'), installation('aa'), T)).toBe('used')
      expect(await store().nonce(alice)).toBeUndefined()
    })

    it.each([
      ['nonce', () => nonce(0)],
      ['token', () => token('raced for')],
    ])('lets exactly one of a hundred that race with one %s change anything', async (_, ticket) => {
      const racers = Array.from({ length: 100 }, (__, at) => installation(`v${at}`))
      const outcomes = await Promise.all(racers.map((one) => store().grant(alice, ticket(), one, bounds)))
      expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome === 'used')).toHaveLength(99)
      expect(await valuesOf(alice)).toEqual([`v${outcomes.indexOf('done')}`])
    })

    it('keeps to the most that there may be, whoever races, and a refused ticket stays good', async () => {
      const racers = Array.from({ length: 100 }, (_, at) => installation(`v${at}`))
      const outcomes = await Promise.all(racers.map((one) => store().grant(alice, token(), one, bounds)))
      expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(20)
      expect(outcomes.filter((outcome) => outcome === 'full')).toHaveLength(80)
      const [first = ''] = await valuesOf(alice)
      expect(await store().grant(alice, nonce(0), installation('more'), bounds)).toBe('full')
      expect(await store().grant(alice, token('again'), installation('more'), bounds)).toBe('full')
      // One that is there is no more than there were.
      expect(await store().grant(alice, nonce(0), installation(first), bounds)).toBe('done')
      await store().revoke(alice, nonce(1), installation(first), T)
      expect(await store().grant(alice, token('again'), installation('more'), bounds)).toBe('done')
      expect((await valuesOf(alice)).at(-1)).toBe('more')
    })

    it('renews one that is granted again in its place, and puts one that was gone behind the others', async () => {
      for (const value of ['aa', 'bb', 'cc']) await store().grant(alice, token(), installation(value), bounds)
      const later = installation('aa', { expiresAt: T + 2 * HOUR })
      await store().grant(alice, token(), later, bounds)
      expect((await store().installations(alice, T))[0]).toEqual(later)
      await store().revoke(alice, token(), installation('bb'), T)
      await store().grant(alice, token(), installation('bb'), bounds)
      expect(await valuesOf(alice)).toEqual(['aa', 'cc', 'bb'])
      // The same value by another name is another one.
      const other = installation('aa', { name: 'xmtp/installation/base64' })
      await store().grant(alice, token(), other, bounds)
      expect(await valuesOf(alice)).toEqual(['aa', 'cc', 'bb', 'aa'])
      await store().revoke(alice, token(), other, T)
      expect(await valuesOf(alice)).toEqual(['aa', 'cc', 'bb'])
    })

    it('has an installation until its instant, swept or not, and no place is taken by one that is over', async () => {
      await store().grant(alice, token(), installation('short', { expiresAt: T + 1_000 }), bounds)
      await store().grant(alice, token(), installation('long'), bounds)
      expect(await valuesOf(alice, T + 999)).toEqual(['short', 'long'])
      expect(await valuesOf(alice, T + 1_000)).toEqual(['long'])
      const two = { now: T + 1_000, most: 2 }
      expect(await store().grant(alice, token(), installation('third'), two)).toBe('done')
      const again = installation('short', { expiresAt: T + HOUR })
      expect(await store().grant(alice, token(), again, { now: T + 1_000, most: 3 })).toBe('done')
      expect(await valuesOf(alice, T + 1_000)).toEqual(['long', 'third', 'short'])
    })

    it('sweeps what is over and nothing else', async () => {
      await store().grant(alice, nonce(0), installation('short', { expiresAt: T + 1_000 }), bounds)
      await store().grant(alice, token('a token'), installation('long'), bounds)
      for (let swept = 10; swept === 10; ) swept = await stores.kv.sweep(T + 1_000, 10)
      expect(await stores.kv.sweep(T + 1_000, 10)).toBe(0)
      expect(await valuesOf(alice, T + 1_000)).toEqual(['long'])
      expect(await store().grant(alice, token('a token'), installation('x'), bounds)).toBe('used')
      expect(await store().nonce(alice)).toBe(1)
    })

    it('forgets a nonce after its end at the earliest, and takes none then that was used', async () => {
      await store().grant(alice, nonce(0, T + 1_000), installation('aa'), bounds)
      await store().grant(bob, nonce(0, T + 1_000), installation('aa'), bounds)
      await store().grant(bob, nonce(1, T + 1_001), installation('bb'), bounds)
      for (let swept = 10; swept === 10; ) swept = await stores.kv.sweep(T + 1_000, 10)
      expect(await store().nonce(bob)).toBe(2)
      // Redis forgets by itself, a while later.
      const first = 2 ** 32
      const next = (await store().nonce(alice)) ?? first
      expect(next).toBe(engine.name === 'LMDB' ? first : 1)
      const later = (at: number): Ticket => ({ kind: 'nonce', nonce: at, first, until: T + HOUR })
      expect(await store().grant(alice, later(0), installation('cc'), bounds)).toBe('used')
      expect(await store().grant(alice, later(next), installation('cc'), bounds)).toBe('done')
      expect(await store().nonce(alice)).toBe(next + 1)
    })

    it('clears an account of all installations, and what was spent stays spent', async () => {
      await store().grant(alice, nonce(0), installation('aa'), bounds)
      await store().grant(alice, token('one'), installation('bb'), bounds)
      await store().grant(bob, token('one'), installation('bb'), bounds)
      expect(await store().clear(alice)).toBe(2)
      expect(await store().clear(alice)).toBe(0)
      expect([await valuesOf(alice), await valuesOf(bob)]).toEqual([[], ['bb']])
      expect(await store().grant(alice, nonce(0), installation('aa'), bounds)).toBe('used')
      expect(await store().grant(alice, token('one'), installation('aa'), bounds)).toBe('used')
    })

    it('keeps all of it over a restart', async () => {
      await store().grant(alice, nonce(0), installation('aa'), bounds)
      await store().grant(alice, token('one'), installation('bb'), bounds)
      await store().revoke(alice, nonce(1), installation('aa'), T)
      await stores.reopen()
      expect(await valuesOf(alice)).toEqual(['bb'])
      expect(await store().nonce(alice)).toBe(2)
      expect(await store().grant(alice, token('one'), installation('aa'), bounds)).toBe('used')
    })
  })
}
