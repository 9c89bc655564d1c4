import { REPLACED } from '../../../notify/store/receipts.ts'
import { sharedEntry } from '../../../notify/store/shared-entry.ts'
import type {
  EnqueueOutcome,
  EnqueueTarget,
  Notification,
  NotifyStore,
  OutboxEntryOf,
  OutboxLease,
} from '../../../notify/store/store.ts'
import { invariant } from '../../../platform/invariant.ts'
import { groupBy } from '../group-by.ts'
import { handScript } from '../lua/notify/outbox/hand.ts'
import { list, whole } from '../script.ts'
import { type NotifyDeps, split, written } from './deps.ts'
import type { Kept, Notifications } from './notifications.ts'
import type { Outbox } from './outbox.ts'
import { type Partition, partitionOf, receiptKeyOf, TTL_MARGIN_MS } from './rows/layout.ts'
import { writeForm, writeName, writeTime } from './rows/receipt-rows.ts'
import { holding } from './rows/records.ts'

/** Targets of one script call: about two milliseconds in which Redis does nothing else. */
const MAX_CALL_TARGETS = 100
/** Targets that are on their way at once. */
const MAX_STEP_TARGETS = 2_000
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const OUTCOMES = ['sent', 'repeated', 'gone', 'collapsed'] as const
type Answer = (typeof OUTCOMES)[number]

/** With its outbox entry as the script is told it, its place in the answer, and its partition. */
type Placed = EnqueueTarget & { args: (string | number)[]; index: number; p: number }

/** Each script call writes one entry for all that it sends. */
interface Leased {
  lease: OutboxLease
  /** Those that were written. */
  entries: OutboxEntryOf<'notifications'>[]
}

interface FanOutDeps extends NotifyDeps {
  notifications: Notifications
  outbox: Outbox
}

/** What the script needs to know of the copy that this one replaces: it looks whether that is still so. */
const collapseOf = async (
  deps: FanOutDeps,
  at: Partition,
  { subscriptionId }: EnqueueTarget,
  collapseKey: string,
) => {
  const key = at.collapsing(subscriptionId, collapseKey)
  const last = (await deps.ask(() => deps.redis.client.get(key))) ?? ''
  const [receiptKey, copy] = split(last)
  return { keys: [key, ...at.receipts(receiptKey)], args: [last, copy] }
}

/** One script call: targets in the order of their partitions. */
const writeBatch = async (
  deps: FanOutDeps,
  targets: readonly Placed[],
  now: number,
  { reference, notification }: Kept,
  leased: Leased | undefined,
) => {
  const keys: string[] = []
  const args: (string | number)[] = []
  const receiptKey = receiptKeyOf(reference, notification.createdAt)
  const { collapseKey } = notification
  for (const [p, own] of groupBy(targets, (target) => target.p)) {
    const at = deps.layout.partition(p)
    keys.push(at.entries, at.free, at.order, at.held, at.expiring, at.ids, ...at.receipts(receiptKey))
    args.push(own.length)
    const collapses =
      collapseKey === undefined
        ? []
        : await Promise.all(own.map((one) => collapseOf(deps, at, one, collapseKey)))
    for (const [index, target] of own.entries()) {
      const { accountKey, account, subscriptionId, outbox: entry } = target
      keys.push(at.account(accountKey), ...at.copies(subscriptionId), ...(collapses[index]?.keys ?? []))
      args.push(subscriptionId, holding(subscriptionId), writeName(accountKey))
      args.push(writeForm(account, accountKey), writeTime(entry.createdAt), ...target.args)
      args.push(...(collapses[index]?.args ?? []))
    }
  }
  const [first, ...others] = targets
  const entry = leased && first && leasedEntry(deps, notification, [first, ...others], leased)
  const lifetime = deps.notifications.lifetime(notification)
  const ttl = deps.outbox.ttlOf(targets.map((target) => target.outbox))
  const head = [
    ...[
      now,
      notification.createdAt,
      notification.expiresAt,
      reference,
      lifetime,
      lifetime - TTL_MARGIN_MS.copy + TTL_MARGIN_MS.receipt,
    ],
    ...[ttl, collapseKey === undefined ? '' : receiptKey, REPLACED],
    ...(leased && entry
      ? [leased.lease.until, entry.id, entry.place, written('outbox', entry.all)]
      : ['', '', 0, '']),
  ]
  const answered = list(await deps.ask(() => deps.redis.script(handScript, keys, [...head, ...args])))
  invariant(answered.length === targets.length, 'the fan-out script answers for each target')
  const answers = answered.map((answer) => OUTCOMES[whole(answer)] ?? 'gone')
  const sent = targets.filter((_, at) => answers[at] === 'sent')
  const [firstSent, ...othersSent] = sent
  if (leased && entry && first && firstSent) {
    deps.outbox.leased(entry.id, first.p, leased.lease.until)
    leased.entries.push({ ...sharedEntry(notification, [firstSent, ...othersSent]), id: entry.id })
  }
  return answers
}

