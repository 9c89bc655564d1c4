/** How many notifications an account has not read, as far as the device knows, and who is told when that changes. */
import type { WalletEvents } from './api.ts'
import type { Subscription } from './state.ts'

type Counted = Pick<Subscription, 'domain' | 'unread'>

export const createUnread = (
  subscriptions: () => readonly Counted[],
  tell: (changed: WalletEvents['unread']) => void,
) => {
  const counts = () => new Map(subscriptions().map(({ domain, unread }) => [domain, unread]))
  const totalOf = (all: ReadonlyMap<string, number>): number =>
    [...all.values()].reduce((sum, count) => sum + count, 0)
  let told = counts()

  return {
    /** Of one app, or of all. */
    count: (domain?: string): number =>
      domain === undefined ? totalOf(counts()) : (counts().get(domain) ?? 0),
    /** Tells of each app whose count has changed since this was called last. */
    changed(): void {
      const now = counts()
      const before = told
      told = now
      const total = totalOf(now)
      for (const domain of new Set([...before.keys(), ...now.keys()])) {
        const count = now.get(domain) ?? 0
        if (count !== (before.get(domain) ?? 0)) tell({ domain, count, total })
      }
    },
  }
}
