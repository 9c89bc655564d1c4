/** What dapps ask and change about their subscribers: who is subscribed, to which types; all marked as read. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import type { Apps } from '../apps/apps.ts'
import { uuidFrom } from '../ids.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import { pagesOf } from '../pages.ts'
import type { NotifyStore, OutboxEntry, Subscription } from '../store/store.ts'
import { watchersToTell } from '../subscriptions/rules.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { appsOf } from './resolve-app.ts'

const SUBSCRIBER_PAGE_SIZE = 500
const ACCOUNT_CHANGED_TTL_MS = NOTIFY_METHODS[4012].requestTtl * 1000

export interface Subscribers {
  /** Accounts of all live subscribers, each in the form its wallet wrote. */
  subscribers(projectId: string, domain?: string): Promise<string[]>
  /** A page of the live subscribers of an app, in a fixed order; `next` is where the next one begins. */
  subscriberPage(
    domain: string,
    page: { after?: string; limit: number },
  ): Promise<{
    subscribers: Pick<Subscription, 'account' | 'scope' | 'createdAt' | 'expiresAt'>[]
    next?: string
  }>
  /** The types that each of these accounts wants, keyed as the caller wrote it; others are left out. */
  scopesOf(projectId: string, accounts: readonly string[], domain?: string): Promise<Map<string, string[]>>
  /** Marks every notification of the project's apps as read, and sends 4012s to the wallets that watch. */
  markAllAsRead(projectId: string): Promise<void>
}

export interface SubscribersDeps {
  store: Pick<NotifyStore, 'account' | 'markRead' | 'subscribers' | 'unreadCounts'>
  apps: Pick<Apps, 'list'>
  webhooks: Pick<Webhooks, 'wants'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}

/** All live subscriptions of an app, page by page. */
async function* liveSubscribers(
  { store, clock }: { store: Pick<NotifyStore, 'subscribers'>; clock: Clock },
  domain: string,
) {
  const read = (page: { after?: string; limit: number }) => store.subscribers(domain, page)
  for await (const page of pagesOf(SUBSCRIBER_PAGE_SIZE, read, (one) => one.accountKey)) {
    const now = clock.now()
    yield page.filter(({ subscription }) => subscription.expiresAt > now)
  }
}

const createMarkAsRead = ({
  store,
  clock,
  randomBytes,
}: Pick<SubscribersDeps, 'store' | 'clock' | 'randomBytes'>) => {
  const newId = () => uuidFrom(randomBytes(16), 4)

  const readEvent = ({ id: subscriptionId, domain, account }: Subscription, now: number): OutboxEntry => ({
    id: `event:${newId()}`,
    task: {
      kind: 'event',
      event: 'read',
      ...{ domain, subscriptionId, account },
      detail: { by: 'project', all: true },
    },
    createdAt: now,
    expiresAt: now + NOTIFICATION_TTL_MS,
  })

  return async (key: string, subscription: Subscription, isHeard: boolean): Promise<void> => {
    const { id: subscriptionId, domain } = subscription
    const { record } = await store.account(key)
    const now = clock.now()
    const changed = watchersToTell(record, { domain, except: undefined, now }).map(
      ({ identityKey }): OutboxEntry => ({
        id: newId(),
        task: { kind: 'changed', accountKey: key, identityKey },
        createdAt: now,
        expiresAt: now + ACCOUNT_CHANGED_TTL_MS,
      }),
    )
    await store.markRead({
      accountKey: key,
      subscriptionId,
      ids: 'all',
      at: now,
      outbox: [],
      outboxIfChanged: [...changed, ...(isHeard ? [readEvent(subscription, now)] : [])],
    })
  }
}

export const createSubscribers = (deps: SubscribersDeps): Subscribers => {
  const { store, apps, webhooks, clock } = deps
  const markAsRead = createMarkAsRead(deps)
  return {
    async subscribers(projectId, domain) {
      const accounts = new Map<string, string>()
      for (const app of await appsOf(apps, projectId, domain)) {
        for await (const page of liveSubscribers(deps, app.domain)) {
          for (const { accountKey: key, subscription } of page) {
            if (!accounts.has(key)) accounts.set(key, subscription.account)
          }
        }
      }
      return [...accounts.values()]
    },

    async subscriberPage(domain, page) {
      const found = await store.subscribers(domain, page)
      const now = clock.now()
      const live = found.filter(({ subscription }) => subscription.expiresAt > now)
      const next = found.length < page.limit ? undefined : found.at(-1)?.accountKey
      return {
        subscribers: live.map(({ subscription: { account, scope, createdAt, expiresAt } }) => ({
          ...{ account, scope, createdAt, expiresAt },
        })),
        ...(next !== undefined && { next }),
      }
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

    async markAllAsRead(projectId) {
      for (const app of await appsOf(apps, projectId)) {
        for await (const page of liveSubscribers(deps, app.domain)) {
          const unread = await store.unreadCounts(page.map(({ subscription }) => subscription.id))
          const affected = page.filter((_, at) => (unread[at] ?? 0) > 0)
          const isHeard = await webhooks.wants(app.domain, 'read')
          await Promise.all(affected.map((one) => markAsRead(one.accountKey, one.subscription, isHeard)))
        }
      }
    },
  }
}