/** What is written for a call. It names also those that will not be sent: a receipt tells them apart. */
const leasedEntry = (
  { outbox }: FanOutDeps,
  notification: Notification,
  targets: readonly [EnqueueTarget, ...EnqueueTarget[]],
  { lease: { worker } }: Leased,
) => {
  const place = outbox.nextPlace()
  const id = `batch:${worker}:${place}`
  return { id, place, all: { ...sharedEntry(notification, targets), id } }
}

const writeStep = async (
  deps: FanOutDeps,
  notification: Notification,
  targets: readonly EnqueueTarget[],
  leased?: Leased,
) => {
  const kept = await deps.notifications.keep(notification)
  const placed = targets
    .map((target, index): Placed => {
      invariant(target.outbox.id === target.deliveredId, 'an outbox entry of a copy has its id')
      const args = leased ? [target.deliveredId, 0, ''] : deps.outbox.args([target.outbox])
      return { ...target, args, index, p: partitionOf(target.accountKey) }
    })
    .sort((a, b) => a.p - b.p || a.index - b.index)
  const results = new Array<Answer>(targets.length).fill('gone')
  const writeAll = async (batch: readonly Placed[]): Promise<void> => {
    const answers = await writeBatch(deps, batch, notification.createdAt, kept, leased)
    const again: Placed[] = []
    for (const [at, one] of batch.entries()) {
      const answer = answers[at] ?? 'gone'
      results[one.index] = answer
      if (answer === 'collapsed') again.push(one)
      else if (answer !== 'gone') deps.partitions.put(one.subscriptionId, one.p)
    }
    // Another process was faster with the same collapse key.
    if (again.length > 0) await writeAll(again)
  }
  const writing: Promise<void>[] = []
  let ready = 0
  for (const group of deps.redis.spansSlots ? [placed] : groupBy(placed, ({ p }) => p).values()) {
    for (let from = 0; from < group.length; from += MAX_CALL_TARGETS) {
      const batch = group.slice(from, from + MAX_CALL_TARGETS)
      const one = writeAll(batch)
      // It may fail before it is awaited; the error is thrown where it is awaited.
      one.catch(() => {})
      writing.push(one)
      // What is ready leaves: Redis works on it while the next ones are written.
      ready += batch.length
      if (ready < MAX_CALL_TARGETS) continue
      ready = 0
      await turn()
    }
  }
  await Promise.all(writing)
  return results.map((answer) => (answer === 'collapsed' ? 'gone' : answer))
}

/** Hands notifications over to subscribers. */
export const createRedisFanOut = (
  shared: NotifyDeps,
  notifications: Notifications,
  outbox: Outbox,
): Pick<NotifyStore, 'enqueue' | 'enqueueLeased'> => {
  const deps: FanOutDeps = { ...shared, notifications, outbox }
  const steps = async (
    notification: Notification,
    targets: readonly EnqueueTarget[],
    leased?: Leased,
  ): Promise<EnqueueOutcome[]> => {
    const outcomes: EnqueueOutcome[] = []
    for (let from = 0; from < targets.length; from += MAX_STEP_TARGETS) {
      const some = targets.slice(from, from + MAX_STEP_TARGETS)
      outcomes.push(...(await writeStep(deps, notification, some, leased)))
    }
    return outcomes
  }

  return {
    async enqueue(notification, targets) {
      const outcomes = await steps(notification, targets)
      if (outcomes.includes('sent')) outbox.ring()
      return outcomes
    },
    async enqueueLeased(notification, targets, lease) {
      const leased: Leased = { lease, entries: [] }
      const outcomes = await steps(notification, targets, leased)
      return { outcomes, entries: leased.entries }
    },
  }
}
