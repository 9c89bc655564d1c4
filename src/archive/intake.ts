/**
 * Takes into the archive what the mailboxes of a newly registered client hold. It looks twice: at once, and when every
 * process knows of the registration, because one may have taken messages meanwhile without knowing of it.
 */
import type { Payer } from '../platform/budgets/payer.ts'
import { ROW_OVERHEAD_BYTES } from '../platform/budgets/state-budget.ts'
import { invariant } from '../platform/invariant.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type ArchiveRules, PAID_RETENTION_MS } from './keeper.ts'
import { REGISTRATION_CACHE_MS } from './known-registrations.ts'
import type { ArchiveStore, NewArchived } from './store.ts'

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

/** The client in whose name mailboxes are read: it has none of its own, so it sees every live message. */
const READER = 'archive'
/** Topics of one client that are looked into. */
const MAX_TOPICS = 1_000
/** Small, because the payer may have to wait before each next page. */
const MAILBOX_PAGE = { limit: 100, maxBytes: 512 * 1024 }
/** What reading such a page costs; see `work-budget`. */
const MAILBOX_PAGE_WORK = 15
/** Registrations that wait for a look; an address cannot pay for so many in that time. */
const MAX_PENDING_LOOKS = 10_000

/** A registration whose topics are looked into. */
interface Look {
  clientId: string
  /** The tags that were not registered before. */
  tags: ReadonlySet<number>
  payer: Payer
}

export interface Intake extends Disposable {
  /** Whether too many registrations wait for a look. */
  isFull(): boolean
  /** Resolves after the first look. Throws `rate_limited`, `store_full`, `unavailable`; there is no second look then. */
  take(look: Look): Promise<void>
}

interface IntakeDeps {
  store: Pick<ArchiveStore, 'registrations' | 'keep'>
  mailboxes: Mailboxes
  clock: Clock
  log: Log
}

/** Charges a page of a mailbox, and waits where the payer has used up what it may. */
const chargePage = async (payer: Payer, clock: Clock, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    try {
      return await payer.work(MAILBOX_PAGE_WORK)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'rate_limited') throw error
      await pause(clock, (error.retryAfter ?? 1) * 1000, signal)
    }
  }
  throw new ProtocolError('unavailable')
}

/** Reads mailboxes page by page, and keeps the messages with the tags of the look. */
const createReader = (
  { store, mailboxes, clock }: Omit<IntakeDeps, 'log'>,
  { retentionMs, limits }: ArchiveRules,
  signal: AbortSignal,
): ((look: Look) => Promise<void>) => {
  /** By publisher, of those that have named an owner for the topic. */
  const ownersOf = async (messages: readonly { publisher: string }[], topic: string) => {
    const publishers = [...new Set(messages.map(({ publisher }) => publisher))]
    const found = await store.registrations(publishers, clock.now())
    return new Map(found.map(({ clientId, owners }) => [clientId, owners[topic]]))
  }

  const readTopic = async (topic: string, { tags, payer }: Look): Promise<void> => {
    for (let after = 0, more = true; more; ) {
      await chargePage(payer, clock, signal)
      const now = clock.now()
      const page = await mailboxes.pending(READER, topic, { after, ...MAILBOX_PAGE, now })
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
      invariant(!last || last.seq > after, 'a page of a mailbox is behind the one before')
      after = last?.seq ?? after
      more = page.hasMore && last !== undefined
    }
  }

  return async (look) => {
    for (const topic of await mailboxes.topicsOf(look.clientId, { limit: MAX_TOPICS }))
      await readTopic(topic, look)
  }
}

export const createIntake = (deps: IntakeDeps, rules: ArchiveRules): Intake => {
  const { clock, log } = deps
  const timers = new Set<Disposable>()
  const ending = new AbortController()
  const read = createReader(deps, rules, ending.signal)
  let pendingLooks = 0

  const lookAgainLater = (look: Look): void => {
    const timer = clock.after(REGISTRATION_CACHE_MS * 2, () => {
      timers.delete(timer)
      read(look)
        .catch((err: unknown) => {
          if (ending.signal.aborted) return
          log.warn({ err }, 'What waits for a newly registered client could not be archived')
        })
        .finally(() => pendingLooks--)
    })
    timers.add(timer)
  }

  return {
    isFull: () => pendingLooks >= MAX_PENDING_LOOKS,
    async take(look) {
      pendingLooks++
      try {
        await read(look)
      } catch (error) {
        pendingLooks--
        throw error
      }
      lookAgainLater(look)
    },
    [Symbol.dispose]() {
      ending.abort()
      for (const timer of timers) timer[Symbol.dispose]()
    },
  }
}
