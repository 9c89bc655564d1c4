/**
 * The key registry's rows.
 *
 * A partition is an identity key: its entries, its default, and the accounts whose invite key it registered. An
 * invite key lies with its account, and counts only while its identity key names the account. So that an entry goes
 * together with the invite key that it registered is one step; what is left of the invite key is removed after it. An
 * identity key may name accounts whose invite key is another's by now: taking one out could overtake its return.
 *
 * The list of all entries and the index of what is due lie elsewhere. Each is entered before what it tells of is written, and
 * who follows it looks at that. What a crash leaves in them goes when the time of the identity key is over.
 */
import * as z from 'zod'
import type { Clock } from '../platform/runtime/clock.ts'
import { behind, key, name, number } from '../storage/bytes.ts'
import { float, json, NOTHING, text } from '../storage/codec.ts'
import type { Kv, Write } from '../storage/kv.ts'
import { defineTable, mapped, read, transact } from '../storage/table.ts'
import { type IdentityEntry, type InviteEntry, identityCursor, type KeysStore } from './store.ts'

type KeptIdentity = Pick<IdentityEntry, 'account' | 'cacao' | 'revokedAt' | 'isProven'>
const identitySchema: z.ZodType<KeptIdentity> = z.object({
  account: z.string(),
  cacao: z.string(),
  revokedAt: z.number().exactOptional(),
  isProven: z.boolean().exactOptional(),
})
const inviteSchema: z.ZodType<InviteEntry> = z.object({
  inviteKey: z.string(),
  account: z.string(),
  identityKey: z.string(),
})

/** The partition is the identity key, where nothing else is said. */
export const KEYS_TABLES = {
  /** By account key. */
  identities: defineTable({ name: 'keys.identities', shape: 'ordered', codec: json(identitySchema) }),
  /** The account key of the default. */
  defaults: defineTable({ name: 'keys.defaults', shape: 'cell', codec: text }),
  /** Account keys whose invite key it registered. */
  registered: defineTable({ name: 'keys.registered', shape: 'index', codec: NOTHING }),
  /** Until when it stays. */
  ends: defineTable({ name: 'keys.ends', shape: 'cell', codec: float }),
  /** The partition is the account key. */
  invites: defineTable({ name: 'keys.invites', shape: 'cell', codec: json(inviteSchema) }),
  /** `identityCursor` of every entry, in the partition of all. */
  listed: defineTable({ name: 'keys.listed', shape: 'index', codec: NOTHING }),
  /** When a sweep looks, identity key; in the partition of all. */
  due: defineTable({ name: 'keys.due', shape: 'index', codec: NOTHING }),
}
const { identities, defaults, registered, ends, invites } = KEYS_TABLES

const ALL = 'keys'
const listed = KEYS_TABLES.listed.in(ALL)
const due = KEYS_TABLES.due.in(ALL)
const dueKey = (until: number, identityKey: string): Buffer => key(number(until), name(identityKey))
/** Bytes of an instant, before what it is about. */
const INSTANT_BYTES = 8
/** Rows that are read at once. */
const PAGE_ROWS = 500

interface Deps {
  kv: Kv
  clock: Pick<Clock, 'now'>
}

const commit = ({ kv, clock }: Deps, partition: string, write: Write) =>
  kv.commit([{ partition, writes: [write] }], clock.now())

const cursorOf = (identityKey: string, accountKey: string): Buffer =>
  name(identityCursor({ identityKey, accountKey }))
const namesIn = (cursor: string): [identityKey: string, accountKey: string] => {
  const [identityKey = '', accountKey = ''] = cursor.split(' ')
  return [identityKey, accountKey]
}

/** The entry, marked where it is the default, and the account key of the default. */
const findEntry = async ({ kv }: Deps, identityKey: string, accountKey: string) => {
  const [{ value }, { value: chosen }] = await read(kv, [
    identities.in(identityKey).get(name(accountKey)),
    defaults.in(identityKey).get(),
  ])
  const entry: IdentityEntry | undefined = value && {
    ...{ identityKey, accountKey, ...value },
    ...(chosen === accountKey && { isDefault: true }),
  }
  return { entry, chosen }
}

/** Whether the identity key names the account. */
const naming = (identityKey: string, accountKey: string) =>
  mapped(registered.in(identityKey).get(name(accountKey)), ({ value }) => value === true)
const isNamed = async ({ kv }: Deps, identityKey: string, accountKey: string): Promise<boolean> => {
  const [isNamedNow] = await read(kv, [naming(identityKey, accountKey)])
  return isNamedNow
}

