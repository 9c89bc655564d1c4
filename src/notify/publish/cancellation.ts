/**
 * Cancelled notifications. A note is written first and lasts as long as the notification. A process that is fanning it out
 * at that moment finds the note afterwards, and withdraws the copies that it has just enqueued.
 */
import { invariant } from '../../platform/invariant.ts'
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { NotifyStore } from '../store/store.ts'

/** Notes are jobs without a worker. */
const CANCELLED_QUEUE = 'notify cancelled'
/** Copies that one call of the store withdraws. */
const WITHDRAW_BATCH_SIZE = 500

/** 64 characters that name the notification, however long its id is. A domain belongs to one project. */
export const notificationKey = ({ domain, id }: Pick<NotificationName, 'domain' | 'id'>): string =>
  topicOf(utf8(`${domain}\n${id}`))

export interface Cancellations {
  has(name: NotificationName): Promise<boolean>
  note(name: NotificationName, expiresAt: number): Promise<void>
  /** Withdraws the copies whose outbox entry waits unleased; returns how many. */
  withdrawQueued(name: NotificationName): Promise<number>
}

export const createCancellations = ({
  store,
  jobQueue,
  clock,
}: {
  store: Pick<NotifyStore, 'cancelQueued'>
  jobQueue: Pick<JobQueue, 'add' | 'job'>
  clock: Clock
}): Cancellations => ({
  has: async (name) => (await jobQueue.job(CANCELLED_QUEUE, notificationKey(name))) !== undefined,

  async note(name, expiresAt) {
    const note = {
      queue: CANCELLED_QUEUE,
      id: notificationKey(name),
      group: name.projectId,
      at: expiresAt,
      expiresAt,
    }
    await jobQueue.add([{ ...note, attempts: 0, body: null }])
  },

  async withdrawQueued(name) {
    for (let sum = 0; ; ) {
      const { cancelled, more } = await store.cancelQueued(name, WITHDRAW_BATCH_SIZE, clock.now())
      invariant(cancelled >= 0, 'A count of withdrawn copies is never below zero')
      sum += cancelled
      if (!more) return sum
    }
  },
})
