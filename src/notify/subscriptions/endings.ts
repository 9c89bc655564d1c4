/** Endings of subscriptions that no wallet asked for: they expired, or the operator erases the account. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { uuidFrom } from '../ids.ts'
import type { NotifyStore } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import type { CommitAccount } from './account-commit.ts'
import { accountChangedEntry, endedEntriesFor, leaveEntry } from './outbox-entries.ts'
import * as rules from './rules.ts'

export interface SubscriptionEndings {
  /** Removes what has expired on this account; the server leaves the topics on the relay. */
  expire(accountKey: string): Promise<void>
  /** Ends all subscriptions of the account, or that to one app, as its wallet could; every watcher receives a 4012. */
  clear(accountKey: string, domain?: string): Promise<void>
  /** Removes what is left of the account: its watchers. */
  forget(accountKey: string): Promise<void>
}

export const createSubscriptionEndings = ({
  store,
  webhooks,
  commitAccount,
  clock,
  randomBytes,
}: {
  store: Pick<NotifyStore, 'account'>
  webhooks: Pick<Webhooks, 'wants'>
  commitAccount: CommitAccount
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): SubscriptionEndings => ({
  async expire(key) {
    const { expired: expiring } = rules.expire((await store.account(key)).record, clock.now())
    const eventsOf = await endedEntriesFor(webhooks, expiring, 'expired')
    await commitAccount(key, undefined, (before) => {
      const now = clock.now()
      const { record, expired, changed } = rules.expire(before, now)
      if (!changed) return undefined
      return {
        record,
        outbox: [...expired.map(({ topic }) => leaveEntry(topic, now)), ...eventsOf(expired, now)],
      }
    })
  },

  async clear(key, domain) {
    const isMeant = (one: { domain: string }) => domain === undefined || one.domain === domain
    const cause = uuidFrom(randomBytes(16), 4)
    const eventsOf = await endedEntriesFor(
      webhooks,
      (await store.account(key)).record.subscriptions.filter(isMeant),
      'erased',
    )
    await commitAccount(key, undefined, (before) => {
      const subscriptions = before.subscriptions.filter(isMeant)
      if (subscriptions.length === 0) return undefined
      const now = clock.now()
      const watchers = subscriptions.flatMap(({ domain }) =>
        rules.watchersToTell(before, { domain, except: undefined, now }),
      )
      const identityKeys = new Set(watchers.map(({ identityKey }) => identityKey))
      return {
        record: { ...before, subscriptions: before.subscriptions.filter((one) => !isMeant(one)) },
        outbox: [
          ...[...identityKeys].map((identityKey) => accountChangedEntry(cause, key, identityKey, now)),
          ...subscriptions.map(({ topic }) => leaveEntry(topic, now)),
          ...eventsOf(subscriptions, now),
        ],
      }
    })
  },

  async forget(key) {
    await commitAccount(key, undefined, ({ subscriptions, watchers }) =>
      subscriptions.length + watchers.length === 0
        ? undefined
        : {
            record: { subscriptions: [], watchers: [] },
            outbox: subscriptions.map(({ topic }) => leaveEntry(topic, clock.now())),
          },
    )
  },
})
