/**
 * What the notify server keeps about one account, for its operator: to be handed out, or to be erased.
 *
 * Guarantees: what is handed out holds no key that opens anything. Erasing is idempotent, and ends subscriptions as a
 * wallet's own request does, so that other devices hear of it and topics are left. Afterwards nothing names the account;
 * what dapps published stays until its retention ends, for it is one text for all who got it.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Schedule } from '../publish/schedule.ts'
import type { DeliveredNotification, NotifyStore, OutboxEntry } from '../store/store.ts'
import type { NotifyService } from './service.ts'

const PAGE = 500
/** How long devices have to be told that all is gone, before they are forgotten, ms; and how often that is looked at. */
const PATIENCE = 5_000
const LOOK = 100

export interface AccountData {
  export(accountKey: string): Promise<ExportedAccount>
  erase(accountKey: string): Promise<ErasedAccount>
}

export interface ExportedAccount {
  subscriptions: {
    domain: string
    account: string
    types: string[]
    topic: string
    createdAt: number
    expiresAt: number
    /** Newest first. */
    notifications: DeliveredNotification[]
  }[]
  watchers: {
    identityKey: string
    account: string
    domain: string | null
    topic: string
    expiresAt: number
  }[]
  /** What dapps have scheduled for it; who else gets it is not said. */
  scheduled: {
    domain: string
    id: string
    accounts: string[]
    deliverAt: number
    message: object
  }[]
  /** What waits to be sent. */
  outbox: { id: string; createdAt: number; expiresAt: number; task: object }[]
}

export interface ErasedAccount {
  subscriptions: number
  watchers: number
  /** Notifications for later that it was taken away from. */
  scheduled: number
  /** Entries of the outbox that were dropped unsent. */
  unsent: number
}

/** Whether the entry belongs to the account, or names it anywhere, on whatever chain and however it is written. */
const concerns = ({ task }: OutboxEntry, accountKey: string): boolean => {
  if ('accountKey' in task && task.accountKey === accountKey) return true
  const address = accountKey.slice(accountKey.indexOf(':') + 1)
  return JSON.stringify(task).toLowerCase().includes(address)
}

export const createAccountData = (deps: {
  store: NotifyStore
  service: Pick<NotifyService, 'clear' | 'forget'>
  schedule: Pick<Schedule, 'ofAccount' | 'forgetAccount'>
  clock: Clock
}): AccountData => {
  const { store, service, schedule, clock } = deps

  const outboxOf = async (accountKey: string): Promise<OutboxEntry[]> => {
    const found: OutboxEntry[] = []
    for await (const entry of store.outboxOf(accountKey)) if (concerns(entry, accountKey)) found.push(entry)
    return found
  }

  async function* projectIds() {
    for (let after: string | undefined; ; ) {
      const page = await store.projects({ ...(after !== undefined && { after }), limit: PAGE })
      for (const { id } of page) yield id
      after = page.at(-1)?.id
      if (page.length < PAGE) return
    }
  }

  const scheduledFor = async (accountKey: string): Promise<ExportedAccount['scheduled']> => {
    const all: ExportedAccount['scheduled'] = []
    for await (const projectId of projectIds()) {
      for (const { domain, id, accounts, deliverAt, message } of await schedule.ofAccount(
        projectId,
        accountKey,
      ))
        all.push({ domain, id, accounts, deliverAt, message })
    }
    return all
  }

  const historyOf = async (subscriptionId: string): Promise<DeliveredNotification[]> => {
    const all: DeliveredNotification[] = []
    for (let after: string | null = null; ; ) {
      const page = { after, limit: PAGE, unreadFirst: false, now: clock.now() }
      const { notifications, hasMore } = await store.history(subscriptionId, page)
      all.push(...notifications)
      after = notifications.at(-1)?.id ?? null
      if (!hasMore || after === null) return all
    }
  }

  return {
    async export(accountKey) {
      const { record } = await store.account(accountKey)
      const subscriptions: ExportedAccount['subscriptions'] = []
      for (const { id, domain, account, scope, topic, createdAt, expiresAt } of record.subscriptions) {
        const notifications = await historyOf(id)
        subscriptions.push({ domain, account, types: scope, topic, createdAt, expiresAt, notifications })
      }
      return {
        subscriptions,
        watchers: record.watchers.map(({ key: _, ...watcher }) => watcher),
        scheduled: await scheduledFor(accountKey),
        outbox: (await outboxOf(accountKey)).map(({ id, createdAt, expiresAt, task }) => {
          const { key: _, ...shown } = 'key' in task ? task : { ...task, key: undefined }
          return { id, createdAt, expiresAt, task: shown }
        }),
      }
    },

    async erase(accountKey) {
      const { record } = await store.account(accountKey)
      // First, so that nothing becomes due any more; what is being handed over has no subscription to go to below.
      let scheduled = 0
      for await (const projectId of projectIds())
        scheduled += await schedule.forgetAccount(projectId, accountKey)
      await service.clear(accountKey)
      // A letter to a watcher is written when it is sent, from the record; so the watchers stay until then. Dapps hear
      // by webhook that their subscriber is gone: that call alone still names the account, until it was answered.
      const end = clock.now() + PATIENCE
      const isTold = async () =>
        !(await outboxOf(accountKey)).some(({ task }) => task.kind === 'changed' || task.kind === 'event')
      while (!(await isTold()) && clock.now() < end) await pause(clock, LOOK)
      await service.forget(accountKey)
      const unsent = await outboxOf(accountKey)
      if (unsent.length > 0)
        await store.completeOutbox(
          unsent.map(({ id }) => ({ id })),
          clock.now(),
        )
      // Copies, and what looks up topics and watchers; until a pass finds nothing.
      let isLast = false
      while (!isLast) {
        isLast = (await store.sweep(clock.now(), PAGE)) === 0
      }
      // Last: what was under way has written its receipts by now.
      await store.forgetReceipts(accountKey)
      return {
        subscriptions: record.subscriptions.length,
        watchers: record.watchers.length,
        scheduled,
        unsent: unsent.length,
      }
    },
  }
}
