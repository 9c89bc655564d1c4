/** Accounts: the record, and the rows that follow from it. */
import { ask, read, runOne } from '../../../storage/table.ts'
import type { Verb, Write } from '../../../storage/kv.ts'
import type { AccountCommit, AccountRecord, Subscription } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { digestOf, isFullOf, knownIn, liveRequests, NO_TOKEN, withRequest } from './account-rows.ts'
import { placeBytes, type VerbDeps, weighed } from './deps.ts'
import { newHead } from './heads.ts'
import { ACCOUNTS, DUE, HEADS, OUTBOX, PAGES, partitionOf, REQUESTS, SUBSCRIBERS, TOPICS } from './rows.ts'

const EMPTY_RECORD: AccountRecord = { subscriptions: [], watchers: [] }
type Refusal = Exclude<Awaited<ReturnType<NotifyStore['commit']>>, 'committed'>

const soonest = ({ subscriptions, watchers }: AccountRecord): number => {
  let at = Number.POSITIVE_INFINITY
  for (const { expiresAt } of subscriptions) at = Math.min(at, expiresAt)
  for (const { expiresAt } of watchers) at = Math.min(at, expiresAt)
  return at
}

const stays = (a: Subscription) => (b: Subscription) =>
  a.id === b.id && a.topic === b.topic && a.domain === b.domain

const ended = (partition: string, accountKey: string, one: Subscription, next: AccountRecord): Write[] => {
  const has = (is: (other: Subscription) => boolean) => next.subscriptions.some(is)
  return [
    ...(has(({ topic }) => topic === one.topic) ? [] : [TOPICS.in(partition).remove(Buffer.from(one.topic))]),
    ...(has(({ domain }) => domain === one.domain)
      ? []
      : [SUBSCRIBERS.in(partition, one.domain).remove(Buffer.from(accountKey))]),
    ...(has(({ id }) => id === one.id)
      ? []
      : [HEADS.in(partition, one.id).remove(), PAGES.in(partition, one.id).clear()]),
  ]
}

const begun = (partition: string, accountKey: string, one: Subscription, old: AccountRecord): Write[] => {
  const isNew = !old.subscriptions.some(({ id }) => id === one.id)
  return [
    TOPICS.in(partition).put({ key: Buffer.from(one.topic), value: true }),
    SUBSCRIBERS.in(partition, one.domain).put({ key: Buffer.from(accountKey), value: true }),
    ...(isNew ? [HEADS.in(partition, one.id).put({ value: newHead(accountKey) })] : []),
  ]
}

/** What brings the rows from the old record to the next one. */
const indexWrites = (
  partition: string,
  accountKey: string,
  old: AccountRecord,
  next: AccountRecord,
): Write[] => {
  const writes: Write[] = []
  for (const one of old.subscriptions)
    if (!next.subscriptions.some(stays(one))) writes.push(...ended(partition, accountKey, one, next))
  for (const one of next.subscriptions)
    if (!old.subscriptions.some(stays(one))) writes.push(...begun(partition, accountKey, one, old))
  return writes
}

const dueKey = (at: number, accountKey: string) => Buffer.concat([placeBytes(at), Buffer.from(accountKey)])

/** Where the account stands from now on in the list of what expires: where it stood, unless that would be too late. */
const dueWrites = (partition: string, accountKey: string, former: number, wanted: number) => {
  if (former > 0 && former <= wanted && wanted !== Number.POSITIVE_INFINITY)
    return { due: former, writes: [] }
  const set = DUE.in(partition)
  const writes: Write[] = former > 0 ? [set.remove(dueKey(former, accountKey))] : []
  if (wanted === Number.POSITIVE_INFINITY) return { due: 0, writes }
  return { due: wanted, writes: [...writes, set.put({ key: dueKey(wanted, accountKey), value: true })] }
}

const NO_REQUESTS = Buffer.alloc(0)
const MAX_PAGES = 1_000

