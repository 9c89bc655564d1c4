/**
 * Prepares a batch of the outbox: its messages are written, and entries for others than the relay (events, welcomes) are
 * expanded into what they make. What has expired, is void or cannot be written is completed or returned here.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { sendWelcome } from '../publish/welcome.ts'
import type { NotifyStore, OutboxEntry } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import type { LeasedEntries } from './leased-entries.ts'
import {
  createMessageWriter,
  type MessageWriter,
  type MessageWriterDeps,
  type OutgoingMessage,
} from './signed-messages.ts'

/** An entry of which something goes to the relay: a message, or leaving a topic. */
export type PreparedEntry = OutboxEntry & { message?: OutgoingMessage }

/** An entry that could not be written is tried again after this; others go on meanwhile. */
const UNWRITTEN_RETRY_MS = 15_000

export interface PrepareDeps {
  store: NotifyStore
  writer: Omit<MessageWriterDeps, 'store' | 'clock'>
  webhooks: Pick<Webhooks, 'expand'>
  leased: Pick<LeasedEntries, 'complete' | 'returnFailed'>
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
  ({ store, webhooks, log }: Pick<PrepareDeps, 'store' | 'webhooks' | 'log'>) =>
  async (
    entry: OutboxEntry,
    writer: MessageWriter,
    sorted: Sorted,
    now: number,
  ): Promise<PreparedEntry[]> => {
    const { task } = entry
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

/** Of several 4012s to one watcher only the newest is sent: it says what is true when it is written. */
export const createCoalesce =
  ({ leased }: { leased: Pick<LeasedEntries, 'complete'> }) =>
  async (entries: readonly OutboxEntry[]): Promise<OutboxEntry[]> => {
    const newest = new Map(entries.map((entry) => [watcherOf(entry), entry]))
    const isSuperseded = (entry: OutboxEntry) => {
      const watcher = watcherOf(entry)
      return watcher !== undefined && newest.get(watcher) !== entry
    }
    await leased.complete(entries.filter(isSuperseded), 'void')
    return entries.filter((entry) => !isSuperseded(entry))
  }

const watcherOf = ({ task }: OutboxEntry): string | undefined =>
  task.kind === 'changed' ? `${task.accountKey} ${task.identityKey}` : undefined
