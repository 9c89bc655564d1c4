/** The outbox entries that this process has leased: completed with their outcome, or returned to be taken again. */
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Meter } from '../../platform/telemetry.ts'
import { deliveredIdOf } from '../ids.ts'
import { EXPIRED, type OutboxOutcome } from '../store/receipts.ts'
import type { NotifyStore, OutboxEntry, OutboxEntryOf, OutboxTask } from '../store/store.ts'

/** `void`: there was nothing to say any more. `refused`: the relay does not take the message. */
export type FinalOutcome = 'sent' | 'expanded' | 'void' | 'expired' | 'refused'

export interface LeasedEntries {
  /** Leases up to `limit` entries, the oldest first. */
  take(lease: { limit: number; now: number; until: number }): Promise<OutboxEntry[]>
  /** Removes entries from the outbox; the receipts of notifications move on in the same commit. */
  complete(entries: readonly OutboxEntry[], outcome: FinalOutcome): Promise<void>
  /** Ends entries of several subscribers: says what was published, and leaves an entry for each of the others. */
  settle(
    entries: readonly OutboxEntryOf<'notifications'>[],
    became: {
      published: readonly OutboxEntryOf<'notification'>[]
      others: readonly OutboxEntryOf<'notification'>[]
    },
  ): Promise<void>
  /** Ends the lease of failed entries; they may be taken again after the delay. */
  returnFailed(entries: readonly OutboxEntry[], delayMs: number): Promise<void>
  /** Returns entries that are not due at `now`, each until it is due. Resolves with the others. */
  returnEarly(taken: readonly OutboxEntry[], now: number): Promise<OutboxEntry[]>
  /** Returns entries until they are due. */
  returnUntil(entries: readonly OutboxEntry[], dueAt: number): Promise<void>
  /** Remembers entries that the store could not take back, for `returnUnreturned`. */
  noteUnreturned(entries: readonly OutboxEntry[]): void
  /** Returns what could not be returned before, so that it need not wait for the end of its lease. */
  returnUnreturned(): Promise<void>
  /** The latest time at which an entry becomes due that was returned here until then, unix ms. */
  readonly lastDueAt: number
}

/** Entries that the store could not take back, to be returned at the next opportunity. */
const createUnreturned = (
  returnFailed: LeasedEntries['returnFailed'],
): Pick<LeasedEntries, 'noteUnreturned' | 'returnUnreturned'> => {
  const unreturned: OutboxEntry[] = []
  return {
    noteUnreturned: (entries) => void unreturned.push(...entries),
    async returnUnreturned() {
      if (unreturned.length === 0) return
      const entries = unreturned.splice(0)
      await returnFailed(entries, 0).catch((err) => {
        unreturned.push(...entries)
        throw err
      })
    },
  }
}

/** Entries that wait for their time. */
const createWaiting = (
  store: Pick<NotifyStore, 'returnOutbox'>,
): Pick<LeasedEntries, 'returnEarly' | 'returnUntil' | 'lastDueAt'> => {
  let lastDueAt = 0
  const returnUntil: LeasedEntries['returnUntil'] = async (entries, dueAt) => {
    if (entries.length === 0) return
    lastDueAt = Math.max(lastDueAt, dueAt)
    await store.returnOutbox(
      entries.map(({ id }) => id),
      dueAt,
    )
  }
  return {
    returnUntil,
    async returnEarly(taken, now) {
      const early = taken.filter(({ notBefore = 0 }) => notBefore > now)
      for (const dueAt of new Set(early.map(({ notBefore = 0 }) => notBefore))) {
        const together = early.filter(({ notBefore }) => notBefore === dueAt)
        await returnUntil(together, dueAt)
      }
      return taken.filter(({ notBefore = 0 }) => notBefore <= now)
    },
    get lastDueAt() {
      return lastDueAt
    },
  }
}

export const createLeasedEntries = ({
  store,
  clock,
  meter,
  worker,
}: {
  store: Pick<NotifyStore, 'takeOutbox' | 'completeOutbox' | 'returnOutbox' | 'settleNotifications'>
  clock: Clock
  meter: Meter
  worker: string
}): LeasedEntries => {
  const count = (entries: readonly OutboxEntry[], outcome: FinalOutcome | 'failed') => {
    for (const { task } of entries) meter.count('notify_deliveries_total', { kind: task.kind, outcome })
  }

  const returnFailed: LeasedEntries['returnFailed'] = async (entries, delayMs) => {
    if (entries.length === 0) return
    await store.returnOutbox(
      entries.map(({ id }) => id),
      clock.now() + delayMs,
    )
    count(entries, 'failed')
  }

  const waiting = createWaiting(store)
  return {
    async take({ limit, now, until }) {
      const entries = await store.takeOutbox({ worker, limit, now, until })
      invariant(entries.length <= limit, 'A batch of the outbox is never larger than its limit')
      return entries
    },

    async complete(entries, outcome) {
      if (entries.length === 0) return
      const done = entries.map(({ id, task }) => {
        const receipt = receiptOf(task, outcome)
        return receipt ? { id, receipt } : { id }
      })
      await store.completeOutbox(done, clock.now())
      count(entries, outcome)
    },

    async settle(entries, { published, others }) {
      await store.settleNotifications(
        entries,
        {
          published: published.map(({ id, task }) => ({ accountKey: task.accountKey, deliveredId: id })),
          others: others.map((entry) => ({ accountKey: entry.task.accountKey, outbox: entry })),
        },
        clock.now(),
      )
      count(published, 'sent')
    },

    returnFailed,

    returnEarly: waiting.returnEarly,
    returnUntil: waiting.returnUntil,
    get lastDueAt() {
      return waiting.lastDueAt
    },

    ...createUnreturned(returnFailed),
  }
}

/** What the entries of its subscribers are, each by itself: named as their copies, in their order. */
export const entriesOf = ({
  task: { targets, ...about },
  createdAt,
  expiresAt,
}: OutboxEntryOf<'notifications'>): OutboxEntryOf<'notification'>[] =>
  targets.map(({ accountKey, subscriptionId }) => ({
    id: deliveredIdOf(subscriptionId, about.notificationId),
    task: { ...about, kind: 'notification', accountKey, subscriptionId },
    createdAt,
    expiresAt,
  }))

/** Why a notification that was queued reaches nobody. */
const FAILURE_REASONS: Record<Exclude<FinalOutcome, 'sent' | 'expanded'>, string> = {
  void: 'No longer subscribed',
  expired: EXPIRED,
  refused: 'The relay does not take it',
}

const receiptOf = (task: OutboxTask, outcome: FinalOutcome): OutboxOutcome | undefined => {
  // An entry that is expanded into others is no notification itself.
  if (task.kind !== 'notification' || task.projectId === undefined || outcome === 'expanded') return undefined
  const { projectId, domain, notificationId, accountKey, subscriptionId } = task
  const about = { of: { projectId, domain, id: notificationId }, accountKey, subscriptionId }
  return outcome === 'sent'
    ? { ...about, became: 'published' }
    : { ...about, became: 'failed', reason: FAILURE_REASONS[outcome] }
}
