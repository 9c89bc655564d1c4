/** Accounts: the record, and the rows that follow from it. */
import { name } from '../../../storage/bytes.ts'
import type { Verb, Write } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import { entryWrites, newEntries } from '../outbox/line.ts'
import { type KeptAccountRow, liveRequests } from '../packed/account-rows.ts'
import type { AccountCommit, AccountRecord, Subscription } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import type { VerbDeps } from './deps.ts'
import { forgetTopics, ownerHints } from './owners.ts'
import { type AskedRequest, askedOf, knownRequest, rememberedWith, requestsOf } from './requests.ts'
import { ACCOUNTS, DUE, dueKey, HEADS, LAST_OF_KEY, PAGES, partitionOf, SUBSCRIBERS } from './tables.ts'

export const EMPTY_RECORD: AccountRecord = { subscriptions: [], watchers: [] }
type Refusal = Exclude<Awaited<ReturnType<NotifyStore['commit']>>, 'committed'>

/** When the first thing of the account expires. */
export const soonest = ({ subscriptions, watchers }: AccountRecord): number => {
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
    ...(has(({ domain }) => domain === one.domain)
      ? []
      : [SUBSCRIBERS.in(partition, one.domain).remove(name(accountKey))]),
    ...(has(({ id }) => id === one.id)
      ? []
      : [
          HEADS.in(partition, one.id).remove(),
          PAGES.in(partition, one.id).clear(),
          LAST_OF_KEY.in(partition, one.id).clear(),
        ]),
  ]
}

const begun = (partition: string, accountKey: string, { domain }: Subscription): Write =>
  SUBSCRIBERS.in(partition, domain).put({ key: name(accountKey), value: true })

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
    if (!old.subscriptions.some(stays(one))) writes.push(begun(partition, accountKey, one))
  return writes
}

/**
 * Where the account stands from now on in the list of what expires: where it stood, unless that would be too late. Whoever finds
 * it there too early moves it.
 */
export const dueWrites = (
  partition: string,
  accountKey: string,
  former: number,
  wanted: number,
): { due: number; writes: Write[] } => {
  if (former > 0 && former <= wanted && wanted !== Number.POSITIVE_INFINITY)
    return { due: former, writes: [] }
  const set = DUE.in(partition)
  const writes: Write[] = former > 0 ? [set.remove(dueKey(former, accountKey))] : []
  if (wanted === Number.POSITIVE_INFINITY) return { due: 0, writes }
  return { due: wanted, writes: [...writes, set.put({ key: dueKey(wanted, accountKey), value: true })] }
}

/** An account that is empty is kept until its requests are forgotten. */
export const endOf = ({ record, requests }: Pick<KeptAccountRow, 'record' | 'requests'>): number => {
  const first = soonest(record)
  if (first !== Number.POSITIVE_INFINITY || requests.length === 0) return first
  return liveRequests(requests, 0).until
}

/** A version never comes twice, not even for an account that was gone in between. */
export const nextVersion = ({ nextPlace }: Pick<VerbDeps, 'nextPlace'>, version: number): number =>
  Math.max(version + 1, Math.floor(nextPlace()))

interface Committing {
  commit: AccountCommit
  asked: AskedRequest | undefined
  partition: string
}

const commitVerb = (deps: VerbDeps, { commit, asked, partition }: Committing) =>
  function* (): Verb<Refusal | { version: number; ended: readonly Subscription[] }> {
    const { accountKey, expectedVersion, record } = commit
    const cell = ACCOUNTS.in(partition, accountKey)
    const [{ value: old }] = yield* ask([cell.get()])
    const unchanged = (answer: Refusal) => ({ answer, writes: [] })
    const known = asked && (yield* knownRequest(partition, accountKey, requestsOf(old), asked))
    if (known) return unchanged(known)
    const version = old?.version ?? 0
    if (version !== expectedVersion) return unchanged('conflict')

    const entries = yield* newEntries(partition, commit.outbox)
    const recent = deps.accounts.get(accountKey)
    const former = recent?.version === version ? recent.record : (old?.record ?? EMPTY_RECORD)
    const hints = yield* ownerHints(accountKey, former, record)
    const writes = indexWrites(partition, accountKey, former, record)
    const remembered = asked
      ? rememberedWith(partition, accountKey, requestsOf(old), asked)
      : { ...requestsOf(old), writes: [], hints: [] }
    const { requests, pagedUntil } = remembered
    const isEmpty = record.subscriptions.length + record.watchers.length === 0 && requests.length === 0
    const { due, writes: moves } = dueWrites(
      partition,
      accountKey,
      old?.due ?? 0,
      endOf({ record, requests }),
    )
    writes.push(...moves, ...remembered.writes)
    const next = { version: nextVersion(deps, version), due, pagedUntil, requests, record }
    if (!isEmpty) writes.push(cell.put({ value: next }))
    else if (old) writes.push(cell.remove())
    writes.push(...entryWrites(partition, entries, deps.nextPlace))
    const ended = former.subscriptions.filter(
      ({ topic }) => !record.subscriptions.some((one) => one.topic === topic),
    )
    return { answer: { version: next.version, ended }, writes, hints: [...hints, ...remembered.hints] }
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
    const now = deps.clock.now()
    const asked = requestId && askedOf(requestId)
    const verb = commitVerb(deps, { commit, asked, partition })
    const answer = await runOne(deps.kv, partition, now, verb)
    if (typeof answer === 'string') return answer
    deps.accounts.put(accountKey, { version: answer.version, record: commit.record })
    if (outbox.length > 0) deps.ring()
    await forgetTopics(deps, accountKey, answer.ended)
    return 'committed'
  },
})

/** Looks at an account that stands at `at` in the list of what expires; moves it where that is too early. */
export const lookAtDue = (
  partition: string,
  { at, accountKey }: { at: number; accountKey: string },
  now: number,
) =>
  function* (): Verb<{ isDue: boolean }> {
    const cell = ACCOUNTS.in(partition, accountKey)
    const set = DUE.in(partition)
    const [{ value: row }] = yield* ask([cell.get()])
    const leaves = set.remove(dueKey(at, accountKey))
    if (row?.due !== at) return { answer: { isDue: false }, writes: [leaves] }
    const { version, pagedUntil, requests, record } = row
    if (soonest(record) <= now) return { answer: { isDue: true }, writes: [] }
    const due = endOf(row)
    const isGone = due <= now || due === Number.POSITIVE_INFINITY
    if (isGone) return { answer: { isDue: false }, writes: [leaves, cell.remove()] }
    return {
      answer: { isDue: false },
      writes: [
        leaves,
        set.put({ key: dueKey(due, accountKey), value: true }),
        cell.put({ value: { version, due, pagedUntil, requests, record } }),
      ],
    }
  }
