/**
 * What the notify server stores about one account, for its operator: to be exported, or to be erased.
 *
 * Guarantees: an export holds no key that opens anything. Erasing is idempotent, and ends subscriptions as a wallet's own
 * request does, so that other devices receive a 4012 and topics are left. Afterwards nothing names the account. What
 * dapps published stays until its retention ends, because it is one text for all accounts that got it.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Preferences } from '../../protocol/notify/preferences.ts'
import { pagesOf } from '../pages.ts'
import type { Digests } from '../publish/digests.ts'
import type { Schedule } from '../publish/schedule.ts'
import type { DeliveredNotification, NotifyStore, OutboxEntry, OutboxTask } from '../store/store.ts'
import type { NotifyService } from './service.ts'

const PROJECT_PAGE_SIZE = 500
const HISTORY_PAGE_SIZE = 500
const NOTIFICATION_PAGE_SIZE = 500
const SWEEP_BATCH_SIZE = 500
/** How long 4012s and events may take to leave before the account is forgotten, and how often that is checked. */
const ERASE_TIMEOUT_MS = 5_000
const ERASE_POLL_MS = 100

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
    preferences?: Preferences
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
  /** What dapps have scheduled for it; other accounts are left out. */
  scheduled: {
    domain: string
    id: string
    accounts: string[]
    deliverAt: number
    message: object
  }[]
  /** Digests that are planned for it, unix ms. */
  digests: { domain: string; at: number }[]
  /** What it answered to actions of notifications. */
  answers: { domain: string; notificationId: string; action: string; at: number }[]
  /** Entries that wait to be sent. */
  outbox: { id: string; createdAt: number; expiresAt: number; task: object }[]
}

export interface ErasedAccount {
  subscriptions: number
  watchers: number
  /** Scheduled notifications that it was removed from. */
  scheduled: number
  /** Entries of the outbox that were dropped unsent. */
  unsent: number
}

/** Whether the entry belongs to the account, or names it anywhere, on whatever chain and however it is written. */
const concerns = ({ task }: OutboxEntry, accountKey: string): boolean => {
  if (task.kind === 'notifications') return task.targets.some((one) => one.accountKey === accountKey)
  if ('accountKey' in task && task.accountKey === accountKey) return true
  const address = accountKey.slice(accountKey.indexOf(':') + 1)
  return JSON.stringify(task).toLowerCase().includes(address)
}

interface Deps {
  store: NotifyStore
  service: Pick<NotifyService, 'clear' | 'forget'>
  schedule: Pick<Schedule, 'ofAccount' | 'forgetAccount'>
  digests: Pick<Digests, 'ofAccount' | 'forgetAccount'>
  clock: Clock
}

/** The entries that belong to the account or name it. */
const outboxOf = async (
  store: Pick<NotifyStore, 'outboxEntries'>,
  accountKey: string,
): Promise<OutboxEntry[]> => {
  const found: OutboxEntry[] = []
  for await (const entry of store.outboxEntries()) if (concerns(entry, accountKey)) found.push(entry)
  return found
}

/** What an account is shown of a task: no key, and nobody else who gets the same notification. */
const shownTask = (task: OutboxTask, accountKey: string): object => {
  if (task.kind === 'notifications') {
    return { ...task, targets: task.targets.filter((one) => one.accountKey === accountKey) }
  }
  const { key: _, ...shown } = 'key' in task ? task : { ...task, key: undefined }
  return shown
}

async function* projectIds(store: Pick<NotifyStore, 'projects'>) {
  for await (const page of pagesOf(
    PROJECT_PAGE_SIZE,
    (page) => store.projects(page),
    (project) => project.id,
  )) {
    for (const { id } of page) yield id
  }
}

