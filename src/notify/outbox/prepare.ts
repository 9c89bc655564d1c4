/**
 * Prepares a batch of the outbox: its messages are written, and entries for others than the relay (events, welcomes) are
 * expanded into what they make. What has expired, is void or cannot be written is completed or returned here.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { sendWelcome } from '../publish/welcome.ts'
import type { NotifyStore, OutboxEntry } from '../store/store.ts'
import { ACCOUNT_CHANGED_DELAY_MS } from '../subscriptions/outbox-entries.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { entriesOf, type LeasedEntries } from './leased-entries.ts'
import { createMessageWriter, type MessageWriter, type MessageWriterDeps } from './signed-messages.ts'
import type { OutgoingMessage } from './wire.ts'

/** An entry of which something goes to the relay: a message, or leaving a topic. */
export type PreparedEntry = OutboxEntry & { message?: OutgoingMessage }

/** An entry that could not be written is tried again after this; others go on meanwhile. */
const UNWRITTEN_RETRY_MS = 15_000
/** A 4012 that expires so soon waits for no answer any more. */
const LAST_CHANCE_MS = 60_000

export interface PrepareDeps {
  store: NotifyStore
  writer: Omit<MessageWriterDeps, 'store' | 'clock'>
  webhooks: Pick<Webhooks, 'expand'>
  leased: Pick<LeasedEntries, 'complete' | 'settle' | 'returnFailed'>
  clock: Clock
  log: Log
}

/** Entries of a batch that need no relay, by what became of them. */
interface Sorted {
  expired: OutboxEntry[]
  empty: OutboxEntry[]
  expanded: OutboxEntry[]
  failed: OutboxEntry[]
}

const createEntryWriter =
  ({ store, webhooks, leased, log }: Pick<PrepareDeps, 'store' | 'webhooks' | 'leased' | 'log'>) =>
  async (
    entry: OutboxEntry,
    writer: MessageWriter,
    sorted: Sorted,
    now: number,
  ): Promise<PreparedEntry[]> => {
    const { task } = entry
    if (task.kind === 'notifications') {
      const several = { ...entry, task }
      await leased.settle([several], { published: [], others: entriesOf(several) })
      return []
    }
    if (entry.expiresAt <= now) {
      sorted.expired.push(entry)
      return []
    }
    if (task.kind === 'leave') return [entry]
    try {
      if (task.kind === 'event' || task.kind === 'welcome') {
        if (task.kind === 'event') await webhooks.expand({ ...entry, task })
        else await sendWelcome(store, { ...entry, task })
        sorted.expanded.push(entry)
        return []
      }
      const message = await writer.write({ ...entry, task })
      if (message) return [{ ...entry, message }]
      sorted.empty.push(entry)
    } catch (err) {
      // A fault of the store, not of this entry: the whole batch is returned.
      if (err instanceof ProtocolError && err.code === 'unavailable') throw err
      log.error({ err, entry: entry.id, kind: task.kind }, 'An outbox entry could not be written')
      sorted.failed.push(entry)
    }
    return []
  }

export const createPrepare = (
  deps: PrepareDeps,
): ((entries: readonly OutboxEntry[]) => Promise<PreparedEntry[]>) => {
  const { store, leased, clock } = deps
  const writeEntry = createEntryWriter(deps)
  return async (entries) => {
    const now = clock.now()
    const writer = createMessageWriter({ ...deps.writer, store, clock })
    const sorted: Sorted = { expired: [], empty: [], expanded: [], failed: [] }
    const prepared = await Promise.all(entries.map((entry) => writeEntry(entry, writer, sorted, now)))
    await Promise.all([
      leased.complete(sorted.expired, 'expired'),
      leased.complete(sorted.empty, 'void'),
      leased.complete(sorted.expanded, 'expanded'),
      leased.returnFailed(sorted.failed, UNWRITTEN_RETRY_MS),
    ])
    return prepared.flat()
  }
}

/**
 * Of several 4012s to one watcher only the newest is sent: it says what is true when it is written. So it may say what an
 * answer in the same batch says, and arrive before it. A published wallet that hears of the end of a subscription leaves
 * its topic, and the answer never reaches it. A 4012 to a watcher that the batch answers therefore waits.
 */
export const createCoalesce =
  ({ leased, clock }: { leased: Pick<LeasedEntries, 'complete' | 'returnUntil'>; clock: Clock }) =>
  async (entries: readonly OutboxEntry[]): Promise<OutboxEntry[]> => {
    const now = clock.now()
    const newest = new Map(entries.map((entry) => [watcherOf(entry), entry]))
    const isSuperseded = (entry: OutboxEntry) => {
      const watcher = watcherOf(entry)
      return watcher !== undefined && newest.get(watcher) !== entry
    }
    const answered = new Set(entries.flatMap(({ task }) => (task.kind === 'response' ? task.claims.aud : [])))
    const mustWait = ({ task, expiresAt }: OutboxEntry) =>
      task.kind === 'changed' && answered.has(task.identityKey) && expiresAt - now > LAST_CHANCE_MS
    const current = entries.filter((entry) => !isSuperseded(entry))
    await leased.complete(entries.filter(isSuperseded), 'void')
    await leased.returnUntil(current.filter(mustWait), now + ACCOUNT_CHANGED_DELAY_MS)
    return current.filter((entry) => !mustWait(entry))
  }

const watcherOf = ({ task }: OutboxEntry): string | undefined =>
  task.kind === 'changed' ? `${task.accountKey} ${task.identityKey}` : undefined
