/** Takes what must be sent, and moves receipts on as it is sent or fails. */
import type { PlacedVerb, TakenPlace, Verb, Write } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import type { OutboxOutcome, ReceiptsStore } from '../receipts.ts'
import type { OutboxEntry } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import {
  expiresAtOf,
  failReceipt,
  findReceipt,
  hasUnsent,
  isUnsent,
  markSent,
  moveReceipt,
  receiptsIn,
  STATES,
  stateAt,
  subscriptionAt,
} from './chunks.ts'
import { groupBy, type TakenRow, type VerbDeps } from './deps.ts'
import { chunkIn, type OutboxRow, type Pointer, referenceIn } from './entries.ts'
import { findInHead, withdrawn } from './heads.ts'
import { packId, unpackId } from './ids.ts'
import { chunksOf, HEADS, OUTBOX, PARTITIONS } from './rows.ts'

interface Done {
  id: string
  row: TakenRow
  outcome: OutboxOutcome | undefined
}

const OUTBOX_SETS = new Map(PARTITIONS.map((partition) => [partition, OUTBOX.in(partition).name]))
const setIn = (partition: string) => {
  const set = OUTBOX_SETS.get(partition)
  if (!set) throw new Error('The outbox has a set in each partition')
  return set
}

/** A copy that could not be sent, to be taken out of the history. */
interface Failed {
  id: Buffer
  subscriptionId: string
}

/** The chunk after what was done; undefined where nothing of it has changed. */
const settled = (kept: Buffer, done: readonly Done[], when: number, failed: Failed[]): Buffer | undefined => {
  let chunk: Buffer = Buffer.from(kept)
  let isMoved = false
  for (const { id: copyId, outcome } of done) {
    const id = packId(copyId)
    const at = findReceipt(chunk, id)
    if (at < 0 || !isUnsent(chunk, at)) continue
    isMoved = true
    markSent(chunk, at)
    if (!outcome || stateAt(chunk, at) !== STATES.queued) continue
    if (outcome.became === 'failed') {
      failed.push({ id, subscriptionId: unpackId(subscriptionAt(chunk, at), 0) })
      chunk = failReceipt(chunk, at, when, outcome.reason ?? '')
    } else moveReceipt(chunk, at, STATES.published, when)
  }
  return isMoved ? chunk : undefined
}

function* withdraw(partition: string, failed: readonly Failed[]) {
  const writes: Write[] = []
  if (failed.length === 0) return writes
  const heads = failed.map(({ subscriptionId }) => HEADS.in(partition, subscriptionId))
  const found = yield* ask(heads.map((head) => head.get()))
  for (const [nth, { id }] of failed.entries()) {
    const [head, kept] = [heads[nth], found[nth]?.value]
    const at = kept ? findInHead(kept, id) : -1
    if (head && kept && at >= 0) writes.push(head.put({ value: withdrawn(kept, at) }))
  }
  return writes
}

/** Answers the rows of the outbox that are gone. A pointer goes when nothing of its chunk must be sent. */
const complete = (partition: string, done: readonly Done[], when: number) =>
  function* (): Verb<TakenRow[]> {
    const set = setIn(partition)
    const groups = [...groupBy(done, ({ id, row }) => row.receipts ?? id).values()]
    const ofChunks = groups.flatMap((own) => {
      const receipts = own[0]?.row.receipts
      if (receipts === undefined) return []
      return [{ own, set: chunksOf(partition, referenceIn(receipts)), key: chunkIn(receipts) }]
    })
    const found = yield* ask(ofChunks.map((one) => one.set.get(one.key)))
    const writes: Write[] = []
    const gone: TakenRow[] = []
    const drop = (row: TakenRow | undefined) => {
      if (row?.handle === undefined) return
      writes.push({ kind: 'drop', set, handle: row.handle })
      gone.push(row)
    }
    const failed: Failed[] = []
    for (const [nth, one] of ofChunks.entries()) {
      const kept = found[nth]?.value
      const chunk = kept && settled(kept, one.own, when, failed)
      if (chunk)
        writes.push(
          one.set.put({ key: one.key, value: chunk, expiresAt: expiresAtOf(chunk), keepsEnd: true }),
        )
      const present = chunk ?? kept
      if (!present || !hasUnsent(present)) drop(one.own[0]?.row)
    }
    for (const own of groups) if (own[0]?.row.receipts === undefined) drop(own[0]?.row)
    writes.push(...(yield* withdraw(partition, failed)))
    return { answer: gone, writes, isRelief: true }
  }

const entriesOf = (pointer: Pointer, chunk: Buffer): OutboxEntry[] => {
  const { projectId, domain, notificationId, expiresAt } = pointer
  const entries: OutboxEntry[] = []
  for (const { copyId, subscriptionId, accountKey, isUnsent: isWanted, at } of receiptsIn(chunk)) {
    if (!isWanted) continue
    const task = {
      kind: 'notification' as const,
      accountKey,
      subscriptionId,
      projectId,
      domain,
      notificationId,
    }
    entries.push({ id: copyId, task, createdAt: at, expiresAt })
  }
  return entries
}

/** What the rows stand for, in their order. */
const expand = async (deps: VerbDeps, places: readonly TakenPlace[]): Promise<OutboxEntry[]> => {
  const rows = places.map(
    ({ partition, key, value }): OutboxRow => OUTBOX.valueOf({ set: setIn(partition), key, value }),
  )
  const wanted = rows.flatMap((row, nth) => {
    const partition = places[nth]?.partition
    if (!('pointer' in row) || partition === undefined) return []
    const { receipts } = row.pointer
    return [chunksOf(partition, referenceIn(receipts)).get(chunkIn(receipts))]
  })
  const chunks = wanted.length > 0 ? await read(deps.kv, wanted) : []
  const entries: OutboxEntry[] = []
  let next = 0
  for (const [nth, row] of rows.entries()) {
    const place = places[nth]
    if (!place) continue
    const { partition, handle } = place
    const isEntry = 'entry' in row
    const taken: TakenRow = { partition, handle, receipts: isEntry ? undefined : row.pointer.receipts }
    const chunk = isEntry ? undefined : chunks[next++]?.value
    for (const entry of isEntry ? [row.entry] : chunk ? entriesOf(row.pointer, chunk) : []) {
      deps.taken.put(entry.id, taken)
      entries.push(entry)
    }
  }
  return entries
}

export const createOutbox = (
  deps: VerbDeps,
): Pick<NotifyStore, 'takeOutbox'> & Pick<ReceiptsStore, 'completeOutbox'> => ({
  async takeOutbox(lease) {
    return expand(deps, await deps.kv.takePlaces({ table: OUTBOX.table, partitions: PARTITIONS }, lease))
  },

  async completeOutbox(all, when) {
    const known = all.map(({ id, receipt: outcome }): Done => {
      const row = deps.taken.get(id)
      // Whoever completes has taken it; looking for it in all partitions is not in this spike.
      if (!row) throw new Error('An entry is completed that was not taken here')
      return { id, row, outcome }
    })
    const verbs: PlacedVerb<TakenRow[]>[] = []
    for (const [partition, done] of groupBy(known, ({ row }) => row.partition))
      verbs.push({ partition, verb: complete(partition, done, when) })
    for (const gone of await deps.kv.run(verbs, when)) for (const row of gone) row.handle = undefined
  },
})
