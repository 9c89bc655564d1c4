/**
 * Hands one notification to people: keeps it, works out who gets it, commits a copy and an outbox entry for each.
 * Publishing does so at once, the schedule when it is due, a broadcast page by page.
 *
 * | fate      | when                                                                                           |
 * |-----------|------------------------------------------------------------------------------------------------|
 * | sent      | it is, or was before, handed over for delivery                                                 |
 * | failed    | subscribed, but not to this type (or to one that the app does not have); expired; cancelled;   |
 * |           | or this subscriber's limit is used up: the same call again later gets there                    |
 * | not_found | no live subscription                                                                           |
 *
 * People are addresses, whatever the chain: all forms of one are one person, who gets one delivery. Everything here may
 * be done again: who has the notification gets it no second time.
 */
import { z } from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import { deliveredIdOf } from '../ids.ts'
import { CANCELLED, EXPIRED } from '../store/receipts.ts'
import type { AppRecord, Notification, NotifyStore, Subscription } from '../store/store.ts'
import type { Cancellations } from './cancellation.ts'

/** How long wallets take a notification, ms: the TTL of 4002. Kept as long where the project says nothing else. */
export const TTL = 2_592_000_000

/** What is said, and how: also what waits in the agenda. */
export const Message = z.object({
  type: z.string(),
  title: z.string(),
  body: z.string(),
  icon: z.string().nullable(),
  url: z.string().nullable(),
  /** Ms; who does not have it by then does not get it. */
  ttl: z.number().optional(),
  collapseKey: z.string().optional(),
})
export type Message = z.infer<typeof Message>

/** All forms that the caller wrote of one person, and what became of them. */
export interface AccountOutcome {
  accounts: string[]
  became: 'sent' | 'failed' | 'not_found'
  /** For `failed`. */
  reason?: string
}

type Target = Parameters<NotifyStore['enqueue']>[1][number]

const DAY = 86_400_000
const TOO_MANY = 'Rate limit exceeded'
const WRONG_TYPE = 'Client is not subscribed to this notification type'

export interface FanOut {
  /** The live one. */
  subscriptionOf(accountKey: string, domain: string): Promise<Subscription | undefined>
  /** Keeps the notification unless one with this id is kept; answers what is kept. Its `ttl` counts from `from`. */
  keep(app: AppRecord, id: string, message: Message, from?: number): Promise<Notification>
  /** `mayBeCancelled`: the id was known to others before. */
  toAccounts(
    app: AppRecord,
    kept: Notification,
    accounts: readonly string[],
    mayBeCancelled: boolean,
  ): Promise<AccountOutcome[]>
  /** Those of the subscribers who want the type; the others are skipped, without a receipt. */
  toSubscribers(
    app: AppRecord,
    kept: Notification,
    subscribers: readonly { accountKey: string; subscription: Subscription }[],
  ): Promise<{ handed: number; skipped: number }>
}

