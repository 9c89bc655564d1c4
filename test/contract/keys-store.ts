import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type IdentityEntry, type InviteEntry, identityCursor } from '../../src/keys/store.ts'
import { KEYS_TABLES } from '../../src/keys/store-rows.ts'
import { number } from '../../src/storage/bytes.ts'
import type { PlacedRow, Table } from '../../src/storage/kv.ts'
import type { Engine, TestStores } from '../support/stores.ts'

const [mine, yours] = ['eip155:0xabcd', 'eip155:0xabce'] as const
const identity = (label: string, change: Partial<IdentityEntry> = {}): IdentityEntry => ({
  identityKey: `did:key:z6Mk${label}`,
  accountKey: mine,
  account: 'eip155:1:0xAbCdefAbCdefAbCdefAbCdefAbCdefAbCdefAbCd',
  cacao: `{"h":{"t":"eip4361"},"p":{"statement":"ünchanged ✓"},  "s":"${label}"}`,
  ...change,
})
/** As it is read when nobody else claims the key. */
const standing = (label: string, change: Partial<IdentityEntry> = {}) =>
  identity(label, { ...change, isDefault: true })
const invite = (label: string, identityKey: string): InviteEntry => ({
  inviteKey: `did:key:z6LS${label}`,
  account: 'eip155:1:0xAbCdefAbCdefAbCdefAbCdefAbCdefAbCdefAbCd',
  identityKey,
})

