/** Removes what names an account, for an operator who erases it: all stored notifications and hints are read. */
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask, runOne, type TableSet, type TypedTable } from '../../../storage/table.ts'
import { expiresAtOf, forgotten } from '../packed/chunks.ts'
import type { ReceiptsStore } from '../receipts.ts'
import { soonest } from '../verbs/accounts.ts'
import type { VerbDeps } from '../verbs/deps.ts'
import { MAX_CHUNKS } from '../verbs/receipt-chunks.ts'
import {
  ACCOUNTS,
  COPY_OWNERS,
  chunksOf,
  DUE,
  dueKey,
  NOTIFICATIONS,
  partitionOf,
  REQUEST_OWNERS,
  requestPages,
  TOPIC_OWNERS,
  WATCHER_OWNERS,
} from '../verbs/tables.ts'

/** Its receipts of one notification. */
const forgetReceiptsOf = (partition: string, reference: Buffer, accountKey: string) =>
  function* (): Verb<void> {
    const set = chunksOf(partition, reference)
    const [chunks] = yield* ask([set.range({ limit: MAX_CHUNKS })])
    const writes: Write[] = []
    for (const { key, value } of chunks) {
      const next = forgotten(value, accountKey)
      if (next) writes.push(set.put({ key, value: next, expiresAt: expiresAtOf(value), keepsEnd: true }))
    }
    return { answer: undefined, writes }
  }

/** The row of an account that has nothing any more, with the requests in it. */
const forgetRow = (partition: string, accountKey: string) =>
  function* (): Verb<boolean> {
    const cell = ACCOUNTS.in(partition, accountKey)
    const [{ value: row }] = yield* ask([cell.get()])
    if (!row) return { answer: true, writes: [] }
    if (soonest(row.record) !== Number.POSITIVE_INFINITY) return { answer: false, writes: [] }
    const writes = [cell.remove(), requestPages(partition, accountKey).clear()]
    if (row.due > 0) writes.push(DUE.in(partition).remove(dueKey(row.due, accountKey)))
    return { answer: true, writes, isRelief: true }
  }

/** Changes hints: `change` answers what becomes of one that names the account, undefined for others. */
const changeHints = async <V>(
  { kv, clock }: Pick<VerbDeps, 'kv' | 'clock'>,
  typed: TypedTable<V>,
  change: (value: V, set: TableSet<V>, key: Buffer) => Write | undefined,
): Promise<void> => {
  for await (const { rows } of kv.rows(typed.table)) {
    const writes = rows.flatMap((row) => {
      const { partition, subject } = row.set
      return change(typed.valueOf(row), typed.in(partition, subject), row.key) ?? []
    })
    const batches = writes.map((write) => ({ partition: write.set.partition, writes: [write] }))
    if (batches.length > 0) await kv.commit(batches, clock.now())
  }
}

/** Hints of what the account had. A request counts still, without saying whose it was. */
const forgetHints = async (deps: VerbDeps, accountKey: string): Promise<void> => {
  await changeHints(deps, TOPIC_OWNERS, ([owner], set, key) =>
    owner === accountKey ? set.remove(key) : undefined,
  )
  await changeHints(deps, COPY_OWNERS, ([owner], set) => (owner === accountKey ? set.remove() : undefined))
  await changeHints(deps, REQUEST_OWNERS, ([owner, expiresAt], set) =>
    owner === accountKey ? set.put({ value: ['', expiresAt], expiresAt }) : undefined,
  )
  await changeHints(deps, WATCHER_OWNERS, ({ accounts, expiresAt }, set) => {
    if (!accounts.includes(accountKey)) return undefined
    const others = accounts.filter((one) => one !== accountKey)
    return others.length > 0 ? set.put({ value: { accounts: others, expiresAt }, expiresAt }) : set.remove()
  })
}

export const createForget = (deps: VerbDeps): Pick<ReceiptsStore, 'forgetReceipts'> => ({
  async forgetReceipts(accountKey) {
    const partition = partitionOf(accountKey)
    const now = deps.clock.now()
    for await (const { rows } of deps.kv.rows(NOTIFICATIONS.table)) {
      const verbs = rows.map(({ set }): PlacedVerb<void> => {
        const reference = Buffer.from(set.subject, 'hex')
        return { partition, verb: forgetReceiptsOf(partition, reference, accountKey) }
      })
      if (verbs.length > 0) await deps.kv.run(verbs, now)
    }
    const isGone = await runOne(deps.kv, partition, now, forgetRow(partition, accountKey))
    if (isGone) await forgetHints(deps, accountKey)
  },
})
