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
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { createIntake, type Mailboxes } from './intake.ts'
import type { ArchiveRules, Keeper } from './keeper.ts'
import { ARCHIVE_LIMITS } from './schema.ts'
import type { ArchivePage, ArchiveStore, Registration } from './store.ts'

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

/** A registration that is not renewed ends, ms. */
const REGISTRATION_LEASE_MS = 90 * 86_400_000
/** A registration and its tags are each a row. */
const TAG_BYTES = 256
const OWNER_BYTES = 160
/** What the rows of a registration cost. */
const REGISTER_WORK = 30
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
  const intake = createIntake({ store, mailboxes, clock, log }, { retentionMs, limits })

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
      if (added.size > 0 && intake.isFull()) throw new ProtocolError('rate_limited')
      await payer.work(REGISTER_WORK)
      await payer.keep(bytes, expiresAt - now)
      await store.register(registration, now)
      keeper.registered(registration)
      if (added.size > 0) await intake.take({ clientId, tags: added, payer })
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

    [Symbol.dispose]: () => intake[Symbol.dispose](),
  }
}