/** Removes the entry, and the validity of the invite key that it registered; answers whether there was an entry. */
const removeEntry = ({ kv, clock }: Deps, identityKey: string, accountKey: string): Promise<boolean> => {
  const own = identities.in(identityKey)
  const at = name(accountKey)
  return transact(kv, clock.now(), async () => {
    const [{ value }, chosen, isInviting] = await read(kv, [
      own.get(at),
      defaults.in(identityKey).get(),
      naming(identityKey, accountKey),
    ])
    const answer = value !== undefined
    if (!answer && !isInviting) return { answer }
    const checks = [answer ? own.isPresent(at) : own.isAbsent(at), chosen.isUnchanged]
    const writes = [own.remove(at), registered.in(identityKey).remove(at)]
    if (chosen.value === accountKey) writes.push(defaults.in(identityKey).remove())
    return { answer, batch: { partition: identityKey, checks, writes } }
  })
}

/** Removes what is left of an invite key that counts no more. */
const removeLeftInvite = async (deps: Deps, identityKey: string, accountKey: string): Promise<void> => {
  const { kv, clock } = deps
  const cell = invites.in(accountKey)
  const removed = await transact(kv, clock.now(), async () => {
    const [{ value, isUnchanged }] = await read(kv, [cell.get()])
    if (value?.identityKey !== identityKey || (await isNamed(deps, identityKey, accountKey)))
      return { answer: undefined }
    return { answer: value, batch: { partition: accountKey, checks: [isUnchanged], writes: [cell.remove()] } }
  })
  // The same one was registered again meanwhile.
  if (removed && (await isNamed(deps, identityKey, accountKey)))
    await commit(deps, accountKey, cell.create({ value: removed }))
}

/** Takes an entry that is gone off the list. */
const unlist = async (deps: Deps, identityKey: string, accountKey: string): Promise<void> => {
  const cursor = cursorOf(identityKey, accountKey)
  const isThere = async () => (await findEntry(deps, identityKey, accountKey)).entry !== undefined
  if (await isThere()) return
  await commit(deps, ALL, listed.remove(cursor))
  // Registered again meanwhile.
  if (await isThere()) await commit(deps, ALL, listed.put({ key: cursor, value: true }))
}

/** The list goes last: by it a sweep finds what a crash has left. */
const removeLeftovers = async (deps: Deps, identityKey: string, accountKey: string): Promise<void> => {
  await removeLeftInvite(deps, identityKey, accountKey)
  await unlist(deps, identityKey, accountKey)
}

const identityVerbs = (
  deps: Deps,
): Pick<KeysStore, 'registerIdentity' | 'identity' | 'unregisterIdentity' | 'identities'> => ({
  async registerIdentity({ identityKey, accountKey, isDefault, ...kept }) {
    await commit(deps, ALL, listed.put({ key: cursorOf(identityKey, accountKey), value: true }))
    const own = defaults.in(identityKey)
    const writes = [
      identities.in(identityKey).put({ key: name(accountKey), value: kept }),
      isDefault ? own.put({ value: accountKey }) : own.create({ value: accountKey }),
    ]
    await deps.kv.commit([{ partition: identityKey, writes }], deps.clock.now())
  },

  async identity(identityKey, accountKey) {
    if (accountKey !== undefined) return (await findEntry(deps, identityKey, accountKey)).entry
    const [{ value }] = await read(deps.kv, [defaults.in(identityKey).get()])
    for (let wanted = value; wanted !== undefined; ) {
      const { entry, chosen } = await findEntry(deps, identityKey, wanted)
      if (entry || chosen === wanted) return entry
      wanted = chosen
    }
    return undefined
  },

  async unregisterIdentity(identityKey, accountKey) {
    const was = await removeEntry(deps, identityKey, accountKey)
    await removeLeftovers(deps, identityKey, accountKey)
    return was
  },

  async identities({ after, limit }) {
    const found: IdentityEntry[] = []
    let from = after === undefined ? undefined : behind(name(after))
    while (found.length < limit) {
      const [page] = await read(deps.kv, [
        listed.keys({ ...(from && { from }), limit: limit - found.length }),
      ])
      const last = page.at(-1)
      if (!last) break
      const entries = await Promise.all(page.map((cursor) => findEntry(deps, ...namesIn(cursor.toString()))))
      // One that is not there is not written yet, or was just removed.
      for (const { entry } of entries) if (entry) found.push(entry)
      from = behind(last)
    }
    return found
  },
})

