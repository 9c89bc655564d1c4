/**
 * Fans one notification out: stores it, decides who gets it, and commits a copy and an outbox entry for each. Publishing
 * does so at once, the schedule when it is due, a broadcast page by page.
 *
 * | outcome   | when                                                                                           |
 * |-----------|------------------------------------------------------------------------------------------------|
 * | sent      | it is, or was before, enqueued for delivery                                                    |
 * | failed    | subscribed, but not to this type (or to one that the app does not have); expired; cancelled;   |
 * |           | or this subscriber's limit is used up: the same call later succeeds                            |
 * | not_found | no live subscription                                                                           |
 *
 * Accounts are compared by address, whatever the chain: all forms of one address are one account, with one delivery.
 * Idempotent: an account that has the notification is skipped.
 */
import * as z from 'zod'
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { DAY_MS } from '../../platform/units.ts'
import { accountKey } from '../../protocol/caip.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import { deliveredIdOf } from '../ids.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import { CANCELLED, EXPIRED } from '../store/receipts.ts'
import type { AppRecord, Notification, NotifyStore, Subscription } from '../store/store.ts'
import type { Cancellations } from './cancellation.ts'
import { type ChargeSubscribers, createSubscriberLimit, type Target } from './subscriber-limit.ts'

/** The content of a notification and how it is delivered; also what scheduled jobs hold. */
export const Message = z.object({
  type: z.string(),
  title: z.string(),
  body: z.string(),
  icon: z.string().nullable(),
  url: z.string().nullable(),
  /** Ms; a subscriber that does not have it by then does not get it. */
  ttl: z.number().optional(),
  collapseKey: z.string().optional(),
})
export type Message = z.infer<typeof Message>

/** All forms in which the caller wrote one account, and its outcome. */
export interface AccountOutcome {
  accounts: string[]
  became: 'sent' | 'failed' | 'not_found'
  /** For `failed`. */
  reason?: string
}

const RATE_LIMITED = 'Rate limit exceeded'
const WRONG_TYPE = 'Client is not subscribed to this notification type'

export interface FanOut {
  /** The live one. */
  subscriptionOf(accountKey: string, domain: string): Promise<Subscription | undefined>
  /** Stores the notification and returns the stored one: the first with this id. Its `ttl` counts from `from`. */
  storeNotification(app: AppRecord, id: string, message: Message, from?: number): Promise<Notification>
  /** `mayBeCancelled`: others knew the id before this call. */
  toAccounts(
    app: AppRecord,
    notification: Notification,
    accounts: readonly string[],
    mayBeCancelled: boolean,
  ): Promise<AccountOutcome[]>
  /** To the subscribers that want the type; the others are skipped, without a receipt. */
  toSubscribers(
    app: AppRecord,
    notification: Notification,
    subscribers: readonly { accountKey: string; subscription: Subscription }[],
  ): Promise<{ handed: number; skipped: number }>
}

interface Deps {
  store: Pick<NotifyStore, 'account' | 'delivered' | 'enqueue' | 'putNotification' | 'refuse'>
  apps: Pick<Apps, 'projects'>
  limits: Pick<Limits, 'takeEach'>
  cancellations: Pick<Cancellations, 'has'>
  clock: Clock
}

const wants = ({ types }: AppRecord, { scope }: Subscription, { type }: Notification): boolean =>
  types.some(({ id }) => id === type) && scope.includes(type)

const targetOf = (
  notification: Notification,
  accountKey: string,
  { id, account }: Subscription,
  now: number,
): Target => {
  const deliveredId = deliveredIdOf(id, notification.id)
  const { projectId, domain, id: notificationId } = notification
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
      createdAt: now,
      expiresAt: notification.deliverBy,
    },
  }
}

const enqueueAll = async (
  store: Pick<NotifyStore, 'enqueue'>,
  { links = false }: Pick<AppRecord, 'links'>,
  notification: Notification,
  targets: readonly Target[],
): ReturnType<NotifyStore['enqueue']> => {
  const options = { isLinked: links && notification.url !== null }
  const results = targets.length > 0 ? await store.enqueue(notification, targets, options) : []
  invariant(results.length === targets.length, 'Each target of a fan-out has one result')
  return results
}

/** The forms of each account that the caller wrote. */
const formsByAccount = (accounts: readonly string[]): Map<string, string[]> => {
  const all = new Map<string, string[]>()
  for (const account of accounts) {
    const key = accountKey(account)
    const forms = all.get(key)
    if (forms) forms.push(account)
    else all.set(key, [account])
  }
  return all
}

