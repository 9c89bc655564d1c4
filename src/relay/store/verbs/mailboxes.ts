/**
 * The relay's mailboxes, written once over the port (a spike).
 *
 * | table | subject, key | value |
 * |---|---|---|
 * | `topics`, a cell | topic | head, members with what each is done with, pages, newest entries (`./topic-row.ts`) |
 * | `messages` | topic, message id | the message |
 * | `pages` | topic, number | older entries, up to 128 |
 * | `due` | –, when a message of a topic expires, topic | – |
 * | `clients`, a cell | client id | how many current subscriptions, day on which it was last seen |
 * | `interests` | client id, topic | – |
 * | `seen` | –, day, client id | – |
 *
 * A publish writes the message and the row of its topic; an acknowledgement writes that row.
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
