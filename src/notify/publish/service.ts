/**
 * The dapps' side of notify: publish a notification, now or later; ask who is subscribed, follow a link, mark as read.
 *
 * Guarantees: what `notify` answers as sent is durable, with its outbox entry, before it is answered, and so is what it
 * answers as scheduled. The same `notificationId` again sends nothing twice and gives the same answer; its content is
 * that of the first call, also where a later call says otherwise. A call that died half way is finished by repeating it.
 *
 * The answer lists every form of an account that the caller wrote, once each, under what became of that person (see
 * `fan-out`); who gets a notification that is for later is decided when it is due, and listed as scheduled.
 */
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Apps } from '../apps/apps.ts'
import { type Limits, UNLIMITED } from '../apps/limits.ts'
import { deliveredIdOf, uuidFrom } from '../ids.ts'
import type { Clicks } from '../store/clicks.ts'
import type { AppRecord, NotifyStore, OutboxEntry, Subscription } from '../store/store.ts'
import { watchersToTell } from '../subscriptions/rules.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { createBroadcasts, type Progress } from './broadcasts.ts'
import { createCancellations } from './cancellation.ts'
import { createFanOut, type AccountOutcome, type Message, TTL } from './fan-out.ts'
import { appFor, appsOf } from './resolve-app.ts'
import { createSchedule, FARTHEST } from './schedule.ts'

/** TTL of 4012, ms. */
const CHANGED_TTL = 300_000
const PAGE = 500

/** What is published: to whom, says `accounts` or nobody (a broadcast). */
export interface BroadcastMessage {
  /** The app that speaks; found by itself when absent (`appFor`). */
  domain?: string | undefined
  /** The caller's own id, unique per app; a random one when absent. */
  notificationId?: string | undefined
  notification: Pick<Message, 'type' | 'title' | 'body' | 'icon' | 'url'>
  /** Unix ms, at most 30 days ahead; now when it is past or absent. */
  deliverAt?: number | undefined
  /** Ms, from `deliverAt` on: who has not been sent it by then is not sent it. */
  ttl?: number | undefined
  /** A newer notification with the same key replaces this one for who does not have it yet. */
  collapseKey?: string | undefined
}

export interface NotifyMessage extends BroadcastMessage {
  /** CAIP-10, already checked; as the caller wrote them. */
  accounts: readonly string[]
}

export interface NotifyOutcome {
  sent: string[]
  failed: { account: string; reason: string }[]
  not_found: string[]
  /** Only where something was. */
  scheduled?: string[]
  /** In the order of the messages. */
  notifications: { notification_id: string; status: 'queued' | 'scheduled' }[]
}

export interface Publishing {
  /** All messages of one call. Throws `unknown_app` before anything is sent. */
  notify(projectId: string, messages: readonly NotifyMessage[]): Promise<NotifyOutcome>
  /** To all live subscribers of the app who want the type; answers before the first is sent. */
  broadcast(projectId: string, message: BroadcastMessage): Promise<{ id: string; status: Progress['status'] }>
  /** Accounts of all live subscribers, each in the form its wallet wrote. */
  subscribers(projectId: string, domain?: string): Promise<string[]>
  /** The types that each of these accounts wants, keyed as the caller wrote it; who is not subscribed is left out. */
  scopesOf(projectId: string, accounts: readonly string[], domain?: string): Promise<Map<string, string[]>>
  /** Where the link of a delivered notification leads; undefined when nowhere, or no longer. A click is counted. */
  linkOf(deliveredId: string, options?: { isClick?: boolean }): Promise<string | undefined>
  /** Clicks on the links of a notification; with `account` also that person's. Throws `unknown_notification`. */
  clicksOf(
    projectId: string,
    notificationId: string,
    options?: { domain?: string | undefined; account?: string | undefined },
  ): Promise<Clicks & { copies: number; own?: Clicks | undefined }>
  /** Marks every notification of the project's apps as read, and tells the wallets that watch. */
  markAllAsRead(projectId: string): Promise<void>
}

export interface PublishingDeps {
  store: NotifyStore
  apps: Pick<Apps, 'list' | 'projects'>
  jobQueue: JobQueue
  webhooks: Pick<Webhooks, 'wants'>
  limits?: Limits
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}