const createToAccounts = (
  { store, cancellations, clock }: Deps,
  subscriptionOf: FanOut['subscriptionOf'],
  charge: ChargeSubscribers,
): FanOut['toAccounts'] => {
  /** Why accounts that do not have it get it no more. */
  const endOf = async (notification: Notification, mayBeCancelled: boolean): Promise<string | undefined> => {
    if (mayBeCancelled && (await cancellations.has(notification))) return CANCELLED
    return notification.deliverBy <= clock.now() ? EXPIRED : undefined
  }

  /** Targets with the forms of their accounts, and the outcomes of all others; refusals get their receipts. */
  const sort = async (
    app: AppRecord,
    notification: Notification,
    forms: ReadonlyMap<string, string[]>,
    end: string | undefined,
  ) => {
    const outcomes: AccountOutcome[] = []
    const failures: Parameters<NotifyStore['refuse']>[1][number][] = []
    const targets = new Map<Target, string[]>()
    const fail = (key: string, accounts: string[], reason: string) => {
      outcomes.push({ accounts, became: 'failed', reason })
      failures.push({ accountKey: key, account: accounts[0] ?? key, reason })
    }
    const lookedUp = await Promise.all(
      [...forms].map(async ([key, accounts]) => {
        const subscription = await subscriptionOf(key, app.domain)
        const target = subscription && targetOf(notification, key, subscription, clock.now())
        return { key, accounts, subscription, target }
      }),
    )
    for (const { key, accounts, subscription, target } of lookedUp) {
      if (!subscription || !target) outcomes.push({ accounts, became: 'not_found' })
      else if (!wants(app, subscription, notification)) fail(key, accounts, WRONG_TYPE)
      else if (end === undefined) {
        targets.set(target, accounts)
      } else if (await store.delivered(key, subscription.id, target.deliveredId)) {
        outcomes.push({ accounts, became: 'sent' })
      } else fail(key, accounts, end)
    }
    if (failures.length > 0) await store.refuse(notification, failures, clock.now())
    return { outcomes, targets }
  }

  return async (app, notification, accounts, mayBeCancelled) => {
    const end = await endOf(notification, mayBeCancelled)
    const { outcomes, targets } = await sort(app, notification, formsByAccount(accounts), end)
    const isRepeat = mayBeCancelled && notification.createdAt !== clock.now()
    const refused = await charge(notification, [...targets.keys()], isRepeat)
    const charged = [...targets.keys()].filter((target) => !refused.has(target))
    const results = await enqueueAll(store, app, notification, charged)
    // A subscription may have ended since it was read.
    const unsubscribed = new Set(charged.filter((_, at) => results[at] === 'gone'))
    for (const [target, accounts] of targets) {
      if (refused.has(target)) outcomes.push({ accounts, became: 'failed', reason: RATE_LIMITED })
      else outcomes.push({ accounts, became: unsubscribed.has(target) ? 'not_found' : 'sent' })
    }
    return outcomes
  }
}

export const createFanOut = (deps: Deps): FanOut => {
  const { store, apps, limits, clock } = deps
  const charge = createSubscriberLimit({ store, apps, limits })
  const subscriptionOf: FanOut['subscriptionOf'] = async (key, domain) => {
    const { record } = await store.account(key)
    const now = clock.now()
    return record.subscriptions.find((one) => one.domain === domain && one.expiresAt > now)
  }

  return {
    subscriptionOf,
    toAccounts: createToAccounts(deps, subscriptionOf, charge),

    async storeNotification(
      app,
      id,
      { ttl = NOTIFICATION_TTL_MS, collapseKey, type, title, body, icon, url },
      from = clock.now(),
    ) {
      const now = clock.now()
      const { retentionDays } = await apps.projects.settings(app.projectId)
      const expiresAt = now + (retentionDays === undefined ? NOTIFICATION_TTL_MS : retentionDays * DAY_MS)
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

    async toSubscribers(app, notification, subscribers) {
      const now = clock.now()
      const wanted = subscribers
        .filter(({ subscription }) => subscription.expiresAt > now && wants(app, subscription, notification))
        .map(({ accountKey, subscription }) => targetOf(notification, accountKey, subscription, now))
      const refused = await charge(notification, wanted, false)
      const targets = wanted.filter((target) => !refused.has(target))
      const results = await enqueueAll(store, app, notification, targets)
      const handed = results.filter((result) => result !== 'gone').length
      return { handed, skipped: subscribers.length - handed }
    },
  }
}
