/**
 * The archive: messages of the relay for longer than their TTL, for devices that join later. As blind as the relay; who
 * knows a topic, which is the hash of a key, may read its messages, which nobody can open without that key.
 *
 * What it guarantees: once a client is registered for a tag, a message with that tag that was acknowledged to its
 * publisher is here (`keeper`), as long as the retention and the quotas of its topic say, and as far as the publisher's address may have it stored. What its topics' mailboxes
 * hold at that moment is taken in, too, as far as the address that asks may have it stored. The same message of a topic
 * is here once. A registration is a lease of 90 days: clients renew it whenever they start.
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

import type { Payer } from '../platform/budgets/payer.ts'
import { ROW_OVERHEAD_BYTES } from '../platform/budgets/state-budget.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type ArchiveRules, type Keeper, PAID_RETENTION_MS, REGISTRATION_CACHE_MS } from './keeper.ts'
import { ARCHIVE_LIMITS } from './schema.ts'
import type { ArchivePage, ArchiveStore, NewArchived, Registration } from './store.ts'

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
  /**
   * In place of what the client registered before. `owners`: keys in hex, by topic. Throws `rate_limited`,
   * `store_full`; what the mailboxes hold may be missing then.
   */
  register(
    clientId: string,
    wanted: { tags: readonly number[]; owners: Record<string, string> },
    payer: Payer,
  ): Promise<void>
  /** `originId` begins the page. Throws `not_found` when there is no such message. */
  messages(query: ArchiveQuery): Promise<ArchivePage>
  /** Drops what is the owner's and was archived before the message. Throws `not_found` when that is not there. */
  compact(owner: string, topic: string, before: string): Promise<void>
}

/** Nobody: so that a mailbox shows everything that is live. */
const NOBODY = 'archive'
/** Topics of one client that are looked into. */
const MAX_TOPICS = 1_000
/** Of a mailbox; small, because whoever asks for the next one may have to wait. */
const MAILBOX_PAGE = { limit: 100, maxBytes: 512 * 1024 }
/** What looking for such a page costs; see `work-budget`. */
const PAGE_WORK = 15
/** A registration that is not renewed ends, ms. */
const REGISTRATION_LEASE_MS = 90 * 86_400_000
/** A registration and its tags are each a row. */
const TAG_BYTES = 256
const OWNER_BYTES = 160
/** What the rows of a registration cost. */
const REGISTER_WORK = 30
/** Registrations whose topics are looked into, or will be; an address cannot pay for so many in that time. */
const MAX_LOOKS = 10_000

/** A registration whose topics are looked into. */
interface Look {
  clientId: string
  tags: ReadonlySet<number>
  payer: Payer
}

/** Whether the second one says nothing new, and the first one lasts for more than half of a lease. */
const isStillGood = (before: Registration, wanted: Registration, now: number): boolean =>
  2 * (before.expiresAt - now) > wanted.expiresAt - now &&
  JSON.stringify([before.tags, before.owners]) === JSON.stringify([wanted.tags, wanted.owners])

export const createArchive = (
  deps: {
    store: ArchiveStore
    mailboxes: Mailboxes
    keeper: Keeper
    clock: Clock
    log: Log
  },
  { retentionMs, limits }: ArchiveRules,
): Archive => {
  const { store, mailboxes, keeper, clock, log } = deps
  const later = new Set<Disposable>()
  let looks = 0
  const ending = new AbortController()

  /** Charges a page of a mailbox, and waits where the payer has used up what it may. */
  const inTurn = async (payer: Payer): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        return await payer.work(PAGE_WORK)
      } catch (error) {
        if (!(error instanceof ProtocolError) || error.code !== 'rate_limited') throw error
        await pause(clock, (error.retryAfter ?? 1) * 1000, ending.signal)
      }
    }
    throw new ProtocolError('unavailable')
  }

  /** By publisher, of those that have named one for the topic. */
  const ownersOf = async (messages: readonly { publisher: string }[], topic: string) => {
    const publishers = [...new Set(messages.map(({ publisher }) => publisher))]
    const found = await store.registrations(publishers, clock.now())
    return new Map(found.map(({ clientId, owners }) => [clientId, owners[topic]]))
  }

  const takeInTopic = async (topic: string, tags: ReadonlySet<number>, payer: Payer): Promise<void> => {
    for (let after = 0, more = true; more; ) {
      await inTurn(payer)
      const now = clock.now()
      const page = await mailboxes.pending(NOBODY, topic, { after, ...MAILBOX_PAGE, now })
      const last = page.messages.at(-1)
      const wanted = page.messages.filter(({ tag }) => tags.has(tag))
      if (wanted.length > 0) {
        const owners = await ownersOf(wanted, topic)
        const archived = wanted.map(({ topic, id, message, tag, publisher, publishedAt: at }) => {
          return { topic, id, message, tag, at, expiresAt: at + retentionMs, owner: owners.get(publisher) }
        })
        const bytes = archived.reduce((sum, { message }) => sum + message.length + ROW_OVERHEAD_BYTES, 0)
        await payer.keep(bytes, Math.min(retentionMs, PAID_RETENTION_MS))
        await store.keep(archived, limits, now)
      }
      after = last?.seq ?? after
      more = page.hasMore && last !== undefined
    }
  }

  const takeIn = async ({ clientId, tags, payer }: Look): Promise<void> => {
    for (const topic of await mailboxes.topicsOf(clientId, { limit: MAX_TOPICS }))
      await takeInTopic(topic, tags, payer)
  }

  /** Once more, when every process knows of the registration: what one took meanwhile without knowing. */
  const takeInLater = (look: Look) => {
    const timer = clock.after(REGISTRATION_CACHE_MS * 2, () => {
      later.delete(timer)
      takeIn(look)
        .catch((err: unknown) => {
          if (ending.signal.aborted) return
          log.warn({ err }, 'What waits for a newly registered client could not be archived')
        })
        .finally(() => looks--)
    })
    later.add(timer)
  }

  /** Looks twice into the topics of the client. */
  const lookInto = async (look: Look): Promise<void> => {
    looks++
    try {
      await takeIn(look)
    } catch (error) {
      looks--
      throw error
    }
    takeInLater(look)
  }

  return {
    async register(clientId, { tags, owners }, payer) {
      const now = clock.now()
      const wanted = new Set(tags)
      const [before] = await store.registrations([clientId], now)
      const known = new Set(before?.tags)
      const added = new Set([...wanted].filter((tag) => !known.has(tag)))
      const expiresAt = now + Math.min(retentionMs, REGISTRATION_LEASE_MS)
      const registration = { clientId, tags: [...wanted], owners, expiresAt }
      if (before && isStillGood(before, registration, now)) return
      const bytes = wanted.size * TAG_BYTES + Object.keys(owners).length * OWNER_BYTES
      if (added.size > 0 && looks >= MAX_LOOKS) throw new ProtocolError('rate_limited')
      await payer.work(REGISTER_WORK)
      await payer.keep(bytes, expiresAt - now)
      await store.register(registration, now)
      keeper.registered(registration)
      if (added.size > 0) await lookInto({ clientId, tags: added, payer })
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
      ending.abort()
      for (const timer of later) timer[Symbol.dispose]()
    },
  }
}
