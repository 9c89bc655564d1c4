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
/** Apps that one page of a project's subscribers looks at. */
const MAX_APPS_PER_PAGE = 100
const ACCOUNT_CHANGED_TTL_MS = NOTIFY_METHODS[4012].requestTtl * 1000

/** `scope`: ids of the types that it wants. Times are unix ms. */
export type AppSubscriber = Pick<Subscription, 'domain' | 'account' | 'scope' | 'createdAt' | 'expiresAt'>

export interface Subscribers {
  /** Accounts of all live subscribers, each in the form its wallet wrote. */
  subscribers(projectId: string, domain?: string): Promise<string[]>
  /** A page of the live subscribers of an app, in a fixed order; `next` is where the next one begins. */
  subscriberPage(
    domain: string,
    page: { after?: string; limit: number },
  ): Promise<{ subscribers: AppSubscriber[]; next?: string }>
  /**
   * A page of the live subscribers of the project's apps, or of the one named, in the order of the apps' domains; whoever
   * subscribed to two apps is in it twice. `next` is where the next page begins; a page may be shorter than `limit`, or empty,
   * and have one.
   */
  projectSubscriberPage(
    projectId: string,
    domain: string | undefined,
    page: { after?: string; limit: number },
  ): Promise<{ subscribers: AppSubscriber[]; next?: string }>
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

/** One page of an app. `next` is the key of the last one, where there may be more. */
const appPage = async (
  { store, clock }: Pick<SubscribersDeps, 'store' | 'clock'>,
  domain: string,
  page: { after?: string; limit: number },
): Promise<{ subscribers: AppSubscriber[]; read: number; next?: string }> => {
  const found = await store.subscribers(domain, page)
  const now = clock.now()
  const next = found.length < page.limit ? undefined : found.at(-1)?.accountKey
  return {
    subscribers: found
      .filter(({ subscription }) => subscription.expiresAt > now)
      .map(({ subscription: { account, scope, createdAt, expiresAt } }) => ({
        ...{ domain, account, scope, createdAt, expiresAt },
      })),
    read: found.length,
    ...(next !== undefined && { next }),
  }
}

/** Pages over all apps of a project. A page begins at `domain/key`, or at the beginning of an app at `domain/`. */
const createProjectPages =
  (deps: Pick<SubscribersDeps, 'store' | 'apps' | 'clock'>): Subscribers['projectSubscriberPage'] =>
  async (projectId, domain, { after, limit }) => {
    const domains = (await appsOf(deps.apps, projectId, domain)).map((app) => app.domain).sort()
    // A domain has no slash.
    const [, from = '', key = ''] = /^([^/]*)\/(.*)$/.exec(after ?? '') ?? []
    const rest = domains.filter((one) => one >= from)
    const subscribers: AppSubscriber[] = []
    let left = limit
    for (const one of rest.slice(0, MAX_APPS_PER_PAGE)) {
      if (left === 0) return { subscribers, next: `${one}/` }
      const page = await appPage(deps, one, {
        limit: left,
        ...(one === from && key !== '' && { after: key }),
      })
      subscribers.push(...page.subscribers)
      left -= page.read
      if (page.next !== undefined) return { subscribers, next: `${one}/${page.next}` }
    }
    const following = rest[MAX_APPS_PER_PAGE]
    return { subscribers, ...(following !== undefined && { next: `${following}/` }) }
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

    subscriberPage: (domain, page) => appPage(deps, domain, page),
    projectSubscriberPage: createProjectPages(deps),

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
