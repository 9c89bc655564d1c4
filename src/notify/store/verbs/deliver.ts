/** Receipts of what wallets have. */
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask } from '../../../storage/table.ts'
import { entryWrites, newEntries } from '../outbox/line.ts'
import { STATES } from '../packed/chunks.ts'
import { type Copy, copyAt, findInHead, findInPage, isHeldBy, pagesUntil } from '../packed/heads.ts'
import { packIdOrNone } from '../packed/ids.ts'
import { chunkIn, type ReceiptPlace, referenceIn } from '../packed/line-rows.ts'
import type { NotificationName, ReceiptsStore } from '../receipts.ts'
import { groupBy, type Steps, type VerbDeps } from './deps.ts'
import { notificationsOf } from './notifications.ts'
import { MAX_PAGES, OpenChunk } from './open-rows.ts'
import { chunksOf, HEADS, PAGES, partitionOf } from './tables.ts'

type Wanted = Parameters<ReceiptsStore['markDelivered']>[0][number]

/** What became delivered: of which notification. */
type Moved = Pick<Copy, 'reference' | 'sentAt'> | undefined

const NO_BYTES = Buffer.alloc(0)

/** The copies as the heads, and where they may be there, the pages say. */
function* copiesOf(
  partition: string,
  wanted: readonly Wanted[],
  ids: readonly (Buffer | undefined)[],
  heads: readonly (Buffer | undefined)[],
): Steps<(Copy | undefined)[]> {
  const found = wanted.map(({ accountKey }, nth) => {
    const [head, id] = [heads[nth], ids[nth]]
    if (!head || !id || !isHeldBy(head, accountKey)) return undefined
    const at = findInHead(head, id)
    return at < 0 ? undefined : copyAt(head, at)
  })
  const missing = wanted.flatMap((one, nth) => {
    const head = heads[nth]
    const isUnsure = !found[nth] && head && ids[nth] && pagesUntil(head) > 0
    return isUnsure && isHeldBy(head, one.accountKey) ? [nth] : []
  })
  if (missing.length === 0) return found
  const pages = yield* ask(
    missing.map((nth) => PAGES.in(partition, wanted[nth]?.subscriptionId ?? '').range({ limit: MAX_PAGES })),
  )
  for (const [at, nth] of missing.entries()) {
    for (const { value: page } of pages[at] ?? []) {
      const there = findInPage(page, ids[nth] ?? NO_BYTES)
      if (there >= 0) found[nth] = copyAt(page, there)
    }
  }
  return found
}

const readChunk = (partition: string, place: ReceiptPlace) =>
  chunksOf(partition, referenceIn(place)).get(chunkIn(place))

interface OpenCopies {
  copies: (Copy | undefined)[]
  chunks: Map<ReceiptPlace, OpenChunk>
}

/** Where the receipts are is remembered mostly: then they are read with the heads. */
function* openCopies(
  { taken }: Pick<VerbDeps, 'taken'>,
  partition: string,
  wanted: readonly Wanted[],
  ids: readonly (Buffer | undefined)[],
): Steps<OpenCopies> {
  const guessed = new Set<ReceiptPlace>()
  for (const { deliveredId } of wanted) {
    const place = taken.get(deliveredId)?.receipts
    if (place !== undefined) guessed.add(place)
  }
  const places = [...guessed]
  const rows = yield* ask([
    ...wanted.map(({ subscriptionId }) => HEADS.in(partition, subscriptionId).get()),
    ...places.map((place) => readChunk(partition, place)),
  ])
  const chunks = new Map<ReceiptPlace, OpenChunk>()
  const note = (place: ReceiptPlace, value: Buffer | undefined) => {
    if (value) chunks.set(place, new OpenChunk(place, value))
  }
  for (const [nth, place] of places.entries()) note(place, rows[wanted.length + nth]?.value)
  const heads = rows.slice(0, wanted.length).map(({ value }) => value)
  const copies = yield* copiesOf(partition, wanted, ids, heads)
  const more = new Set<ReceiptPlace>()
  for (const copy of copies) if (copy && !chunks.has(copy.receipt)) more.add(copy.receipt)
  if (more.size > 0) {
    const others = [...more]
    const found = yield* ask(others.map((place) => readChunk(partition, place)))
    for (const [nth, place] of others.entries()) note(place, found[nth]?.value)
  }
  return { copies, chunks }
}

const deliver = (deps: VerbDeps, partition: string, wanted: readonly Wanted[]) =>
  function* (): Verb<Moved[]> {
    const ids = wanted.map(({ deliveredId }) => packIdOrNone(deliveredId))
    const { copies, chunks } = yield* openCopies(deps, partition, wanted, ids)
    const answer = wanted.map(({ at: when }, nth): Moved => {
      const [copy, id] = [copies[nth], ids[nth]]
      const chunk = copy && chunks.get(copy.receipt)
      const receipt = id && chunk?.find(id)
      if (!copy || copy.isWithdrawn || !chunk || !receipt) return undefined
      if (receipt.state !== STATES.queued && receipt.state !== STATES.published) return undefined
      chunk.move(receipt.at, STATES.delivered, when)
      return { reference: copy.reference, sentAt: copy.sentAt }
    })
    const events = wanted.flatMap(({ outbox }, nth) => (outbox && answer[nth] ? [outbox] : []))
    const writes: Write[] = entryWrites(partition, yield* newEntries(partition, events), deps.nextPlace)
    for (const chunk of chunks.values()) writes.push(...chunk.writes(partition))
    return { answer, writes }
  }

export const createDeliver = (deps: VerbDeps): Pick<ReceiptsStore, 'markDelivered'> => ({
  async markDelivered(wanted) {
    const verbs: PlacedVerb<Moved[]>[] = []
    const nths: number[][] = []
    const placed = wanted.map((one, nth) => ({ one, nth }))
    for (const [partition, own] of groupBy(placed, ({ one }) => partitionOf(one.accountKey))) {
      const some = own.map(({ one }) => one)
      verbs.push({ partition, verb: deliver(deps, partition, some) })
      nths.push(own.map(({ nth }) => nth))
    }
    const answers = await deps.kv.run(verbs, wanted[0]?.at ?? 0)
    const moved = new Array<Moved>(wanted.length).fill(undefined)
    for (const [share, own] of nths.entries())
      for (const [at, nth] of own.entries()) moved[nth] = answers[share]?.[at]
    if (wanted.some(({ outbox }, nth) => outbox && moved[nth])) deps.ring()
    const notifications = await notificationsOf(deps, moved)
    return notifications.map((one): NotificationName | undefined => {
      if (!one) return undefined
      const { projectId, domain, id } = one
      return { projectId, domain, id }
    })
  },
})