const createExport = ({ store, schedule, digests, clock }: Omit<Deps, 'service'>): AccountData['export'] => {
  const scheduledFor = async (accountKey: string): Promise<ExportedAccount['scheduled']> => {
    const all: ExportedAccount['scheduled'] = []
    for await (const projectId of projectIds(store)) {
      for (const one of await schedule.ofAccount(projectId, accountKey)) {
        const { domain, id, accounts, deliverAt, message } = one
        all.push({ domain, id, accounts, deliverAt, message })
      }
    }
    return all
  }

  const historyOf = async (subscriptionId: string): Promise<DeliveredNotification[]> => {
    const all: DeliveredNotification[] = []
    for (let after: string | null = null; ; ) {
      const page = { after, limit: HISTORY_PAGE_SIZE, unreadFirst: false, now: clock.now() }
      const { notifications, hasMore } = await store.history(subscriptionId, page)
      all.push(...notifications)
      after = notifications.at(-1)?.id ?? null
      if (!hasMore || after === null) return all
    }
  }

  const answersOf = async (accountKey: string): Promise<ExportedAccount['answers']> => {
    const all: ExportedAccount['answers'] = []
    for await (const { domain, notificationId, answer } of store.accountAnswers(accountKey, clock.now())) {
      all.push({ domain, notificationId, action: answer.action, at: answer.at })
    }
    return all
  }

  return async (accountKey) => {
    const { record } = await store.account(accountKey)
    const subscriptions: ExportedAccount['subscriptions'] = []
    for (const { id, key: _, scope: types, ...subscription } of record.subscriptions) {
      const notifications = await historyOf(id)
      subscriptions.push({ ...subscription, types, notifications })
    }
    return {
      subscriptions,
      watchers: record.watchers.map(({ key: _, ...watcher }) => watcher),
      scheduled: await scheduledFor(accountKey),
      digests: await digests.ofAccount(accountKey),
      answers: await answersOf(accountKey),
      outbox: (await outboxOf(store, accountKey)).map(({ id, createdAt, expiresAt, task }) => {
        return { id, createdAt, expiresAt, task: shownTask(task, accountKey) }
      }),
    }
  }
}

/** Reads all stored notifications, as `forgetReceipts` does. */
const forgetPushes = async (
  store: Pick<NotifyStore, 'projects' | 'notifications' | 'forgetPushes'>,
  accountKey: string,
): Promise<void> => {
  for await (const projectId of projectIds(store)) {
    let after: string | null = null
    do {
      const page = { limit: NOTIFICATION_PAGE_SIZE, ...(after !== null && { after }) }
      const { notifications, next }: Awaited<ReturnType<NotifyStore['notifications']>> =
        await store.notifications(projectId, page)
      await store.forgetPushes(notifications, accountKey)
      after = next
    } while (after !== null)
  }
}

const createErase =
  ({ store, service, schedule, digests, clock }: Deps): AccountData['erase'] =>
  async (accountKey) => {
    const { record } = await store.account(accountKey)
    // First, so that nothing becomes due any more. A fan-out that is under way finds no subscription below.
    let scheduled = 0
    for await (const projectId of projectIds(store))
      scheduled += await schedule.forgetAccount(projectId, accountKey)
    await service.clear(accountKey)
    // A 4012 is written from the record when it is sent, so the watchers stay until then. The event that tells dapps is
    // the last entry that names the account, until its webhook has answered. What others get, too, is being sent.
    const end = clock.now() + ERASE_TIMEOUT_MS
    const hasLeft = async () =>
      !(await outboxOf(store, accountKey)).some(
        ({ task }) => task.kind === 'changed' || task.kind === 'event' || task.kind === 'notifications',
      )
    while (!(await hasLeft()) && clock.now() < end) await pause(clock, ERASE_POLL_MS)
    await service.forget(accountKey)
    // Where the relay does not answer, one for several still names it until its lease ends. It has no receipt any more.
    const unsent = (await outboxOf(store, accountKey)).filter(({ task }) => task.kind !== 'notifications')
    if (unsent.length > 0)
      await store.completeOutbox(
        unsent.map(({ id }) => ({ id })),
        clock.now(),
      )
    // Removes copies and the look-ups of topics and watchers, until a sweep finds nothing.
    let isLast = false
    while (!isLast) {
      isLast = (await store.sweep(clock.now(), SWEEP_BATCH_SIZE)) === 0
    }
    // Last, because what was under way has written its receipts by now.
    await store.forgetReceipts(accountKey)
    await forgetPushes(store, accountKey)
    await store.forgetAnswers(accountKey)
    await digests.forgetAccount(accountKey)
    return {
      subscriptions: record.subscriptions.length,
      watchers: record.watchers.length,
      scheduled,
      unsent: unsent.length,
    }
  }

export const createAccountData = (deps: Deps): AccountData => ({
  export: createExport(deps),
  erase: createErase(deps),
})
