/**
 * The relay's mailboxes, written once over the port (a spike).
 *
 * | table | subject, key | value |
 * |---|---|---|
 * | `topics`, a cell | topic | head, subscribers, pages, newest entries (`./topic-row.ts`) |
 * | `cursors`, a cell | topic | what clients are done with (`./cursor-row.ts`); gone while there is no message |
 * | `messages` | topic, message id | the message |
 * | `pages` | topic, number | older entries, up to 40 |
 * | `due` | –, when a message of a topic expires, topic | – |
 * | `clients`, a cell | client id | how many current subscriptions, day on which it was last seen |
 * | `interests` | client id, topic | – |
 * | `seen` | –, day, client id | – |
 *
 * A publish writes the message and the row of its topic. It reads the cursors, and writes them where they moved over
 * something that is not due. An acknowledgement writes the cursors alone: it meets no publish.
 *
 * What a publish saw of the cursors may be a moment old: acknowledgements are never taken back while there are messages, so a
 * subscriber that seemed caught up is.
 */
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Kv } from '../../../storage/kv.ts'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits, type MailboxStore } from '../../store.ts'
import { createAcknowledge } from './acknowledge.ts'
import { createClaims } from './claims.ts'
import { createFirstSeq, limitsOf, type MailboxDeps } from './deps.ts'
import { createMemberships, createPages } from './pages.ts'
import { createPublish } from './publish.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createSweep } from './sweep.ts'
import { createWakes } from './wakes.ts'

/** `instance`: unique among the processes; absent where there is one. */
export const createMailboxes = (
  kv: Kv,
  clock: Pick<Clock, 'now'>,
  { limits = DEFAULT_MAILBOX_LIMITS, instance }: { limits?: MailboxLimits; instance?: string } = {},
): MailboxStore => {
  const deps: MailboxDeps = {
    ...{ kv, clock },
    limits: limitsOf(limits),
    firstSeq: createFirstSeq(),
    wakes: instance === undefined ? undefined : createWakes(kv, instance),
  }
  const { hasDone, ...memberships } = createMemberships(deps)
  const { verbs, lapse } = createSubscriptions(deps)
  const sweepMessages = createSweep(deps)
  return {
    ...verbs,
    ...memberships,
    ...createPages(deps),
    ...createClaims(deps, hasDone),
    publish: createPublish(deps),
    acknowledge: createAcknowledge(deps),
    async sweep(now, limit) {
      const swept = await sweepMessages(now, limit)
      return swept + (await lapse(now, limit - swept))
    },
    onWake: (listener) => deps.wakes?.listen(listener) ?? { [Symbol.dispose]: () => {} },
    async ping() {
      await kv.read([])
    },
    async [Symbol.asyncDispose]() {
      // The connection belongs to whoever opened the port.
    },
  }
}
