/**
 * The dapps' side of notify: publish a notification, ask who is subscribed, follow a link, mark as read.
 *
 * Guarantees: what `notify` answers as sent is durable, with its outbox entry, before it is answered. The same
 * `notificationId` again sends nothing twice and gives the same answer; its content is that of the first call, also
 * where a later call says otherwise. A call that died half way is finished by repeating it.
 *
 * People are addresses, whatever the chain: `eip155:1:0xAB…` and `eip155:10:0xab…` are one subscriber, who gets one
 * delivery; the answer lists every form that the caller wrote, once each, under what became of that person.
 *
 * | answer    | when                                                                       |
 * |-----------|----------------------------------------------------------------------------|
 * | sent      | it is, or was before, handed over for delivery                             |
 * | failed    | subscribed, but not to this type (or to one that the app does not have)    |
 * | not_found | no live subscription                                                       |
 */
import type { Clock } from '../platform/clock.ts'
import { accountKey } from '../protocol/caip.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { watchersToTell } from './account.ts'
import type { Apps } from './apps.ts'
import { deliveredIdOf, uuidFrom } from './ids.ts'
import type { AppRecord, Notification, NotifyStore, OutboxEntry, Subscription } from './store.ts'
import type { Clicks } from './store-clicks.ts'
import type { Webhooks } from './webhooks.ts'

/** How long a notification is delivered and stays in histories, ms: the TTL of 4002. */
const RETENTION = 2_592_000_000
/** TTL of 4012, ms. */
const CHANGED_TTL = 300_000
const PAGE = 500

export interface NotifyMessage {
  /** The app that speaks; found by itself when absent (`appOf`). */
  domain?: string | undefined
  /** The caller's own id, unique per app; a random one when absent. */
  notificationId?: string | undefined
  notification: { type: string; title: string; body: string; icon: string | null; url: string | null }
  /** CAIP-10, already checked; as the caller wrote them. */
  accounts: readonly string[]
}

export interface NotifyOutcome {
  sent: string[]
  failed: { account: string; reason: string }[]
  not_found: string[]
}

export interface Publishing {
  /** All messages of one call. Throws `unknown_app` before anything is sent. */
  notify(projectId: string, messages: readonly NotifyMessage[]): Promise<NotifyOutcome>
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
  apps: Pick<Apps, 'list'>
  webhooks: Pick<Webhooks, 'wants'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}

const WRONG_TYPE = 'Client is not subscribed to this notification type'

