import type {
  AccountCommit,
  AccountRecord,
  AppRecord,
  Notification,
  NotifyStore,
  OutboxEntry,
  Project,
  Subscription,
  Watcher,
} from '../../src/notify/store/store.ts'

/** A moment to count from; the store never asks for the time itself. */
export const T = Date.UTC(2026, 0, 1)
export const DAY = 86_400_000

export const project = (id: string): Project => ({
  id,
  name: `Project ${id}`,
  secretHash: 'ab'.repeat(32),
  createdAt: T,
})

export const app = (domain: string, change: Partial<AppRecord> = {}): AppRecord => ({
  domain,
  projectId: 'project',
  name: domain,
  description: 'An app',
  url: `https://${domain}`,
  icons: { sm: '', md: 'https://pictures.example/md.png', lg: '' },
  types: [{ id: 'news', name: 'News', description: 'What is new' }],
  listed: false,
  authenticationSeed: 'sealed seed',
  authenticationKey: 'aa'.repeat(32),
  subscribePrivateKey: 'sealed key',
  subscribeKey: 'bb'.repeat(32),
  subscribeTopic: `subscribe topic of ${domain}`,
  createdAt: T,
  ...change,
})

export const subscription = (id: string, change: Partial<Subscription> = {}): Subscription => ({
  id,
  domain: 'app.example',
  scope: ['news'],
  key: 'sealed P',
  topic: `topic of ${id}`,
  createdAt: T,
  expiresAt: T + 30 * DAY,
  account: 'eip155:1:0xAbCd',
  ...change,
})

export const watcher = (identityKey: string, change: Partial<Watcher> = {}): Watcher => ({
  identityKey,
  domain: null,
  account: 'eip155:1:0xAbCd',
  key: 'sealed S',
  topic: `topic of ${identityKey}`,
  expiresAt: T + DAY,
  ...change,
})

export const record = (subscriptions: Subscription[] = [], watchers: Watcher[] = []): AccountRecord => ({
  subscriptions,
  watchers,
})

export const entry = (id: string, change: Partial<OutboxEntry> = {}): OutboxEntry => ({
  id,
  task: { kind: 'leave', topic: `topic of ${id}` },
  createdAt: T,
  expiresAt: T + DAY,
  ...change,
})

export const notification = (id: string, change: Partial<Notification> = {}): Notification => ({
  id,
  projectId: 'project',
  domain: 'app.example',
  type: 'news',
  title: `Title of ${id}`,
  body: 'Body',
  icon: null,
  url: 'https://app.example/news',
  createdAt: T,
  deliverBy: change.expiresAt ?? T + 30 * DAY,
  expiresAt: T + 30 * DAY,
  ...change,
})

/** Commits the record as the next state of the account, whatever it was before. */
export const become = async (
  store: NotifyStore,
  accountKey: string,
  next: AccountRecord,
  more: Partial<Pick<AccountCommit, 'requestId' | 'outbox'>> = {},
): Promise<void> => {
  const { version } = await store.account(accountKey)
  const outcome = await store.commit({
    accountKey,
    expectedVersion: version,
    record: next,
    outbox: [],
    ...more,
  })
  if (outcome !== 'committed') throw new Error(`not committed: ${outcome}`)
}

/** The one thing that `enqueue` is told about a subscriber. */
export const target = (accountKey: string, subscriptionId: string, deliveredId: string) => ({
  accountKey,
  account: `written ${accountKey}`,
  subscriptionId,
  deliveredId,
  outbox: entry(deliveredId, {
    task: {
      kind: 'notification' as const,
      accountKey,
      subscriptionId,
      projectId: 'project',
      domain: 'app.example',
      notificationId: `of ${deliveredId}`,
    },
  }),
})

/** Hands a notification to one subscriber as the copy `deliveredId`. */
export const handOne = async (
  store: NotifyStore,
  accountKey: string,
  subscriptionId: string,
  deliveredId: string,
  change: Partial<Notification> = {},
) => {
  const one = await store.putNotification(notification(`of ${deliveredId}`, change))
  return (await store.enqueue(one, [target(accountKey, subscriptionId, deliveredId)], { isLinked: true }))[0]
}

/** Subscriptions of an account, as `unreadCounts` takes them. */
export const held = (accountKey: string, ...subscriptionIds: string[]) =>
  subscriptionIds.map((subscriptionId) => ({ accountKey, subscriptionId }))

/** Every entry that is free, taken and completed. */
export const drain = async (store: NotifyStore, now = T): Promise<string[]> => {
  const ids: string[] = []
  for (;;) {
    const taken = await store.takeOutbox({ worker: 'drain', limit: 50, now, until: now + 1 })
    if (taken.length === 0) return ids
    ids.push(...taken.map(({ id }) => id))
    await store.completeOutbox(
      taken.map(({ id }) => ({ id })),
      now,
    )
  }
}
