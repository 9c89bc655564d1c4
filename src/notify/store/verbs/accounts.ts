/** Accounts: the record, and the rows that follow from it. */
import { ask, read, runOne } from '../../../storage/table.ts'
import type { Verb, Write } from '../../../storage/kv.ts'
import type { AccountCommit, AccountRecord, Subscription } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { placeBytes, type VerbDeps } from './deps.ts'
import { newHead } from './heads.ts'
import { ACCOUNTS, DUE, HEADS, OUTBOX, PAGES, partitionOf, REQUESTS, SUBSCRIBERS, TOPICS } from './rows.ts'

const EMPTY_RECORD: AccountRecord = { subscriptions: [], watchers: [] }
type CommitOutcome = Awaited<ReturnType<NotifyStore['commit']>>

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
const indexWrites = (partition: string, accountKey: string, old: AccountRecord, next: AccountRecord): Write[] => {
  const writes: Write[] = []
  for (const one of old.subscriptions)
    if (!next.subscriptions.some(stays(one))) writes.push(...ended(partition, accountKey, one, next))
  for (const one of next.subscriptions)
    if (!old.subscriptions.some(stays(one))) writes.push(...begun(partition, accountKey, one, old))
  const [before, after] = [soonest(old), soonest(next)]
  if (before === after) return writes
  const due = DUE.in(partition)
  const dueKey = (at: number) => Buffer.concat([placeBytes(at), Buffer.from(accountKey)])
  if (before !== Number.POSITIVE_INFINITY) writes.push(due.remove(dueKey(before)))
  if (after !== Number.POSITIVE_INFINITY) writes.push(due.put({ key: dueKey(after), value: true }))
  return writes
}

const requestCell = (partition: string, id: string) => REQUESTS.in(partition, id)

const commitVerb = (deps: VerbDeps, partition: string, commit: AccountCommit) =>
  function* (): Verb<CommitOutcome> {
    const { accountKey, expectedVersion, record, requestId, outbox: entries } = commit
    const cell = ACCOUNTS.in(partition, accountKey)
    const request = requestId && requestCell(partition, requestId.id)
    const token = requestId?.token === undefined ? undefined : requestCell(partition, requestId.token)
    const cells = [request, token].flatMap((one) => (one ? [one] : []))
    const [{ value: old }, ...known] = yield* ask([cell.get(), ...cells.map((one) => one.get())])
    const unchanged = (answer: CommitOutcome) => ({ answer, writes: [] })
    if (request && known[0]?.value !== undefined) return unchanged('repeated')
    if (token && known[1]?.value !== undefined) return unchanged('used')
    const version = old?.version ?? 0
    if (version !== expectedVersion) return unchanged('conflict')

    const writes: Write[] = []
    if (requestId)
      for (const one of cells) writes.push(one.put({ value: requestId.expiresAt, expiresAt: requestId.expiresAt }))
    const recent = deps.accounts.get(accountKey)
    const former = recent?.version === version ? recent.record : old && 'json' in old ? old.json() : EMPTY_RECORD
    writes.push(...indexWrites(partition, accountKey, former, record))
    if (record.subscriptions.length + record.watchers.length > 0)
      writes.push(cell.put({ value: { version: Math.max(version + 1, Math.floor(deps.nextPlace())), record } }))
    else if (old) writes.push(cell.remove())
    const outbox = OUTBOX.in(partition)
    for (const entry of entries) {
      const key = placeBytes(deps.nextPlace())
      writes.push(outbox.append({ at: entry.createdAt, key, value: { entry, receipt: undefined } }))
    }
    return { answer: 'committed', writes }
  }

export const createAccounts = (deps: VerbDeps): Pick<NotifyStore, 'account' | 'commit'> => ({
  async account(accountKey) {
    const [{ value }] = await read(deps.kv, [ACCOUNTS.in(partitionOf(accountKey), accountKey).get()])
    if (!value || !('json' in value)) return { version: 0, record: EMPTY_RECORD }
    const recent = deps.accounts.get(accountKey)
    if (recent?.version === value.version) return recent
    const found = { version: value.version, record: value.json() }
    deps.accounts.put(accountKey, found)
    return found
  },

  async commit(commit) {
    const partition = partitionOf(commit.accountKey)
    const answer = await runOne(deps.kv, partition, deps.clock.now(), commitVerb(deps, partition, commit))
    deps.accounts.remove(commit.accountKey)
    if (answer === 'committed' && commit.outbox.length > 0) deps.ring()
    return answer
  },
})
