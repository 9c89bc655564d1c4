/** Marks copies as read, with their receipts. */
import type { Verb, Write } from '../../../storage/kv.ts'
import { ask, runOne } from '../../../storage/table.ts'
import { entryWrites, newEntries } from '../outbox/line.ts'
import type { KeptAccountRow } from '../packed/account-rows.ts'
import { STATES } from '../packed/chunks.ts'
import { type Copy, FLAGS, isHeldBy } from '../packed/heads.ts'
import { packIdOrNone } from '../packed/ids.ts'
import type { NotifyStore } from '../store.ts'
import { dueWrites, EMPTY_RECORD, endOf, nextVersion } from './accounts.ts'
import type { Steps, VerbDeps } from './deps.ts'
import { openChunks, openHistories } from './open-rows.ts'
import { type AskedRequest, askedOf, knownRequest, rememberedWith, requestsOf } from './requests.ts'
import { ACCOUNTS, partitionOf } from './tables.ts'

type Marking = Parameters<NotifyStore['markRead']>[0]
type Marked = Awaited<ReturnType<NotifyStore['markRead']>>

const MOVING: ReadonlySet<number> = new Set([STATES.queued, STATES.published, STATES.delivered])

/** Marks the copies; answers how many changed, and the rows. */
function* markCopies(
  partition: string,
  { accountKey, subscriptionId, ids, at }: Marking,
): Steps<{ changed: number; writes: Write[] }> {
  const wanted = ids === 'all' ? ids : ids.flatMap((id) => packIdOrNone(id) ?? [])
  const history = (yield* openHistories(partition, new Map([[subscriptionId, wanted]]))).get(subscriptionId)
  if (!history || !isHeldBy(history.head, accountKey)) return { changed: 0, writes: [] }
  const copies = wanted === 'all' ? history.copies() : wanted.flatMap((id) => history.find(id) ?? [])
  const chosen = new Map<string, Copy>()
  for (const copy of copies)
    if (!copy.isRead && !copy.isWithdrawn) chosen.set(copy.id.toString('latin1'), copy)
  const chunks = yield* openChunks(
    partition,
    [...chosen.values()].map(({ receipt }) => receipt),
  )
  for (const { id, receipt } of chosen.values()) {
    history.flag(id, FLAGS.read)
    const chunk = chunks.get(receipt)
    const found = chunk?.find(id)
    if (chunk && found && MOVING.has(found.state)) chunk.move(found.at, STATES.read, at)
  }
  const writes = [...chunks.values()].flatMap((chunk) => chunk.writes(partition))
  return { changed: chosen.size, writes: [...history.writes(partition, subscriptionId), ...writes] }
}

/** The row of the account with the request in it; the record stays as it is, under its version. */
const rememberedRow = (
  deps: VerbDeps,
  { partition, accountKey, asked }: { partition: string; accountKey: string; asked: AskedRequest },
  row: KeptAccountRow | undefined,
) => {
  const remembered = rememberedWith(partition, accountKey, requestsOf(row), asked)
  const { requests, pagedUntil } = remembered
  const record = row?.record ?? EMPTY_RECORD
  const { due, writes } = dueWrites(partition, accountKey, row?.due ?? 0, endOf({ record, requests }))
  const version = row?.version ?? nextVersion(deps, 0)
  const put = ACCOUNTS.in(partition, accountKey).put({
    value: { version, due, pagedUntil, requests, record },
  })
  return { writes: [put, ...writes, ...remembered.writes], hints: remembered.hints }
}

const markVerb = (
  deps: VerbDeps,
  { marking, asked, partition }: { marking: Marking; asked: AskedRequest | undefined; partition: string },
) =>
  function* (): Verb<Marked> {
    const { accountKey, outbox: always, outboxIfChanged } = marking
    const writes: Write[] = []
    let hints: Write[] = []
    if (asked) {
      const [{ value: row }] = yield* ask([ACCOUNTS.in(partition, accountKey).get()])
      const known = yield* knownRequest(partition, accountKey, requestsOf(row), asked)
      if (known) return { answer: { outcome: known }, writes: [] }
      const remembered = rememberedRow(deps, { partition, accountKey, asked }, row)
      writes.push(...remembered.writes)
      hints = remembered.hints
    }
    const marked = yield* markCopies(partition, marking)
    writes.push(...marked.writes)
    const entries = marked.changed > 0 ? [...always, ...outboxIfChanged] : always
    writes.push(...entryWrites(partition, yield* newEntries(partition, entries), deps.nextPlace))
    return { answer: { outcome: 'committed', changed: marked.changed }, writes, hints }
  }

export const createMarkRead = (deps: VerbDeps): Pick<NotifyStore, 'markRead'> => ({
  async markRead(marking) {
    const { accountKey, requestId, outbox, outboxIfChanged } = marking
    const partition = partitionOf(accountKey)
    const now = deps.clock.now()
    const asked = requestId && askedOf(requestId)
    const verb = markVerb(deps, { marking, asked, partition })
    const marked = await runOne(deps.kv, partition, now, verb)
    if (marked.outcome === 'committed' && outbox.length + outboxIfChanged.length > 0) deps.ring()
    return marked
  },
})