export const createPublishing = ({
  store,
  apps,
  webhooks,
  clock,
  randomBytes,
}: PublishingDeps): Publishing => {
  const newId = () => uuidFrom(randomBytes(16), 4)

  const appsOf = async (projectId: string, domain?: string): Promise<AppRecord[]> => {
    const found: AppRecord[] = []
    for (let after: string | undefined; ; ) {
      const page = await apps.list({ projectId, limit: PAGE, ...(after !== undefined && { after }) })
      found.push(...page)
      after = page.at(-1)?.domain
      if (page.length < PAGE) break
    }
    if (domain === undefined) return found
    const named = found.filter((app) => app.domain === domain)
    if (named.length === 0) throw new ProtocolError('unknown_app', domain, { field: 'appDomain' })
    return named
  }

  /** The published API names the project only: the app is the named one, else the one with the type, else the oldest. */
  const appOf = (candidates: readonly AppRecord[], { domain, notification }: NotifyMessage): AppRecord => {
    const app =
      domain === undefined
        ? (candidates.find(({ types }) => types.some(({ id }) => id === notification.type)) ?? candidates[0])
        : candidates.find((candidate) => candidate.domain === domain)
    if (app) return app
    throw new ProtocolError('unknown_app', domain ?? 'the project has none yet', { field: 'appDomain' })
  }

  const liveSubscription = async (key: string, domain: string): Promise<Subscription | undefined> => {
    const { record } = await store.account(key)
    const now = clock.now()
    return record.subscriptions.find((one) => one.domain === domain && one.expiresAt > now)
  }

  const publish = async (app: AppRecord, message: NotifyMessage, outcome: Outcome): Promise<void> => {
    const now = clock.now()
    const { type, title, body, icon, url } = message.notification
    const proposal: Notification = {
      id: message.notificationId ?? newId(),
      projectId: app.projectId,
      domain: app.domain,
      type,
      title,
      body,
      icon,
      url,
      createdAt: now,
      expiresAt: now + RETENTION,
    }
    // Before the scopes are looked at: a repeated id means the first content, and so the first type.
    const kept = message.notificationId === undefined ? proposal : await store.putNotification(proposal)
    const typeIsKnown = app.types.some(({ id }) => id === kept.type)

    const forms = new Map<string, string[]>()
    for (const account of message.accounts) {
      const key = accountKey(account)
      const known = forms.get(key)
      if (known) known.push(account)
      else forms.set(key, [account])
    }
    const people = await Promise.all(
      [...forms].map(async ([key, accounts]) => ({
        key,
        accounts,
        subscription: await liveSubscription(key, app.domain),
      })),
    )

    const targets: {
      accountKey: string
      subscriptionId: string
      deliveredId: string
      outbox: OutboxEntry
    }[] = []
    const targetForms: string[][] = []
    for (const { key, accounts, subscription } of people) {
      if (!subscription) outcome.notFound(accounts)
      else if (!typeIsKnown || !subscription.scope.includes(kept.type)) outcome.failed(accounts, WRONG_TYPE)
      else {
        const deliveredId = deliveredIdOf(subscription.id, kept.id)
        targets.push({
          accountKey: key,
          subscriptionId: subscription.id,
          deliveredId,
          outbox: {
            id: deliveredId,
            task: {
              kind: 'notification',
              accountKey: key,
              subscriptionId: subscription.id,
              domain: app.domain,
              notificationId: kept.id,
            },
            createdAt: now,
            expiresAt: now + RETENTION,
          },
        })
        targetForms.push(accounts)
      }
    }
    if (targets.length === 0) return
    if (message.notificationId === undefined) await store.putNotification(proposal)
    const results = await store.hand(kept, targets)
    for (const [at, accounts] of targetForms.entries()) {
      // A subscription that ended since it was looked at.
      if (results[at] === 'gone') outcome.notFound(accounts)
      else outcome.sent(accounts)
    }
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
    expiresAt: now + RETENTION,
  })

  const markAsRead = async (key: string, subscription: Subscription, isHeard: boolean): Promise<void> => {
    const { id: subscriptionId, domain } = subscription
    const { record } = await store.account(key)
    const now = clock.now()
    await store.markRead({
      accountKey: key,
      subscriptionId,
      ids: 'all',
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
      const candidates = await appsOf(projectId)
      candidates.sort((a, b) => a.createdAt - b.createdAt || (a.domain < b.domain ? -1 : 1))
      // All of them before the first is sent: a call that is refused has done nothing.
      const addressed = messages.map((message) => ({ message, app: appOf(candidates, message) }))
      const outcome = new Outcome()
      // One after the other: a call may repeat an id, and what is first is what counts.
      for (const { app, message } of addressed) await publish(app, message, outcome)
      return outcome.answer()
    },

    async subscribers(projectId, domain) {
      const accounts = new Map<string, string>()
      for (const app of await appsOf(projectId, domain)) {
        for await (const page of liveSubscribers(app.domain)) {
          for (const { accountKey: key, subscription } of page) {
            if (!accounts.has(key)) accounts.set(key, subscription.account)
          }
        }
      }
      return [...accounts.values()]
    },

    async scopesOf(projectId, accounts, domain) {
      const domains = new Set((await appsOf(projectId, domain)).map((app) => app.domain))
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
      for (const app of await appsOf(projectId, domain)) {
        const notification = await store.notification(projectId, app.domain, notificationId)
        if (!notification || notification.expiresAt <= now) continue
        const all = await store.clicks(notification)
        const subscription =
          account === undefined ? undefined : await liveSubscription(accountKey(account), app.domain)
        const own =
          subscription &&
          (await store.copyClicks(notification, deliveredIdOf(subscription.id, notificationId)))
        return { ...(all ?? { count: 0, copies: 0, firstAt: 0 }), own }
      }
      throw new ProtocolError('unknown_notification')
    },

    async markAllAsRead(projectId) {
      for (const app of await appsOf(projectId)) {
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

  sent(accounts: readonly string[]): void {
    for (const account of accounts) this.#sent.add(account)
  }

  failed(accounts: readonly string[], reason: string): void {
    for (const account of accounts) this.#failed.set(account, reason)
  }

  notFound(accounts: readonly string[]): void {
    for (const account of accounts) this.#notFound.add(account)
  }

  answer(): NotifyOutcome {
    return {
      sent: [...this.#sent],
      failed: [...this.#failed].map(([account, reason]) => ({ account, reason })),
      not_found: [...this.#notFound],
    }
  }
}