/** The requests that the account remembers with this one, and the page of those that are too many. */
const rememberedWith = (
  partition: string,
  accountKey: string,
  requests: Buffer,
  { id, token, expiresAt, now }: { id: Buffer; token: Buffer; expiresAt: number; now: number },
) => {
  const { live, until } = liveRequests(requests, now)
  if (!isFullOf(live)) return { requests: withRequest(live, id, token, expiresAt), until: 0, writes: [] }
  const key = Buffer.concat([placeBytes(until), id])
  const page = REQUESTS.in(partition, accountKey).put({ key, value: live, expiresAt: until })
  return { requests: withRequest(NO_REQUESTS, id, token, expiresAt), until, writes: [page] }
}

interface Asked {
  id: Buffer
  token: Buffer
  expiresAt: number
}

const commitVerb = (
  deps: VerbDeps,
  partition: string,
  commit: AccountCommit,
  asked: Asked | undefined,
  now: number,
) =>
  function* (): Verb<Refusal | { version: number }> {
    const { accountKey, expectedVersion, record, outbox: entries } = commit
    const cell = ACCOUNTS.in(partition, accountKey)
    const [{ value: old }] = yield* ask([cell.get()])
    const requests = old?.requests ?? NO_REQUESTS
    const pagedUntil = old?.pagedUntil ?? 0
    const unchanged = (answer: Refusal) => ({ answer, writes: [] })
    if (asked) {
      let known = knownIn(requests, asked.id, asked.token, now)
      if (!known && pagedUntil > now) {
        const from = placeBytes(now)
        const [pages] = yield* ask([REQUESTS.in(partition, accountKey).range({ from, limit: MAX_PAGES })])
        for (const { value } of pages) known ??= knownIn(value, asked.id, asked.token, now)
      }
      if (known) return unchanged(known)
    }
    const version = old?.version ?? 0
    if (version !== expectedVersion) return unchanged('conflict')

    const recent = deps.accounts.get(accountKey)
    const former = recent?.version === version ? recent.record : (old?.record ?? EMPTY_RECORD)
    const writes = indexWrites(partition, accountKey, former, record)
    const { due, writes: moves } = dueWrites(partition, accountKey, old?.due ?? 0, soonest(record))
    const remembered = asked && rememberedWith(partition, accountKey, requests, { ...asked, now })
    writes.push(...moves, ...(remembered?.writes ?? []))
    const next = {
      version: Math.max(version + 1, Math.floor(deps.nextPlace())),
      due,
      pagedUntil: Math.max(pagedUntil, remembered?.until ?? 0),
      requests: remembered?.requests ?? requests,
      record,
    }
    const isEmpty = record.subscriptions.length + record.watchers.length === 0
    // An account that is empty goes when its requests have been forgotten.
    if (!isEmpty || next.requests.length > 0) writes.push(cell.put({ value: next }))
    else if (old) writes.push(cell.remove())
    const outbox = OUTBOX.in(partition)
    for (const entry of entries) {
      const key = weighed(deps.nextPlace(), 1)
      writes.push(outbox.append({ at: entry.createdAt, key, value: { entry } }))
    }
    return { answer: { version: next.version }, writes }
  }

export const createAccounts = (deps: VerbDeps): Pick<NotifyStore, 'account' | 'commit'> => ({
  async account(accountKey) {
    const [{ value }] = await read(deps.kv, [ACCOUNTS.in(partitionOf(accountKey), accountKey).get()])
    if (!value) return { version: 0, record: EMPTY_RECORD }
    const { version } = value
    const recent = deps.accounts.get(accountKey)
    if (recent?.version === version) return recent
    const found = { version, record: value.record }
    deps.accounts.put(accountKey, found)
    return found
  },

  async commit(commit) {
    const { accountKey, requestId, outbox } = commit
    const partition = partitionOf(accountKey)
    const asked = requestId && {
      id: digestOf(requestId.id),
      token: requestId.token === undefined ? NO_TOKEN : digestOf(requestId.token),
      expiresAt: requestId.expiresAt,
    }
    const now = deps.clock.now()
    const answer = await runOne(deps.kv, partition, now, commitVerb(deps, partition, commit, asked, now))
    if (typeof answer === 'string') return answer
    deps.accounts.put(accountKey, { version: answer.version, record: commit.record })
    if (outbox.length > 0) deps.ring()
    return 'committed'
  },
})
