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
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Meter } from '../../platform/telemetry.ts'
import { accountKey } from '../../protocol/caip.ts'
import type { Apps } from '../apps/apps.ts'
import type { Limits } from '../apps/limits.ts'
import { deliveredIdOf } from '../ids.ts'
import { type DirectSends, MAX_BATCH_TARGETS } from '../outbox/direct-sends.ts'
import { CANCELLED, EXPIRED } from '../store/receipts.ts'
import type { AppRecord, EnqueueOutcome, Notification, NotifyStore, Subscription } from '../store/store.ts'
import type { Cancellations } from './cancellation.ts'
import { createStoreNotification, type StoreNotification } from './store-notification.ts'
import { type ChargeSubscribers, createSubscriberLimit, type Target } from './subscriber-limit.ts'

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
  storeNotification: StoreNotification
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

export interface FanOutDeps {
  store: Pick<
    NotifyStore,
    'account' | 'delivered' | 'enqueue' | 'enqueueLeased' | 'putNotification' | 'refuse'
  >
  /** The outbox worker of this process. */
  direct: DirectSends
  apps: Pick<Apps, 'projects'>
  limits: Pick<Limits, 'takeEach'>
  cancellations: Pick<Cancellations, 'has'>
  clock: Clock
  meter: Pick<Meter, 'count'>
}

const wants = ({ types }: AppRecord, { scope }: Subscription, { type }: Notification): boolean =>
  types.some(({ id }) => id === type) && scope.includes(type)

const targetOf = (
  notification: Notification,
  accountKey: string,
  subscription: Subscription,
  now: number,
): Target => {
  const { id, account } = subscription
  const deliveredId = deliveredIdOf(id, notification.id)
  const { projectId, domain, id: notificationId } = notification
  return {
    accountKey,
    account,
    subscriptionId: id,
    subscription,
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

/** Enqueues as many as a worker sends at once: for the worker of this process if it has room, else for whoever comes. */
const enqueueBatch = async (
  { store, direct }: Pick<FanOutDeps, 'store' | 'direct'>,
  notification: Notification,
  targets: readonly Target[],
): Promise<EnqueueOutcome[]> => {
  const room = await direct.reserve()
  if (!room) return store.enqueue(notification, targets)
  try {
    const { outcomes, entries } = await store.enqueueLeased(notification, targets, room.lease)
    const sent = targets.filter((_, at) => outcomes[at] === 'sent')
    if (entries.length > 0) room.send({ entries, notification, targets: sent })
    else room.release()
    return outcomes
  } catch (err) {
    // What was committed nevertheless is free when its lease ends.
    room.release()
    throw err
  }
}

const enqueueAll = async (
  deps: Pick<FanOutDeps, 'store' | 'direct' | 'meter'>,
  notification: Notification,
  targets: readonly Target[],
): Promise<EnqueueOutcome[]> => {
  const outcomes: EnqueueOutcome[] = []
  for (let from = 0; from < targets.length; from += MAX_BATCH_TARGETS) {
    const batch = targets.slice(from, from + MAX_BATCH_TARGETS)
    outcomes.push(...(await enqueueBatch(deps, notification, batch)))
  }
  invariant(outcomes.length === targets.length, 'Each target of a fan-out has one outcome')
  const sent = outcomes.filter((outcome) => outcome === 'sent').length
  if (sent > 0) deps.meter.count('notify_project_sent_total', { project: notification.projectId }, sent)
  return outcomes
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
  deps: FanOutDeps,
  subscriptionOf: FanOut['subscriptionOf'],
  charge: ChargeSubscribers,
): FanOut['toAccounts'] => {
  const { store, cancellations, clock, meter } = deps
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
    const now = clock.now()
    const lookedUp = await Promise.all(
      [...forms].map(async ([key, accounts]) => {
        const subscription = await subscriptionOf(key, app.domain)
        const target = subscription && targetOf(notification, key, subscription, now)
        return { key, accounts, subscription, target }
      }),
    )
    for (const { key, accounts, subscription, target } of lookedUp) {
      if (!subscription || !target) outcomes.push({ accounts, became: 'not_found' })
      else if (!wants(app, subscription, notification)) fail(key, accounts, WRONG_TYPE)
      else if (end === undefined) {
        targets.set(target, accounts)
      } else if (await store.delivered(subscription.id, target.deliveredId)) {
        outcomes.push({ accounts, became: 'sent' })
      } else fail(key, accounts, end)
    }
    if (failures.length > 0) {
      await store.refuse(notification, failures, clock.now())
      meter.count('notify_project_failed_total', { project: app.projectId }, failures.length)
    }
    return { outcomes, targets }
  }

  return async (app, notification, accounts, mayBeCancelled) => {
    const end = await endOf(notification, mayBeCancelled)
    const { outcomes, targets } = await sort(app, notification, formsByAccount(accounts), end)
    const isRepeat = mayBeCancelled && notification.createdAt !== clock.now()
    const refused = await charge(notification, [...targets.keys()], isRepeat)
    const charged = [...targets.keys()].filter((target) => !refused.has(target))
    const results = await enqueueAll(deps, notification, charged)
    // A subscription may have ended since it was read.
    const unsubscribed = new Set(charged.filter((_, at) => results[at] === 'gone'))
    for (const [target, accounts] of targets) {
      if (refused.has(target)) outcomes.push({ accounts, became: 'failed', reason: RATE_LIMITED })
      else outcomes.push({ accounts, became: unsubscribed.has(target) ? 'not_found' : 'sent' })
    }
    return outcomes
  }
}

export const createFanOut = (deps: FanOutDeps): FanOut => {
  const { store, apps, limits, clock, meter } = deps
  const limit = createSubscriberLimit({ store, apps, limits })
  const charge: ChargeSubscribers = async (notification, targets, isRepeat) => {
    const refused = await limit(notification, targets, isRepeat)
    const { projectId: project } = notification
    if (refused.size > 0) meter.count('notify_project_failed_total', { project }, refused.size)
    return refused
  }
  const subscriptionOf: FanOut['subscriptionOf'] = async (key, domain) => {
    const { record } = await store.account(key)
    const now = clock.now()
    return record.subscriptions.find((one) => one.domain === domain && one.expiresAt > now)
  }

  return {
    subscriptionOf,
    toAccounts: createToAccounts(deps, subscriptionOf, charge),

    storeNotification: createStoreNotification(deps),

    async toSubscribers(app, notification, subscribers) {
      const now = clock.now()
      const wanted = subscribers
        .filter(({ subscription }) => subscription.expiresAt > now && wants(app, subscription, notification))
        .map(({ accountKey, subscription }) => targetOf(notification, accountKey, subscription, now))
      const refused = await charge(notification, wanted, false)
      const targets = wanted.filter((target) => !refused.has(target))
      const results = await enqueueAll(deps, notification, targets)
      const handed = results.filter((result) => result !== 'gone').length
      return { handed, skipped: subscribers.length - handed }
    },
  }
}
