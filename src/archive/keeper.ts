/**
 * The archive's ear in the relay: it is shown every message that the relay took, before the publisher is answered, and
 * keeps those that a client registered for.
 *
 * Kept is a message with a registered tag whose publisher, or one of whose subscribers, registered that tag. Who was
 * subscribed is not known of a duplicate (a publisher that tries again, perhaps because we died half-way) or of a message
 * for which the mailbox had no room; such a message is kept when anybody registered its tag, so that an acknowledged
 * message is in the archive whatever became of its mailbox. It is kept as the property of the owner whom its publisher
 * named for the topic.
 *
 * The price where no tag matches: a look into a set; and once in ten seconds one into the store. A registration counts
 * in its own process from its answer on, in others when its news arrives, ten seconds later at the latest.
 */
import type { Clock } from '../platform/clock.ts'
import type { Meter } from '../platform/telemetry.ts'
import type { ArchiveLimits, ArchiveStore } from './store.ts'

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
  retention: number
  limits: ArchiveLimits
}

export interface Keeper extends Disposable {
  /** Resolves when what is to be kept is durable; undefined when there is nothing. Rejects when it cannot be. */
  accepted(messages: readonly Taken[], outcomes: readonly Outcome[]): Promise<void> | undefined
  /** This process has registered the client. */
  registered(clientId: string): void
}

/** What a client has registered. */
interface Known {
  tags: ReadonlySet<number>
  owners: Readonly<Record<string, string>>
}
const NOTHING: Known = { tags: new Set(), owners: {} }

/** How long what is known of registrations is relied upon, ms, should the news of a change be lost. */
export const KNOWN_FOR = 10_000
const MOST_KNOWN = 50_000

export const createKeeper = (
  deps: { store: ArchiveStore; clock: Clock; meter: Meter },
  { retention, limits }: ArchiveRules,
): Keeper => {
  const { store, clock, meter } = deps
  let tags = { known: new Set<number>(), until: 0 }
  const clients = new Map<string, Known & { until: number }>()
  /** Changes with every piece of news, so that what was read before it is not kept. */
  let news = 0

  const registered = (clientId: string) => {
    news++
    tags = { ...tags, until: 0 }
    clients.delete(clientId)
  }
  const listening = store.onRegister(registered)

  const knownTags = async (): Promise<Set<number>> => {
    const now = clock.now()
    if (now < tags.until) return tags.known
    const before = news
    const known = new Set(await store.tags(now))
    if (before === news) tags = { known, until: now + KNOWN_FOR }
    return known
  }

  /** Those of the clients that registered anything, with their tags. */
  const registeredAmong = async (clientIds: Iterable<string>): Promise<Map<string, Known>> => {
    const now = clock.now()
    const found = new Map<string, Known>()
    const unknown: string[] = []
    for (const clientId of new Set(clientIds)) {
      const entry = clients.get(clientId)
      if (entry && entry.until > now) found.set(clientId, entry)
      else unknown.push(clientId)
    }
    if (unknown.length === 0) return found
    const before = news
    const read = new Map<string, Known>(unknown.map((clientId) => [clientId, NOTHING]))
    for (const { clientId, tags, owners } of await store.registrations(unknown, now))
      read.set(clientId, { tags: new Set(tags), owners })
    for (const [clientId, own] of read) {
      found.set(clientId, own)
      // The ones that were read first are over first.
      clients.delete(clientId)
      if (before === news) clients.set(clientId, { ...own, until: now + KNOWN_FOR })
    }
    for (const clientId of clients.keys()) {
      if (clients.size <= MOST_KNOWN) break
      clients.delete(clientId)
    }
    return found
  }

  const partsOf = ({ publisher }: Taken, outcome: Outcome): string[] =>
    outcome.outcome === 'stored'
      ? [publisher, ...outcome.subscribers.map(({ clientId }) => clientId)]
      : [publisher]

  const keep = async (messages: readonly Taken[], outcomes: readonly Outcome[]): Promise<void> => {
    const known = await knownTags()
    const candidates = messages.flatMap((message, at) => {
      const outcome = outcomes[at]
      return outcome && known.has(message.tag) ? [{ message, outcome, parts: partsOf(message, outcome) }] : []
    })
    if (candidates.length === 0) return
    const found = await registeredAmong(candidates.flatMap(({ parts }) => parts))
    const wanted = candidates.filter(
      ({ message, outcome, parts }) =>
        outcome.outcome !== 'stored' || parts.some((clientId) => found.get(clientId)?.tags.has(message.tag)),
    )
    if (wanted.length === 0) return
    const archived = wanted.map(({ message: { topic, id, message, tag, publisher, publishedAt: at } }) => {
      const owner = found.get(publisher)?.owners[topic]
      return { topic, id, message, tag, at, expiresAt: at + retention, owner }
    })
    await store.keep(archived, limits, clock.now())
    meter.count('archive_kept_total', undefined, archived.length)
  }

  return {
    accepted: (messages, outcomes) =>
      clock.now() < tags.until && !messages.some(({ tag }) => tags.known.has(tag))
        ? undefined
        : keep(messages, outcomes),
    registered,
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
