/** Entries of the outbox that were sent, or will not be; the receipts of copies move on with them. */
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { isUnsent, STATES, subscriptionIdAt } from '../packed/chunks.ts'
import { FLAGS } from '../packed/heads.ts'
import { packId } from '../packed/ids.ts'
import type { OutboxOutcome, ReceiptsStore } from '../receipts.ts'
import type { RotationStore } from '../rotation.ts'
import { groupBy, type Steps, type TakenEntry, type VerbDeps } from '../verbs/deps.ts'
import { type OpenChunk, openChunks, openHistories } from '../verbs/open-rows.ts'
import { ENTRIES } from '../verbs/tables.ts'
import { findEntries } from './find-entries.ts'
import { entryRow, lineIn } from './line.ts'

interface Done {
  id: string
  taken: TakenEntry
  outcome: OutboxOutcome | undefined
}

/** Copies by subscription, to be taken out of the histories. */
export type Withdrawing = Map<string, Buffer[]>

export const withdrawLater = (all: Withdrawing, subscriptionId: string, copyId: Buffer): void => {
  const known = all.get(subscriptionId)
  if (known) known.push(copyId)
  else all.set(subscriptionId, [copyId])
}

/** Takes copies out of history and count; their ids stay until they would have expired. */
export function* withdraw(partition: string, copies: Withdrawing): Steps<Write[]> {
  const writes: Write[] = []
  const histories = yield* openHistories(partition, copies)
  for (const [subscriptionId, history] of histories) {
    for (const id of copies.get(subscriptionId) ?? []) history.flag(id, FLAGS.withdrawn)
    writes.push(...history.writes(partition, subscriptionId))
  }
  return writes
}

/** An entry that is not stored any more moves nothing. */
const settle = (chunk: OpenChunk, done: readonly Done[], when: number, failed: Withdrawing): void => {
  for (const { id: copyId, outcome } of done) {
    const id = packId(copyId)
    const found = chunk.find(id)
    if (!found || !isUnsent(chunk.value, found.at)) continue
    const isMoving = outcome && found.state === STATES.queued
    if (isMoving && outcome.became === 'failed') {
      withdrawLater(failed, subscriptionIdAt(chunk.value, found.at), id)
      chunk.fail(found.at, when, outcome.reason ?? '')
      continue
    }
    chunk.markSent(found.at)
    if (isMoving) chunk.move(found.at, STATES.published, when)
  }
}

const complete = (partition: string, done: readonly Done[], when: number) =>
  function* (): Verb<void> {
    const line = lineIn(partition)
    const own = ENTRIES.in(partition)
    const entries = done.filter(({ taken }) => taken.receipts === undefined)
    const kept = entries.length > 0 ? yield* ask(entries.map(({ id }) => own.get(Buffer.from(id)))) : []
    const writes: Write[] = []
    for (const [nth, { id }] of entries.entries()) {
      const row = kept[nth]?.value
      if (row) writes.push(line.drop(entryRow(partition, id, row)), own.remove(Buffer.from(id)))
    }
    const groups = groupBy(
      done.filter(({ taken }) => taken.receipts !== undefined),
      ({ taken }) => taken.receipts ?? '',
    )
    const chunks = yield* openChunks(partition, groups.keys())
    const failed: Withdrawing = new Map()
    for (const [receipts, some] of groups) {
      const chunk = chunks.get(receipts)
      if (!chunk) continue
      settle(chunk, some, when, failed)
      writes.push(...chunk.writes(partition))
    }
    if (failed.size > 0) writes.push(...(yield* withdraw(partition, failed)))
    return { answer: undefined, writes, isRelief: true }
  }

type Complete = Pick<ReceiptsStore, 'completeOutbox'> & Pick<RotationStore, 'swapAnswerKey'>

export const createComplete = (deps: VerbDeps): Complete => ({
  async completeOutbox(all, when) {
    const unknown = new Map<string, OutboxOutcome | undefined>()
    for (const { id, receipt } of all) if (!deps.taken.get(id)) unknown.set(id, receipt)
    const found = unknown.size > 0 ? await findEntries(deps, unknown) : undefined
    const known = all.flatMap(({ id, receipt: outcome }): Done[] => {
      const taken = deps.taken.get(id) ?? found?.get(id)
      return taken ? [{ id, taken, outcome }] : []
    })
    const verbs: PlacedVerb<void>[] = []
    for (const [partition, done] of groupBy(known, ({ taken }) => taken.partition))
      verbs.push({ partition, verb: complete(partition, done, when) })
    if (verbs.length > 0) await deps.kv.run(verbs, when)
  },

  async swapAnswerKey(entryId, old, next) {
    const taken =
      deps.taken.get(entryId) ?? (await findEntries(deps, new Map([[entryId, undefined]]))).get(entryId)
    if (!taken || taken.receipts !== undefined) return
    const { partition } = taken
    const verb = function* (): Verb<void> {
      const own = ENTRIES.in(partition)
      const id = Buffer.from(entryId)
      const [{ value: row }] = yield* ask([own.get(id)])
      const task = row?.entry.task
      if (!row || task?.kind !== 'response' || task.key !== old) return { answer: undefined, writes: [] }
      const entry = { ...row.entry, task: { ...task, key: next } }
      return { answer: undefined, writes: [own.put({ key: id, value: { ...row, entry } })] }
    }
    await deps.kv.run([{ partition, verb }], deps.clock.now())
  },
})