export const createPublishing = (deps: PublishingDeps): Publishing => {
  const { store, jobQueue, apps, webhooks, clock, randomBytes, limits = UNLIMITED } = deps
  const cancellations = createCancellations(deps)
  const fanOut = createFanOut({ store, apps, limits, cancellations, clock })
  const schedule = createSchedule({ jobQueue })
  const broadcasts = createBroadcasts({ jobQueue, cancellations, clock })
  const newId = () => uuidFrom(randomBytes(16), 4)

  const messageOf = ({ notification, ttl, collapseKey }: BroadcastMessage): Message => ({
    ...notification,
    ...(ttl !== undefined && { ttl }),
    ...(collapseKey !== undefined && { collapseKey }),
  })

  /** When it is due, if not now. */
  const laterOf = ({ deliverAt }: BroadcastMessage): number | undefined => {
    const ahead = (deliverAt ?? 0) - clock.now()
    if (ahead > FARTHEST) {
      throw new ProtocolError('bad_params', 'at most 30 days ahead', { field: 'deliver_at' })
    }
    return ahead > 0 ? deliverAt : undefined
  }

  const publish = async (app: AppRecord, message: NotifyMessage, outcome: Outcome): Promise<void> => {
    const id = message.notificationId ?? newId()
    const { projectId, domain } = app
    const deliverAt = laterOf(message)
    // What is kept has begun: the rest of it is not for later.
    if (deliverAt !== undefined && !(await store.notification(projectId, domain, id))) {
      const { accounts } = message
      await schedule.add({
        ...{ projectId, domain, id, deliverAt },
        message: messageOf(message),
        accounts: [...accounts],
      })
      outcome.scheduled(id, accounts)
      return
    }
    const kept = await fanOut.keep(app, id, messageOf(message))
    const isKnown = message.notificationId !== undefined
    outcome.queued(id, await fanOut.toAccounts(app, kept, message.accounts, isKnown))
  }

  /** All live subscriptions of an app, page by page. */
  async function* liveSubscribers(domain: string) {
    for (let after: string | undefined; ; ) {
      const page = await store.subscribers(domain, { limit: PAGE, ...(after !== undefined && { after }) })
      const now = clock.now()
      yield page.filter(({ subscription }) => subscription.expiresAt > now)
      after = page.at(-1)?.accountKey
      if (page.length < PAGE) return
    }
  }

  const readEvent = ({ id: subscriptionId, domain, account }: Subscription, now: number): OutboxEntry => ({
    id: `event:${newId()}`,
    task: {
      kind: 'event',
      event: 'read',
      ...{ domain, subscriptionId, account },
      detail: { by: 'project', all: true },
    },
    createdAt: now,
    expiresAt: now + TTL,
  })

  const markAsRead = async (key: string, subscription: Subscription, isHeard: boolean): Promise<void> => {
    const { id: subscriptionId, domain } = subscription
    const { record } = await store.account(key)
    const now = clock.now()
    await store.markRead({
      accountKey: key,
      subscriptionId,
      ids: 'all',
      at: now,
      outbox: [],
      outboxIfChanged: [
        ...watchersToTell(record, { domain, except: undefined, now }).map(
          ({ identityKey }): OutboxEntry => ({
            id: newId(),
            task: { kind: 'changed', accountKey: key, identityKey },
            createdAt: now,
            expiresAt: now + CHANGED_TTL,
          }),
        ),
        ...(isHeard ? [readEvent(subscription, now)] : []),
      ],
    })
  }

  return {
    async notify(projectId, messages) {
      const candidates = await appsOf(apps, projectId)
      // All of them before the first is sent: a call that is refused has done nothing.
      const addressed = messages.map((message) => {
        laterOf(message)
        const { domain, notification } = message
        return { message, app: appFor(candidates, { domain, type: notification.type }) }
      })
      const outcome = new Outcome()
      // One after the other: a call may repeat an id, and what is first is what counts.
      for (const { app, message } of addressed) await publish(app, message, outcome)
      return outcome.answer()
    },

    async broadcast(projectId, message) {
      const { domain, notification, notificationId } = message
      const app = appFor(await appsOf(apps, projectId), { domain, type: notification.type })
      const id = notificationId ?? newId()
      const startAt = laterOf(message) ?? clock.now()
      return { id, status: await broadcasts.start(app, { id, message: messageOf(message), startAt }) }
    },

    async subscribers(projectId, domain) {
      const accounts = new Map<string, string>()
      for (const app of await appsOf(apps, projectId, domain)) {
        for await (const page of liveSubscribers(app.domain)) {
          for (const { accountKey: key, subscription } of page) {
            if (!accounts.has(key)) accounts.set(key, subscription.account)
          }
        }
      }
      return [...accounts.values()]
    },

    async scopesOf(projectId, accounts, domain) {
      const domains = new Set((await appsOf(apps, projectId, domain)).map((app) => app.domain))
      const found = await Promise.all(
        [...new Set(accounts)].map(async (account) => {
          const { record } = await store.account(accountKey(account))
          const now = clock.now()
          const live = record.subscriptions.filter((one) => domains.has(one.domain) && one.expiresAt > now)
          return { account, live }
        }),
      )
      return new Map(
        found
          .filter(({ live }) => live.length > 0)
          .map(({ account, live }) => [account, [...new Set(live.flatMap(({ scope }) => scope))]]),
      )
    },

    async linkOf(deliveredId, { isClick = false } = {}) {
      const delivered = await store.deliveredById(deliveredId)
      if (!delivered || delivered.notification.expiresAt <= clock.now()) return undefined
      const { url, domain } = delivered.notification
      if (!url) return undefined
      if (isClick) await store.click(delivered.notification, delivered.id, clock.now())
      const scheme = /^localhost(?::|$)/.test(domain) ? 'http' : 'https'
      return new URL(url, `${scheme}://${domain}`).href
    },

    async clicksOf(projectId, notificationId, { domain, account } = {}) {
      const now = clock.now()
      for (const app of await appsOf(apps, projectId, domain)) {
        const notification = await store.notification(projectId, app.domain, notificationId)
        if (!notification || notification.expiresAt <= now) continue
        const all = await store.clicks(notification)
        const subscription =
          account === undefined ? undefined : await fanOut.subscriptionOf(accountKey(account), app.domain)
        const own =
          subscription &&
          (await store.copyClicks(notification, deliveredIdOf(subscription.id, notificationId)))
        return { ...(all ?? { count: 0, copies: 0, firstAt: 0 }), own }
      }
      throw new ProtocolError('unknown_notification')
    },

    async markAllAsRead(projectId) {
      for (const app of await appsOf(apps, projectId)) {
        for await (const page of liveSubscribers(app.domain)) {
          const unread = await store.unreadCounts(page.map(({ subscription }) => subscription.id))
          const affected = page.filter((_, at) => (unread[at] ?? 0) > 0)
          const isHeard = await webhooks.wants(app.domain, 'read')
          await Promise.all(affected.map((one) => markAsRead(one.accountKey, one.subscription, isHeard)))
        }
      }
    },
  }
}

/** Collects what became of each account over a whole call; every form is named once under each heading. */
class Outcome {
  readonly #sent = new Set<string>()
  readonly #failed = new Map<string, string>()
  readonly #notFound = new Set<string>()
  readonly #scheduled = new Set<string>()
  readonly #notifications: NotifyOutcome['notifications'] = []

  queued(id: string, outcomes: readonly AccountOutcome[]): void {
    this.#notifications.push({ notification_id: id, status: 'queued' })
    for (const { accounts, became, reason = '' } of outcomes) {
      for (const account of accounts) {
        if (became === 'sent') this.#sent.add(account)
        else if (became === 'failed') this.#failed.set(account, reason)
        else this.#notFound.add(account)
      }
    }
  }

  scheduled(id: string, accounts: readonly string[]): void {
    this.#notifications.push({ notification_id: id, status: 'scheduled' })
    for (const account of accounts) this.#scheduled.add(account)
  }

  answer(): NotifyOutcome {
    return {
      sent: [...this.#sent],
      failed: [...this.#failed].map(([account, reason]) => ({ account, reason })),
      not_found: [...this.#notFound],
      ...(this.#scheduled.size > 0 && { scheduled: [...this.#scheduled] }),
      notifications: this.#notifications,
    }
  }
}
