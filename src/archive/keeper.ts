/**
 * The archive's ear in the relay: it is shown every message that the relay took, before the publisher is answered, and
 * keeps those that a client registered for.
 *
 * Kept is a message with a registered tag whose publisher, or one of whose subscribers, registered that tag. Who was
 * subscribed is not known of a duplicate (a publisher that tries again, perhaps because we died half-way) or of a message
 * for which the mailbox had no room; such a message is kept when anybody registered its tag, so that an acknowledged
 * message is in the archive whatever became of its mailbox, as far as the address of its publisher may have it stored. It is kept as the property of the owner whom its publisher
 * named for the topic.
 *
 * The price where no tag matches: a look into a set; and once in ten seconds one into the store. Where more tags are
 * registered than the set holds, every tag counts as one that may be. A registration counts in its own process from its
 * answer on, in others when its news arrives, ten seconds later at the latest.
 */

import type { StateBudget } from '../platform/budgets/state-budget.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import { createKnownRegistrations } from './known-registrations.ts'
import type { ArchiveLimits, ArchiveStore, Registration } from './store.ts'

/** A message as the relay took it. */
interface Taken {
  topic: string
  id: string
  message: string
  tag: number
  publisher: string
  publishedAt: number
}

/** What became of it. */
type Outcome =
  | { outcome: 'stored'; subscribers: readonly { clientId: string }[] }
  | { outcome: 'duplicate' }
  | { outcome: 'full' }

export interface ArchiveRules {
  /** How long a message is kept, ms. */
  retentionMs: number
  limits: ArchiveLimits
}

export interface Keeper extends Disposable {
  /**
   * Resolves when what is to be kept is durable; undefined when there is nothing. Rejects when it cannot be. `addresses`
   * pay for the copies; what one of them has no room for is not kept.
   */
  accepted(
    messages: readonly Taken[],
    outcomes: readonly Outcome[],
    addresses: readonly string[],
  ): Promise<void> | undefined
  /** This process has registered the client. */
  registered(registration: Pick<Registration, 'clientId' | 'tags'>): void
}

/** A copy is paid for as long at most, ms: an address has room for what it says in a month. */
export const PAID_RETENTION_MS = 30 * 86_400_000

/** The clients whose registration counts for the message. */
const partsOf = ({ publisher }: Taken, outcome: Outcome): string[] =>
  outcome.outcome === 'stored'
    ? [publisher, ...outcome.subscribers.map(({ clientId }) => clientId)]
    : [publisher]

export const createKeeper = (
  deps: { store: ArchiveStore; state: Pick<StateBudget, 'charge'>; clock: Clock; meter: Meter },
  { retentionMs, limits }: ArchiveRules,
): Keeper => {
  const { store, state, clock, meter } = deps
  const known = createKnownRegistrations({ store, clock })
  const listening = store.onRegister(known.announce)
  const isWanted = ({ tag }: Taken): boolean => known.isWanted(tag)

  /** Charges the copies; answers those that are paid for. */
  const paidOf = async <T extends { message: Taken; address: string }>(
    copies: readonly T[],
  ): Promise<T[]> => {
    const life = Math.min(retentionMs, PAID_RETENTION_MS)
    const paid = await Promise.all(
      // Where the budget does not answer the store says so itself.
      copies.map(async ({ message, address }) => {
        try {
          return await state.charge(address, message.message.length, life)
        } catch {
          return true
        }
      }),
    )
    const kept = copies.filter((_, at) => paid[at])
    if (kept.length < copies.length)
      meter.count('archive_dropped_total', undefined, copies.length - kept.length)
    return kept
  }

  const keep: Keeper['accepted'] = async (messages, outcomes, addresses) => {
    if (!known.areTagsFresh()) await known.readTags()
    const candidates = messages.flatMap((message, at) => {
      const outcome = outcomes[at]
      if (!outcome || !isWanted(message)) return []
      return [{ message, outcome, address: addresses[at] ?? '', parts: partsOf(message, outcome) }]
    })
    if (candidates.length === 0) return
    const found = await known.among(candidates.flatMap(({ parts }) => parts))
    const wanted = candidates.filter(
      ({ message, outcome, parts }) =>
        outcome.outcome !== 'stored' || parts.some((clientId) => found.get(clientId)?.tags.has(message.tag)),
    )
    const paid = await paidOf(wanted)
    if (paid.length === 0) return
    const archived = paid.map(({ message: { topic, id, message, tag, publisher, publishedAt: at } }) => {
      const owner = found.get(publisher)?.owners[topic]
      return { topic, id, message, tag, at, expiresAt: at + retentionMs, owner }
    })
    await store.keep(archived, limits, clock.now())
    meter.count('archive_kept_total', undefined, archived.length)
  }

  return {
    accepted: (messages, ...rest) =>
      known.areTagsFresh() && !messages.some(isWanted) ? undefined : keep(messages, ...rest),
    registered: known.announce,
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
