/** Takes what must be sent, and moves receipts on as it is sent or fails. */
import { ask } from '../../../storage/table.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import type { OutboxOutcome, ReceiptsStore } from '../receipts.ts'
import type { NotifyStore } from '../store.ts'
import { expiresAtOf, failReceipt, findReceipt, moveReceipt, STATES, stateAt, subscriptionAt } from './chunks.ts'
import { groupBy, type TakenEntry, type VerbDeps } from './deps.ts'
import { chunkIn, referenceIn } from './entries.ts'
import { findInHead, withdrawn } from './heads.ts'
import { packId, unpackId } from './ids.ts'
import { chunksOf, HEADS, OUTBOX, PARTITIONS } from './rows.ts'

interface Done {
  id: string
  entry: TakenEntry
  outcome: OutboxOutcome | undefined
}

const OUTBOX_SETS = new Map(PARTITIONS.map((partition) => [partition, OUTBOX.in(partition).name]))

/** A receipt that is queued has its entry still, so it need not be looked at whether that is there. */
const complete = (partition: string, done: readonly Done[], when: number) =>
  function* (): Verb<undefined> {
    const settled = done.filter(({ entry, outcome }) => outcome && entry.receipt)
    const groups = [...groupBy(settled, ({ entry }) => (entry.receipt ?? ''))].map(
      ([, own]) => own,
    )
    const rows = groups.flatMap(([first]) => {
      const receipt = first?.entry.receipt
      return receipt ? [{ set: chunksOf(partition, referenceIn(receipt)), key: chunkIn(receipt) }] : []
    })
    const found = yield* ask(rows.map(({ set, key }) => set.get(key)))
    const writes: Write[] = []
    const set = OUTBOX_SETS.get(partition)
    if (!set) throw new Error('The outbox has a set in each partition')
    for (const { entry } of done) {
      if (entry.handle !== undefined) writes.push({ kind: 'drop', set, handle: entry.handle })
    }
    const failed: { id: Buffer; subscriptionId: string }[] = []
    for (const [nth, own] of groups.entries()) {
      const [row, kept] = [rows[nth], found[nth]?.value]
      if (!row || !kept) continue
      let chunk: Buffer = Buffer.from(kept)
      let isMoved = false
      for (const { id: copyId, outcome } of own) {
        const id = packId(copyId)
        const at = findReceipt(chunk, id)
        if (at < 0 || stateAt(chunk, at) !== STATES.queued) continue
        isMoved = true
        if (outcome?.became === 'failed') {
          failed.push({ id, subscriptionId: unpackId(subscriptionAt(chunk, at), 0) })
          chunk = failReceipt(chunk, at, when, outcome.reason ?? '')
        } else moveReceipt(chunk, at, STATES.published, when)
      }
      if (isMoved) writes.push(row.set.put({ key: row.key, value: chunk, expiresAt: expiresAtOf(chunk), keepsEnd: true }))
    }
    if (failed.length > 0) {
      const heads = failed.map(({ subscriptionId }) => HEADS.in(partition, subscriptionId))
      const now = yield* ask(heads.map((head) => head.get()))
      for (const [nth, { id }] of failed.entries()) {
        const [head, kept] = [heads[nth], now[nth]?.value]
        const at = kept ? findInHead(kept, id) : -1
        if (head && kept && at >= 0) writes.push(head.put({ value: withdrawn(kept, at) }))
      }
    }
    return { answer: undefined, writes, isRelief: true }
  }

export const createOutbox = (
  deps: VerbDeps,
): Pick<NotifyStore, 'takeOutbox'> & Pick<ReceiptsStore, 'completeOutbox'> => ({
  async takeOutbox(lease) {
    const places = await deps.kv.takePlaces({ table: OUTBOX.table, partitions: PARTITIONS }, lease)
    return places.map((place) => {
      const set = OUTBOX_SETS.get(place.partition)
      if (!set) throw new Error('The outbox has a set in each partition')
      const { entry, receipt } = OUTBOX.valueOf({ set, key: place.key, value: place.value })
      deps.taken.put(entry.id, { partition: place.partition, handle: place.handle, receipt })
      return entry
    })
  },

  async completeOutbox(all, when) {
    const known = all.map(({ id, receipt: outcome }): Done => {
      const entry = deps.taken.get(id)
      // Whoever completes has taken it; looking for it in all partitions is not in this spike.
      if (entry?.handle === undefined) throw new Error('An entry is completed that was not taken here')
      return { id, entry, outcome }
    })
    const verbs: PlacedVerb<undefined>[] = []
    for (const [partition, done] of groupBy(known, ({ entry }) => entry.partition))
      verbs.push({ partition, verb: complete(partition, done, when) })
    await deps.kv.run(verbs, when)
    for (const { entry } of known) entry.handle = undefined
  },
})
