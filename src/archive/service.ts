/**
 * The archive: messages of the relay for longer than their TTL, for devices that join later. As blind as the relay; who
 * knows a topic, which is the hash of a key, may read its messages, which nobody can open without that key.
 *
 * What it guarantees: once a client is registered for a tag, a message with that tag that was acknowledged to its
 * publisher is here (`keeper`), as long as the retention and the quotas of its topic say. What its topics' mailboxes
 * hold at that moment is taken in, too. The same message of a topic is here once.
 *
 * Compaction is the clients': who has written all that still counts into new messages may have what is before them
 * dropped. Whose a message is decides, because whoever sees a topic at the relay knows it:
 *
 * - The topic is the hash of its key, so the key can be shown to nobody, and nothing that the server can check follows
 *   from the topic. The server cannot tell a member of a topic from a stranger.
 * - A client that registers names an owner for a topic: the public half of a key that follows from the topic's key
 *   (`owner-key`). What that client publishes there is kept as this owner's. All devices that share the topic name the same.
 * - An order to compact is signed by an owner and drops the messages of that owner alone. A stranger can name a key of its
 *   own, and drops what it wrote itself. It cannot be first and keep the others out, because owners stand side by side.
 * - What a client publishes that has named none (published clients, or before it registered) stays until its retention
 *   ends or the quota of its topic takes it.
 */
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type ArchiveRules, type Keeper, KNOWN_FOR } from './keeper.ts'
import { ARCHIVE_LIMITS } from './schema.ts'
import type { ArchivePage, ArchiveStore, NewArchived } from './store.ts'

/** What the archive asks of the relay's mailboxes. */
export interface Mailboxes {
  topicsOf(clientId: string, page: { after?: string; limit: number }): Promise<string[]>
  pending(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; maxBytes: number; now: number },
  ): Promise<{
    messages: (Omit<NewArchived, 'at' | 'expiresAt' | 'owner'> & {
      seq: number
      publisher: string
      publishedAt: number
    })[]
    hasMore: boolean
  }>
}

export interface ArchiveQuery {
  topic: string
  originId?: string | undefined
  direction: 'forward' | 'backward'
  messageCount: number
}

export interface Archive extends Disposable {
  /** In place of what the client registered before. `owners`: keys in hex, by topic. */
  register(
    clientId: string,
    wanted: { tags: readonly number[]; owners: Record<string, string> },
  ): Promise<void>
  /** `originId` begins the page. Throws `not_found` when there is no such message. */
  messages(query: ArchiveQuery): Promise<ArchivePage>
  /** Drops what is the owner's and was archived before the message. Throws `not_found` when that is not there. */
  compact(owner: string, topic: string, before: string): Promise<void>
}

/** Nobody: so that a mailbox shows everything that is live. */
const NOBODY = 'archive'
/** Topics of one client that are looked into. */
const MOST_TOPICS = 1_000
const PAGE = { limit: 500, maxBytes: 4 * 1024 * 1024 }

export const createArchive = (
  deps: { store: ArchiveStore; mailboxes: Mailboxes; keeper: Keeper; clock: Clock; log: Log },
  { retention, limits }: ArchiveRules,
): Archive => {
  const { store, mailboxes, keeper, clock, log } = deps
  const later = new Set<Disposable>()

  /** By publisher, of those that have named one for the topic. */
  const ownersOf = async (messages: readonly { publisher: string }[], topic: string) => {
    const publishers = [...new Set(messages.map(({ publisher }) => publisher))]
    const found = await store.registrations(publishers, clock.now())
    return new Map(found.map(({ clientId, owners }) => [clientId, owners[topic]]))
  }

  const takeInTopic = async (topic: string, tags: ReadonlySet<number>): Promise<void> => {
    for (let after = 0, more = true; more; ) {
      const now = clock.now()
      const page = await mailboxes.pending(NOBODY, topic, { after, ...PAGE, now })
      const last = page.messages.at(-1)
      const wanted = page.messages.filter(({ tag }) => tags.has(tag))
      if (wanted.length > 0) {
        const owners = await ownersOf(wanted, topic)
        const archived = wanted.map(({ topic, id, message, tag, publisher, publishedAt: at }) => {
          return { topic, id, message, tag, at, expiresAt: at + retention, owner: owners.get(publisher) }
        })
        await store.keep(archived, limits, now)
      }
      after = last?.seq ?? after
      more = page.hasMore && last !== undefined
    }
  }

  const takeIn = async (clientId: string, tags: ReadonlySet<number>): Promise<void> => {
    for (const topic of await mailboxes.topicsOf(clientId, { limit: MOST_TOPICS }))
      await takeInTopic(topic, tags)
  }

  /** Once more, when every process knows of the registration: what one took meanwhile without knowing. */
  const takeInLater = (clientId: string, tags: ReadonlySet<number>) => {
    const timer = clock.after(KNOWN_FOR * 2, () => {
      later.delete(timer)
      takeIn(clientId, tags).catch((err: unknown) =>
        log.warn({ err }, 'What waits for a newly registered client could not be archived'),
      )
    })
    later.add(timer)
  }

  return {
    async register(clientId, { tags, owners }) {
      const now = clock.now()
      const wanted = new Set(tags)
      const before = new Set((await store.registrations([clientId], now))[0]?.tags)
      await store.register({ clientId, tags: [...wanted], owners, expiresAt: now + retention }, now)
      keeper.registered(clientId)
      const added = new Set([...wanted].filter((tag) => !before.has(tag)))
      if (added.size === 0) return
      await takeIn(clientId, added)
      takeInLater(clientId, added)
    },

    async messages({ topic, originId, direction, messageCount: limit }) {
      const from = { origin: originId, direction, limit, maxBytes: ARCHIVE_LIMITS.pageBytes }
      const page = await store.page(topic, { ...from, now: clock.now() })
      if (!page) throw new ProtocolError('not_found')
      return page
    },

    async compact(owner, topic, before) {
      if (!(await store.drop(topic, before, owner))) throw new ProtocolError('not_found')
    },

    [Symbol.dispose]() {
      for (const timer of later) timer[Symbol.dispose]()
    },
  }
}
