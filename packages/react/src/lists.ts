/** Lists that are read by pages: the history of an app, and the apps of the server. */
import type { ListedApp, Notification, Wallet } from '@belfry/wallet'
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { useSubscriptions, useWallet } from './hooks.ts'
import { createPages, EMPTY, type Pages } from './pages.ts'

const never = () => () => {}

/** Reads the first page when it is shown, and follows what changes meanwhile. */
const usePages = <T>(
  pages: (ReturnType<typeof createPages<T>> & { follow?: () => () => void }) | undefined,
): Pages<T> => {
  useEffect(() => {
    void pages?.more()
    return pages?.follow?.()
  }, [pages])
  const snapshot = pages?.snapshot ?? (() => EMPTY)
  return useSyncExternalStore<Pages<T>>(pages?.subscribe ?? never, snapshot, () => EMPTY)
}

const createHistory = (wallet: Wallet, domain: string, limit: number) => {
  const pages = createPages<Notification>(
    ({ id }) => id,
    async (known) => {
      const after = known.at(-1)?.id
      const page = await wallet.history(domain, { limit, ...(after !== undefined && { after }) })
      return { items: page.notifications, hasMore: page.hasMore }
    },
  )
  const mark = (isMeant: (one: Notification) => boolean, more: Partial<Notification> = {}) =>
    pages.change((items) => items.map((one) => (isMeant(one) ? { ...one, isRead: true, ...more } : one)))
  /** What was read on another device. */
  const readElsewhere = async (count: number): Promise<void> => {
    if (pages.snapshot().items.filter(({ isRead }) => !isRead).length <= count) return
    const { notifications } = await wallet.history(domain, { limit })
    const read = new Set(notifications.flatMap(({ id, isRead }) => (isRead ? [id] : [])))
    mark(({ id }) => count === 0 || read.has(id))
  }
  return {
    ...pages,
    follow() {
      const listening = [
        wallet.on('message', (received) => {
          if (received.domain === domain) pages.add(received.notification)
        }),
        wallet.on('unread', (changed) => {
          // Nobody waits: it asks the server, whose answers come behind what is being handled.
          if (changed.domain === domain) void readElsewhere(changed.count).catch(() => {})
        }),
      ]
      return () => {
        for (const one of listening) one[Symbol.dispose]()
      }
    },
    async markRead(ids: readonly string[] | 'all'): Promise<void> {
      await wallet.markRead(domain, ids)
      mark(({ id }) => ids === 'all' || ids.includes(id))
    },
    async answer(notificationId: string, actionId: string): Promise<void> {
      await wallet.answer(domain, notificationId, actionId)
      mark(({ id }) => id === notificationId, { answered: actionId })
    },
  }
}

export interface History extends Omit<Pages<Notification>, 'items'> {
  /** Newest first; what comes while it is shown stands in front. */
  notifications: readonly Notification[]
  /** Reads older ones. */
  more(): Promise<void>
  /** Marks them as read, on all devices of the account. Rejects as `wallet.markRead`. */
  markRead(ids: readonly string[] | 'all'): Promise<void>
  /** Answers an action that asks. Rejects as `wallet.answer`. */
  answer(notificationId: string, actionId: string): Promise<void>
}

const nothing = async () => {}
const PAGE_SIZE = 20

/**
 * The notifications of an app. Empty while the account is not subscribed to it.
 *
 * @param domain the app's domain.
 * @param options `limit` of a page, 1 to 50 (default 20).
 */
export const useHistory = (domain: string, { limit = PAGE_SIZE }: { limit?: number } = {}): History => {
  const { wallet } = useWallet()
  const topic = useSubscriptions().find((one) => one.domain === domain)?.topic
  const history = useMemo(
    () => (wallet && topic !== undefined ? createHistory(wallet, domain, limit) : undefined),
    [wallet, topic, domain, limit],
  )
  const { items, ...pages } = usePages(history)
  const { more = nothing, markRead = nothing, answer = nothing } = history ?? {}
  return { ...pages, notifications: items, more, markRead, answer }
}

const createApps = (wallet: Wallet, limit: number) =>
  createPages<ListedApp>(
    ({ domain }) => domain,
    async (known) => {
      const { apps, hasMore } = await wallet.apps({ page: Math.floor(known.length / limit) + 1, limit })
      return { items: apps, hasMore }
    },
  )

export interface Apps extends Omit<Pages<ListedApp>, 'items'> {
  apps: readonly ListedApp[]
  more(): Promise<void>
}

/**
 * The apps that the server lists, by their domains.
 *
 * @param options `limit` of a page, 1 to 100 (default 20).
 */
export const useApps = ({ limit = PAGE_SIZE }: { limit?: number } = {}): Apps => {
  const { wallet } = useWallet()
  const pages = useMemo(() => wallet && createApps(wallet, limit), [wallet, limit])
  const { items, ...rest } = usePages(pages)
  return { ...rest, apps: items, more: pages?.more ?? nothing }
}