export const createFanOut = ({
  store,
  apps,
  limits,
  cancellations,
  clock,
}: {
  store: Pick<NotifyStore, 'account' | 'delivered' | 'enqueue' | 'putNotification' | 'refuse'>
  apps: Pick<Apps, 'projects'>
  limits: Pick<Limits, 'takeEach'>
  cancellations: Pick<Cancellations, 'has'>
  clock: Clock
}): FanOut => {
  const subscriptionOf: FanOut['subscriptionOf'] = async (key, domain) => {
    const { record } = await store.account(key)
    const now = clock.now()
    return record.subscriptions.find((one) => one.domain === domain && one.expiresAt > now)
  }

  const wants = ({ types }: AppRecord, { scope }: Subscription, { type }: Notification): boolean =>
    types.some(({ id }) => id === type) && scope.includes(type)

  const targetOf = (kept: Notification, accountKey: string, { id, account }: Subscription): Target => {
    const deliveredId = deliveredIdOf(id, kept.id)
    const { projectId, domain, id: notificationId } = kept
    return {
      accountKey,
      account,
      subscriptionId: id,
      deliveredId,
      outbox: {
        id: deliveredId,
        task: {
          kind: 'notification',
          accountKey,
          subscriptionId: id,
          projectId,
          domain,
          notificationId,
        },
        createdAt: clock.now(),
        expiresAt: kept.deliverBy,
      },
    }
  }

  /** Those whose limit is used up. Who has the notification already is none of them, and a repeat costs it nothing. */
  const beyondLimit = async (
    { projectId }: Notification,
    targets: readonly Target[],
    isRepeat: boolean,
  ): Promise<Set<Target>> => {
    const lacking = async (some: readonly Target[]): Promise<Target[]> => {
      const copies = await Promise.all(
        some.map(({ subscriptionId, deliveredId }) => store.delivered(subscriptionId, deliveredId)),
      )
      return some.filter((_, at) => !copies[at])
    }
    const fresh = isRepeat ? await lacking(targets) : targets
    const keys = fresh.map((target) => `${projectId}:${target.accountKey}`)
    const rules = (await apps.projects.settings(projectId)).limits
    const hasLeft = await limits.takeEach('subscriber', keys, rules)
    const refused = fresh.filter((_, at) => !hasLeft[at])
    // A repeat within the same millisecond did not look like one.
    return new Set(isRepeat ? refused : await lacking(refused))
  }

  /** Why nobody gets it any more who does not have it. */
  const endOf = async (kept: Notification, mayBeCancelled: boolean): Promise<string | undefined> => {
    if (mayBeCancelled && (await cancellations.has(kept))) return CANCELLED
    return kept.deliverBy <= clock.now() ? EXPIRED : undefined
  }

  return {
    subscriptionOf,

    async keep(app, id, { ttl = TTL, collapseKey, type, title, body, icon, url }, from = clock.now()) {
      const now = clock.now()
      const { retentionDays } = await apps.projects.settings(app.projectId)
      const expiresAt = now + (retentionDays === undefined ? TTL : retentionDays * DAY)
      return store.putNotification({
        id,
        projectId: app.projectId,
        domain: app.domain,
        ...{ type, title, body, icon, url },
        createdAt: now,
        deliverBy: Math.min(expiresAt, from + ttl),
        expiresAt,
        ...(collapseKey !== undefined && { collapseKey }),
      })
    },

    async toAccounts(app, kept, accounts, mayBeCancelled) {
      const forms = new Map<string, string[]>()
      for (const account of accounts) {
        const key = accountKey(account)
        const known = forms.get(key)
        if (known) known.push(account)
        else forms.set(key, [account])
      }
      const end = await endOf(kept, mayBeCancelled)
      const outcomes: AccountOutcome[] = []
      const failures: Parameters<NotifyStore['refuse']>[1][number][] = []
      const subscribed = new Map<Target, string[]>()
      const fail = (key: string, forms: string[], reason: string) => {
        outcomes.push({ accounts: forms, became: 'failed', reason })
        failures.push({ accountKey: key, account: forms[0] ?? key, reason })
      }
      const people = await Promise.all(
        [...forms].map(async ([key, forms]) => {
          const subscription = await subscriptionOf(key, app.domain)
          return { key, forms, subscription, target: subscription && targetOf(kept, key, subscription) }
        }),
      )
      for (const { key, forms, subscription, target } of people) {
        if (!subscription || !target) outcomes.push({ accounts: forms, became: 'not_found' })
        else if (!wants(app, subscription, kept)) fail(key, forms, WRONG_TYPE)
        else if (end === undefined) {
          subscribed.set(target, forms)
        } else if (await store.delivered(subscription.id, target.deliveredId)) {
          outcomes.push({ accounts: forms, became: 'sent' })
        } else fail(key, forms, end)
      }
      if (failures.length > 0) await store.refuse(kept, failures, clock.now())
      const isRepeat = mayBeCancelled && kept.createdAt !== clock.now()
      const refused = await beyondLimit(kept, [...subscribed.keys()], isRepeat)
      const targets = [...subscribed.keys()].filter((target) => !refused.has(target))
      const results = targets.length > 0 ? await store.enqueue(kept, targets) : []
      // A subscription may have ended since it was looked at.
      const gone = new Set(targets.filter((_, at) => results[at] === 'gone'))
      for (const [target, accounts] of subscribed) {
        if (refused.has(target)) outcomes.push({ accounts, became: 'failed', reason: TOO_MANY })
        else outcomes.push({ accounts, became: gone.has(target) ? 'not_found' : 'sent' })
      }
      return outcomes
    },

    async toSubscribers(app, kept, subscribers) {
      const now = clock.now()
      const wanted = subscribers
        .filter(({ subscription }) => subscription.expiresAt > now && wants(app, subscription, kept))
        .map(({ accountKey, subscription }) => targetOf(kept, accountKey, subscription))
      const refused = await beyondLimit(kept, wanted, false)
      const targets = wanted.filter((target) => !refused.has(target))
      const results = targets.length > 0 ? await store.enqueue(kept, targets) : []
      const handed = results.filter((result) => result !== 'gone').length
      return { handed, skipped: subscribers.length - handed }
    },
  }
}
