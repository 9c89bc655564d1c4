/**
 * The archive: messages of the relay for longer than their TTL, for devices that join later. As blind as the relay; who
 * knows a topic, which is the hash of a key, may read its messages, which nobody can open without that key.
 *
 * What it guarantees: once a client is registered for a tag, a message with that tag that was acknowledged to its
 * publisher is here (`keeper`), as long as the retention and the quotas of its topic say. What its topics' mailboxes
 * hold at that moment is taken in, too. The same message of a topic is here once.
 *
 * Compaction is the clients': one that has written all that still counts into new messages may have everything before
 * them dropped.
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
  isSubscribed(clientId: string, topic: string): Promise<boolean>
  pending(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; maxBytes: number; now: number },
  ): Promise<{
    messages: (Omit<NewArchived, 'at' | 'expiresAt'> & { seq: number; publishedAt: number })[]
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
  /** In place of what the client registered before. */
  register(clientId: string, tags: readonly number[]): Promise<void>
  /** `originId` begins the page. Throws `not_found` when there is no such message. */
  messages(query: ArchiveQuery): Promise<ArchivePage>
  /**
   * Drops what was archived before the message. Throws `forbidden` for a client that is not registered or not subscribed
   * to the topic, `not_found` when the message is not there.
   */
  compact(clientId: string, topic: string, before: string): Promise<void>
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

  const takeInTopic = async (topic: string, tags: ReadonlySet<number>): Promise<void> => {
    for (let after = 0, more = true; more; ) {
      const now = clock.now()
      const page = await mailboxes.pending(NOBODY, topic, { after, ...PAGE, now })
      const last = page.messages.at(-1)
      const wanted = page.messages.filter(({ tag }) => tags.has(tag))
      if (wanted.length > 0) {
        const archived = wanted.map(({ topic, id, message, tag, publishedAt: at }) => {
          return { topic, id, message, tag, at, expiresAt: at + retention }
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

  const knownTags = async (clientId: string): Promise<readonly number[] | undefined> =>
    (await store.registrations([clientId], clock.now()))[0]?.tags

  return {
    async register(clientId, tags) {
      const now = clock.now()
      const wanted = new Set(tags)
      const before = new Set(await knownTags(clientId))
      await store.register({ clientId, tags: [...wanted], expiresAt: now + retention }, now)
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

    async compact(clientId, topic, before) {
      if ((await knownTags(clientId)) === undefined)
        throw new ProtocolError('forbidden', 'the client is not registered')
      if (!(await mailboxes.isSubscribed(clientId, topic)))
        throw new ProtocolError('forbidden', 'the client is not subscribed to the topic')
      if (!(await store.drop(topic, before))) throw new ProtocolError('not_found')
    },

    [Symbol.dispose]() {
      for (const timer of later) timer[Symbol.dispose]()
    },
  }
}