/** What the key registry may rely on, whatever the engine. */
export const keysStoreContract = (engine: Engine): void => {
  describe(`the keys store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.keys
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('gives an identity entry back byte for byte', async () => {
      await store().registerIdentity(identity('a'))
      expect(await store().identity(identity('a').identityKey)).toEqual(standing('a'))
      expect(await store().identity(identity('b').identityKey)).toBeUndefined()
    })

    it('registers an identity key again without a trace, and replaces its entry', async () => {
      await store().registerIdentity(identity('a'))
      await store().registerIdentity(identity('a'))
      await store().registerIdentity(identity('a', { cacao: '{}' }))
      expect(await store().identities({ limit: 10 })).toEqual([standing('a', { cacao: '{}' })])
    })

    it('removes an identity key, and says whether there was one', async () => {
      await store().registerIdentity(identity('a'))
      await store().registerIdentity(identity('b'))
      expect(await store().unregisterIdentity(identity('a').identityKey, mine)).toBe(true)
      expect(await store().unregisterIdentity(identity('a').identityKey, mine)).toBe(false)
      expect(await store().identity(identity('a').identityKey)).toBeUndefined()
      expect(await store().identity(identity('b').identityKey)).toEqual(standing('b'))
    })

    it('says to exactly one of many who remove an identity key at once that there was one', async () => {
      await store().registerIdentity(identity('a'))
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => store().unregisterIdentity(identity('a').identityKey, mine)),
      )
      expect(answers.filter(Boolean)).toHaveLength(1)
    })

    it('keeps what each account says of a key; the first speaks for the key, until one says that it does', async () => {
      const [first, second] = [identity('a'), identity('a', { accountKey: yours, cacao: '{}' })]
      const { identityKey } = first
      await store().registerIdentity(first)
      await store().registerIdentity(second)
      expect(await store().identity(identityKey)).toEqual({ ...first, isDefault: true })
      expect(await store().identity(identityKey, mine)).toEqual({ ...first, isDefault: true })
      expect(await store().identity(identityKey, yours)).toEqual(second)
      expect(await store().identity(identityKey, 'eip155:0xother')).toBeUndefined()
      expect(await store().identities({ limit: 10 })).toEqual([{ ...first, isDefault: true }, second])
      const proven = { ...second, isProven: true, isDefault: true }
      await store().registerIdentity(proven)
      await store().registerIdentity(first)
      await stores.reopen()
      expect(await store().identity(identityKey)).toEqual(proven)
      expect(await store().identities({ limit: 10 })).toEqual([first, proven])
      expect(await store().unregisterIdentity(identityKey, yours)).toBe(true)
      expect(await store().identity(identityKey)).toBeUndefined()
      expect(await store().identity(identityKey, mine)).toEqual(first)
    })

    it('lets one of many speak for a key that find none at once', async () => {
      const all = Array.from({ length: 20 }, (_, at) => identity('a', { accountKey: `eip155:0x${at}` }))
      await Promise.all(all.map((entry) => store().registerIdentity(entry)))
      const found = await store().identities({ limit: 100 })
      expect(found).toHaveLength(20)
      expect(found.filter(({ isDefault }) => isDefault)).toHaveLength(1)
    })

    it('removes an identity key when its time is over, with the invite keys that it registered, and no sooner', async () => {
      const [short, long, endless] = [identity('a'), identity('b'), identity('c')]
      for (const entry of [short, long, endless]) await store().registerIdentity(entry)
      await store().registerIdentity(identity('a', { accountKey: yours }))
      await store().registerInvite(mine, invite('1', short.identityKey))
      await store().prolong(short.identityKey, 1_000)
      await store().prolong(long.identityKey, 1_000)
      await store().prolong(long.identityKey, 2_000)
      // Never sooner than it was said before.
      await store().prolong(long.identityKey, 500)
      expect(await store().sweep(999, 10)).toBe(0)
      expect(await store().sweep(1_000, 10)).toBe(1)
      expect(await store().identity(short.identityKey, yours)).toBeUndefined()
      expect(await store().identities({ limit: 10 })).toEqual([standing('b'), standing('c')])
      expect(await store().invite(mine)).toBeUndefined()
      expect(await store().sweep(1_999, 10)).toBe(0)
      expect(await store().sweep(10_000, 10)).toBe(1)
      expect(await store().identities({ limit: 10 })).toEqual([standing('c')])
      expect(await store().sweep(10_000, 10)).toBe(0)
    })

    it('removes so many at a time', async () => {
      for (const label of ['a', 'b', 'c']) {
        await store().registerIdentity(identity(label))
        await store().prolong(identity(label).identityKey, 1)
      }
      expect(await store().sweep(1, 2)).toBe(2)
      expect(await store().sweep(1, 2)).toBe(1)
      expect(await store().identities({ limit: 10 })).toEqual([])
    })

    it('leaves an identity key that was used meanwhile, whatever the index of what is due says', async () => {
      const { identityKey } = identity('a')
      await store().registerIdentity(identity('a'))
      await store().registerInvite(mine, invite('1', identityKey))
      await store().prolong(identityKey, 2_000)
      const [due, partition] = [KEYS_TABLES.due.in('keys'), 'keys']
      const early = Buffer.concat([number(1_000), Buffer.from(identityKey)])
      await stores.kv.commit([{ partition, writes: [due.put({ key: early, value: true })] }], 0)
      expect(await store().sweep(1_999, 10)).toBe(1)
      expect(await store().sweep(1_999, 10)).toBe(0)
      expect(await store().identity(identityKey)).toEqual(standing('a'))
      expect(await store().invite(mine)).toEqual(invite('1', identityKey))
      expect(await store().sweep(2_000, 10)).toBe(1)
      expect(await store().invite(mine)).toBeUndefined()
    })

    it('removes with an identity key what a crash has left of it elsewhere, and nothing of others', async () => {
      const [{ identityKey }, other] = [identity('a'), identity('ab')]
      await store().registerIdentity(other)
      await store().registerInvite(yours, invite('2', other.identityKey))
      // Listed, but not written; and an invite key of which the identity key knows nothing any more.
      const listed = KEYS_TABLES.listed.in('keys')
      const cursor = Buffer.from(identityCursor({ identityKey, accountKey: mine }))
      const left = KEYS_TABLES.invites.in(mine).put({ value: invite('1', identityKey) })
      await stores.kv.commit(
        [
          { partition: 'keys', writes: [listed.put({ key: cursor, value: true })] },
          { partition: mine, writes: [left] },
        ],
        0,
      )
      expect(await store().invite(mine)).toBeUndefined()
      expect(await store().identities({ limit: 10 })).toEqual([standing('ab')])
      await store().prolong(identityKey, 1_000)
      expect(await store().sweep(1_000, 10)).toBe(1)
      const rowsOf = async (table: Table) => {
        const rows: PlacedRow[] = []
        for await (const page of stores.kv.rows(table)) rows.push(...page.rows)
        return rows.map(({ set, key }) => `${set.partition} ${key}`)
      }
      expect(await rowsOf(KEYS_TABLES.listed.table)).toEqual([`keys ${identityCursor(other)}`])
      expect(await rowsOf(KEYS_TABLES.invites.table)).toEqual([`${yours} `])
      expect(await rowsOf(KEYS_TABLES.ends.table)).toEqual([])
      expect(await rowsOf(KEYS_TABLES.due.table)).toEqual([])
    })

    it('keeps an invite key that comes back while its identity key is being removed, or neither', async () => {
      const { identityKey } = identity('a')
      for (let turn = 0; turn < 20; turn++) {
        await store().registerIdentity(identity('a'))
        await store().registerInvite(mine, invite('1', identityKey))
        await Promise.all([
          store().unregisterIdentity(identityKey, mine),
          store().registerIdentity(identity('a')),
          store().registerInvite(mine, invite('1', identityKey)),
        ])
        const [entry, found] = [await store().identity(identityKey, mine), await store().invite(mine)]
        const listed = await store().identities({ limit: 10 })
        expect(listed.map(({ accountKey }) => accountKey)).toEqual(entry ? [mine] : [])
        expect([undefined, 'did:key:z6LS1']).toContain(found?.inviteKey)
        // What is there can be taken away, and only that.
        expect(await store().unregisterInvite(mine)).toBe(found !== undefined)
      }
    })

    it('keeps one invite key an account, the last one registered', async () => {
      await store().registerInvite(mine, invite('1', 'did:key:z6Mka'))
      await store().registerInvite(mine, invite('2', 'did:key:z6Mkb'))
      await store().registerInvite(yours, invite('3', 'did:key:z6Mkb'))
      expect(await store().invite(mine)).toEqual(invite('2', 'did:key:z6Mkb'))
      expect(await store().invite(yours)).toEqual(invite('3', 'did:key:z6Mkb'))
      expect(await store().invite('eip155:0xabc')).toBeUndefined()
    })

    it('removes an invite key, and says whether there was one', async () => {
      await store().registerInvite(mine, invite('1', 'did:key:z6Mka'))
      expect(await store().unregisterInvite(yours)).toBe(false)
      expect(await store().unregisterInvite(mine)).toBe(true)
      expect(await store().unregisterInvite(mine)).toBe(false)
      expect(await store().invite(mine)).toBeUndefined()
    })

    it('removes with an identity key the invite keys that it registered, and no others', async () => {
      const [a, b] = [identity('a').identityKey, identity('b').identityKey]
      await store().registerIdentity(identity('a'))
      await store().registerInvite(mine, invite('1', a))
      await store().registerInvite(yours, invite('2', a))
      await store().registerInvite('eip155:0xother', invite('3', b))
      await store().registerInvite(yours, invite('4', b))
      await store().unregisterIdentity(a, mine)
      await store().unregisterIdentity(a, yours)
      expect(await store().invite(mine)).toBeUndefined()
      expect(await store().invite(yours)).toEqual(invite('4', b))
      expect(await store().invite('eip155:0xother')).toEqual(invite('3', b))
    })

    it('keeps identity keys apart of which one is the beginning of another', async () => {
      const [short, long] = ['did:key:z6Mka', 'did:key:z6Mkab']
      await store().registerInvite(mine, invite('1', short))
      await store().registerInvite(yours, invite('2', long))
      await store().unregisterIdentity(short, mine)
      expect(await store().invite(mine)).toBeUndefined()
      expect(await store().invite(yours)).toEqual(invite('2', long))
    })

    it('pages through the identity entries in key order', async () => {
      const all = Array.from({ length: 25 }, (_, at) => standing(`${at}`.padStart(3, '0')))
      await Promise.all([...all].reverse().map((entry) => store().registerIdentity(entry)))
      const first = await store().identities({ limit: 10 })
      expect(first).toEqual(all.slice(0, 10))
      const [last] = first.slice(-1)
      const after = last ? identityCursor(last) : ''
      expect(await store().identities({ after, limit: 100 })).toEqual(all.slice(10))
    })

    it('loses nothing over a restart', async () => {
      await store().registerIdentity(identity('a'))
      await store().registerInvite(mine, invite('1', identity('a').identityKey))
      await store().registerIdentity(identity('gone'))
      await store().unregisterIdentity(identity('gone').identityKey, mine)
      await stores.reopen()
      expect(await store().identities({ limit: 10 })).toEqual([standing('a')])
      expect(await store().unregisterIdentity(identity('a').identityKey, mine)).toBe(true)
      expect(await store().invite(mine)).toBeUndefined()
    })
  })
}