const inviteVerbs = (deps: Deps): Pick<KeysStore, 'registerInvite' | 'invite' | 'unregisterInvite'> => ({
  async registerInvite(accountKey, { inviteKey, account, identityKey }) {
    await commit(deps, identityKey, registered.in(identityKey).put({ key: name(accountKey), value: true }))
    await commit(deps, accountKey, invites.in(accountKey).put({ value: { inviteKey, account, identityKey } }))
  },

  async invite(accountKey) {
    const [{ value }] = await read(deps.kv, [invites.in(accountKey).get()])
    return value && (await isNamed(deps, value.identityKey, accountKey)) ? value : undefined
  },

  unregisterInvite: (accountKey) =>
    transact(deps.kv, deps.clock.now(), async () => {
      const cell = invites.in(accountKey)
      const [{ value, isUnchanged }] = await read(deps.kv, [cell.get()])
      if (!value) return { answer: false }
      const answer = await isNamed(deps, value.identityKey, accountKey)
      return { answer, batch: { partition: accountKey, checks: [isUnchanged], writes: [cell.remove()] } }
    }),
})

const prolong = async (deps: Deps, identityKey: string, until: number): Promise<void> => {
  const { kv, clock } = deps
  const cell = ends.in(identityKey)
  const former = await transact(kv, clock.now(), async () => {
    const [{ value, isUnchanged }] = await read(kv, [cell.get()])
    if (value !== undefined && value >= until) return { answer: undefined }
    await commit(deps, ALL, due.put({ key: dueKey(until, identityKey), value: true }))
    const writes = [cell.put({ value: until })]
    return { answer: value, batch: { partition: identityKey, checks: [isUnchanged], writes } }
  })
  if (former !== undefined) await commit(deps, ALL, due.remove(dueKey(former, identityKey)))
}

/** All keys of a range, page by page. */
async function* keysOf(
  { kv }: Deps,
  set: Pick<typeof due, 'keys'>,
  range: { from?: Buffer; to?: Buffer } = {},
): AsyncIterable<Buffer[]> {
  for (let { from } = range; ; ) {
    const [page] = await read(kv, [set.keys({ ...range, ...(from && { from }), limit: PAGE_ROWS })])
    const last = page.at(-1)
    if (!last) return
    yield page
    from = behind(last)
  }
}

/** Removes an identity key whose time is over at `now`. It stays due until nothing is left of it. */
const removeIdentity = async (deps: Deps, identityKey: string, now: number): Promise<void> => {
  const { kv, clock } = deps
  const [end] = await read(kv, [ends.in(identityKey).get()])
  // It was used meanwhile, and is due at another instant.
  if (end.value === undefined || end.value > now) return
  const inviting: Buffer[] = []
  for await (const page of keysOf(deps, registered.in(identityKey))) inviting.push(...page)
  const own = { partition: identityKey, checks: [end.isUnchanged] }
  const [outcome] = await kv.commit(
    [
      {
        ...own,
        writes: [
          identities.in(identityKey).clear(),
          defaults.in(identityKey).remove(),
          registered.in(identityKey).clear(),
        ],
      },
    ],
    clock.now(),
  )
  if (!outcome?.isDone) return
  for (const accountKey of inviting) await removeLeftInvite(deps, identityKey, accountKey.toString())
  const range = { from: name(`${identityKey} `), to: name(`${identityKey}!`) }
  for await (const cursors of keysOf(deps, listed, range)) {
    await Promise.all(cursors.map((cursor) => removeLeftovers(deps, ...namesIn(cursor.toString()))))
  }
  await kv.commit([{ ...own, writes: [ends.in(identityKey).remove()] }], clock.now())
}

export const createKeysStore = (kv: Kv, clock: Pick<Clock, 'now'>): KeysStore => {
  const deps: Deps = { kv, clock }
  return {
    ...identityVerbs(deps),
    ...inviteVerbs(deps),
    prolong: (identityKey, until) => prolong(deps, identityKey, until),
    async sweep(now, limit) {
      // An instant that has come: up to and with `now`.
      const [over] = await read(kv, [due.keys({ to: number(now + 1), limit })])
      const outcomes = await Promise.allSettled(
        over.map(async (entry) => {
          await removeIdentity(deps, entry.toString('utf8', INSTANT_BYTES), now)
          await commit(deps, ALL, due.remove(entry))
        }),
      )
      const failure = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failure) throw failure.reason
      return over.length
    },
  }
}
