/** Lists over all accounts: each partition has its share of one, in order. */
import { behind, name } from '../../../storage/bytes.ts'
import type { Kv } from '../../../storage/kv.ts'
import { read, runOne, type TableSet } from '../../../storage/table.ts'
import type { ProjectStore } from '../projects.ts'
import type { Subscription } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { lookAtDue } from './accounts.ts'
import { placeBytes, type VerbDeps } from './deps.ts'
import { liveOwners } from './owners.ts'
import { ACCOUNTS, DUE, PARTITIONS, partitionOf, SUBSCRIBERS, topicOwners } from './tables.ts'

/** Beyond its share, so that most pages take one look. */
const SPARE_KEYS = 8

interface Share {
  set: Pick<TableSet<unknown>, 'keys'>
  from: Buffer | undefined
  to: Buffer | undefined
  keys: Buffer[]
  next: number
  isWhole: boolean
}

const headOf = ({ keys, next }: Share): Buffer | undefined => keys[next]

/** Reads on, in all shares of which everything was passed on. */
const refill = async (kv: Pick<Kv, 'read'>, shares: readonly Share[], limit: number): Promise<void> => {
  const empty = shares.filter((share) => !headOf(share) && !share.isWhole)
  if (empty.length === 0) return
  const most = Math.ceil((limit * 5) / (4 * shares.length)) + SPARE_KEYS
  const pages = await read(
    kv,
    empty.map(({ set, from, to }) => set.keys({ ...(from && { from }), ...(to && { to }), limit: most })),
  )
  for (const [nth, share] of empty.entries()) {
    const keys = pages[nth] ?? []
    share.keys = keys
    share.next = 0
    share.isWhole = keys.length < most
    const last = keys.at(-1)
    if (last) share.from = behind(last)
  }
}

/** The share whose next key is the first; undefined where one of them must be read on, or all are over. */
const firstOf = (shares: readonly Share[]): Share | undefined => {
  let first: Share | undefined
  for (const share of shares) {
    const head = headOf(share)
    if (!head && !share.isWhole) return undefined
    const least = first && headOf(first)
    if (head && (!least || head.compare(least) < 0)) first = share
  }
  return first
}

/** Keys of all sets in one order, in bytes, in pieces. */
async function* merged(
  kv: Pick<Kv, 'read'>,
  sets: readonly Share['set'][],
  { from, to, limit }: { from?: Buffer | undefined; to?: Buffer | undefined; limit: number },
): AsyncGenerator<Buffer[]> {
  const shares = sets.map((set): Share => ({ set, from, to, keys: [], next: 0, isWhole: false }))
  for (;;) {
    await refill(kv, shares, limit)
    const keys: Buffer[] = []
    for (let first = firstOf(shares); first; first = firstOf(shares)) {
      const key = headOf(first)
      if (key) keys.push(key)
      first.next += 1
    }
    if (keys.length === 0) return
    yield keys
  }
}

const pageOf = async (
  kv: Pick<Kv, 'read'>,
  sets: readonly TableSet<true>[],
  { after, limit }: { after?: string; limit: number },
): Promise<string[]> => {
  const found: string[] = []
  const from = after === undefined ? undefined : behind(name(after))
  for await (const keys of merged(kv, sets, { from, limit })) {
    for (const key of keys.slice(0, limit - found.length)) found.push(key.toString())
    if (found.length >= limit) break
  }
  return found
}

const inAll = (setIn: (partition: string) => TableSet<true>): TableSet<true>[] => PARTITIONS.map(setIn)
const subscriberSets = (domain: string) => {
  name(domain)
  return inAll((partition) => SUBSCRIBERS.in(partition, domain))
}

const countOf = async (kv: Pick<Kv, 'read'>, domain: string): Promise<number> => {
  const counts = await read(
    kv,
    subscriberSets(domain).map((set) => set.count()),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

const DUE_AT_BYTES = 8

type Lists = Pick<NotifyStore, 'subscribers' | 'subscriberCount' | 'topics' | 'accountsDue'> &
  Pick<ProjectStore, 'countSubscribers'>

export const createLists = ({ kv }: Pick<VerbDeps, 'kv'>): Lists => ({
  async subscribers(domain, page) {
    const accountKeys = await pageOf(kv, subscriberSets(domain), page)
    const rows = await read(
      kv,
      accountKeys.map((accountKey) => ACCOUNTS.in(partitionOf(accountKey), accountKey).get()),
    )
    const found: { accountKey: string; subscription: Subscription }[] = []
    for (const [nth, accountKey] of accountKeys.entries()) {
      const { record } = rows[nth]?.value ?? {}
      const subscription = record?.subscriptions.find((one) => one.domain === domain)
      if (subscription) found.push({ accountKey, subscription })
    }
    return found
  },

  subscriberCount: (domain) => countOf(kv, domain),
  countSubscribers: async (domain, most) => Math.min(most, await countOf(kv, domain)),

  async topics({ after, limit }) {
    const found: string[] = []
    const from = after === undefined ? undefined : behind(name(after))
    for await (const keys of merged(kv, topicOwners, { from, limit })) {
      const topics = keys.map(String)
      const owners = await liveOwners(kv, topics)
      found.push(...topics.filter((_, nth) => owners[nth]))
      if (found.length >= limit) break
    }
    return found.slice(0, limit)
  },

  async accountsDue(now, limit) {
    const found: string[] = []
    const to = placeBytes(now + 1)
    for await (const keys of merged(
      kv,
      inAll((partition) => DUE.in(partition)),
      { to, limit },
    )) {
      for (const key of keys) {
        const at = key.readDoubleBE(0)
        if (at > now || found.length >= limit) return found
        const accountKey = key.toString('utf8', DUE_AT_BYTES)
        const partition = partitionOf(accountKey)
        const { isDue } = await runOne(kv, partition, now, lookAtDue(partition, { at, accountKey }, now))
        if (isDue) found.push(accountKey)
      }
    }
    return found
  },
})
