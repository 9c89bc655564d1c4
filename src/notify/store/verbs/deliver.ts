/** Receipts of what wallets have. */
import { ask, read } from '../../../storage/table.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import type { NotificationName, ReceiptsStore } from '../receipts.ts'
import type { Notification } from '../records.ts'
import { expiresAtOf, findReceipt, moveReceipt, STATES, stateAt } from './chunks.ts'
import { groupBy, type VerbDeps, weighed } from './deps.ts'
import { chunkIn, type ReceiptPlace, referenceIn } from './entries.ts'
import { type Copy, copyAt, findInHead, findInPage, isHeldBy, pagesUntil } from './heads.ts'
import { packId } from './ids.ts'
import { chunksOf, HEADS, notificationCell, OUTBOX, PAGES, partitionOf } from './rows.ts'

type Wanted = Parameters<ReceiptsStore['markDelivered']>[0][number]

/** What became delivered: of which notification. */
type Moved = Pick<Copy, 'reference' | 'sentAt'> | undefined

const MAX_PAGES = 1_000

/** The copies as the heads, and where they may be there, the pages say. */
function* copiesOf(
  partition: string,
  wanted: readonly Wanted[],
  ids: readonly Buffer[],
  heads: readonly (Buffer | undefined)[],
) {
  const found = wanted.map(({ accountKey }, nth) => {
    const [head, id] = [heads[nth], ids[nth]]
    if (!head || !id || !isHeldBy(head, accountKey)) return undefined
    const at = findInHead(head, id)
    return at < 0 ? undefined : copyAt(head, at)
  })
  const missing = wanted.flatMap((one, nth) => {
    const head = heads[nth]
    return !found[nth] && head && pagesUntil(head) > 0 && isHeldBy(head, one.accountKey) ? [nth] : []
  })
  if (missing.length === 0) return found
  const pages = yield* ask(
    missing.map((nth) => PAGES.in(partition, wanted[nth]?.subscriptionId ?? '').range({ limit: MAX_PAGES })),
  )
  for (const [at, nth] of missing.entries()) {
    for (const { value: page } of pages[at] ?? []) {
      const there = findInPage(page, ids[nth] ?? Buffer.alloc(0))
      if (there >= 0) found[nth] = copyAt(page, there)
    }
  }
  return found
}

interface OpenChunk {
  set: ReturnType<typeof chunksOf>
  key: Buffer
  value: Buffer | undefined
  isMoved: boolean
}

const deliver = (deps: VerbDeps, partition: string, wanted: readonly Wanted[]) =>
  function* (): Verb<Moved[]> {
    const ids = wanted.map(({ deliveredId }) => packId(deliveredId))
    const chunks = new Map<string, OpenChunk>()
    const unread: OpenChunk[] = []
    const want = (place: ReceiptPlace) => {
      if (chunks.has(place)) return
      const open: OpenChunk = {
        set: chunksOf(partition, referenceIn(place)),
        key: chunkIn(place),
        value: undefined,
        isMoved: false,
      }
      chunks.set(place, open)
      unread.push(open)
    }
    // Where the receipts are is remembered mostly: then they are read with the heads.
    for (const { deliveredId } of wanted) {
      const place = deps.taken.get(deliveredId)?.receipts
      if (place) want(place)
    }
    const guessed = unread.splice(0)
    const rows = yield* ask([
      ...wanted.map(({ subscriptionId }) => HEADS.in(partition, subscriptionId).get()),
      ...guessed.map(({ set, key }) => set.get(key)),
    ])
    for (const [nth, open] of guessed.entries()) open.value = rows[wanted.length + nth]?.value
    const heads = rows.slice(0, wanted.length).map(({ value }) => value)
    const copies = yield* copiesOf(partition, wanted, ids, heads)
    for (const copy of copies) if (copy) want(copy.receipt)
    if (unread.length > 0) {
      const more = yield* ask(unread.map(({ set, key }) => set.get(key)))
      for (const [nth, open] of unread.entries()) open.value = more[nth]?.value
    }

    const writes: Write[] = []
    const answer = wanted.map(({ at: when, outbox: entry }, nth): Moved => {
      const [copy, id] = [copies[nth], ids[nth]]
      const open = copy && chunks.get(copy.receipt)
      if (!copy || copy.isWithdrawn || !id || !open?.value) return undefined
      const at = findReceipt(open.value, id)
      const state = at < 0 ? 0 : stateAt(open.value, at)
      if (state !== STATES.queued && state !== STATES.published) return undefined
      if (!open.isMoved) open.value = Buffer.from(open.value)
      open.isMoved = true
      moveReceipt(open.value, at, STATES.delivered, when)
      if (entry) {
        const key = weighed(deps.nextPlace(), 1)
        writes.push(OUTBOX.in(partition).append({ at: entry.createdAt, key, value: { entry } }))
      }
      return { reference: copy.reference, sentAt: copy.sentAt }
    })
    for (const { set, key, value, isMoved } of chunks.values())
      if (isMoved && value)
        writes.push(set.put({ key, value, expiresAt: expiresAtOf(value), keepsEnd: true }))
    return { answer, writes }
  }

/** Names of notifications, of which few are asked for often. */
const namesOf = async (
  { kv, kept }: Pick<VerbDeps, 'kv' | 'kept'>,
  moved: readonly Moved[],
): Promise<(NotificationName | undefined)[]> => {
  let last: { reference: Buffer; name: string } | undefined
  const names = moved.map((one) => {
    if (!one) return undefined
    if (!last?.reference.equals(one.reference))
      last = { reference: one.reference, name: one.reference.toString('hex') }
    return last.name
  })
  const known = new Map<string, Notification | undefined>()
  for (const name of names) if (name !== undefined) known.set(name, kept.get(name))
  const missing = [...known].flatMap(([name, one]) => (one ? [] : [name]))
  if (missing.length > 0) {
    const found = await read(
      kv,
      missing.map((name) => notificationCell(Buffer.from(name, 'hex')).get()),
    )
    for (const [nth, name] of missing.entries()) {
      const one = found[nth]?.value
      known.set(name, one)
      if (one) kept.put(name, one)
    }
  }
  return moved.map((one, nth) => {
    const of = known.get(names[nth] ?? '')
    return of && of.createdAt === one?.sentAt
      ? { projectId: of.projectId, domain: of.domain, id: of.id }
      : undefined
  })
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
    return namesOf(deps, moved)
  },
})
