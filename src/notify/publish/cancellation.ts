/**
 * What was cancelled: a note that comes first and stays as long as the notification, so that whoever is handing it over
 * at that moment, in whatever process, finds it afterwards and takes back what it has just handed.
 */
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { NotificationName } from '../store/receipts.ts'
import type { NotifyStore } from '../store/store.ts'

/** Notes are jobs that nobody works on. */
const QUEUE = 'notify cancelled'
/** Copies taken back in one step. */
const STEP = 500

/** 64 characters that name the notification, whatever the dapp wrote; a domain belongs to one project. */
export const keyOf = ({ domain, id }: Pick<NotificationName, 'domain' | 'id'>): string =>
  topicOf(utf8(`${domain}\n${id}`))

export interface Cancellations {
  has(name: NotificationName): Promise<boolean>
  note(name: NotificationName, expiresAt: number): Promise<void>
  /** Withdraws what still waits in the outbox and nobody holds; answers how many. */
  takeBack(name: NotificationName): Promise<number>
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
  has: async (name) => (await jobQueue.job(QUEUE, keyOf(name))) !== undefined,

  async note(name, expiresAt) {
    const note = { queue: QUEUE, id: keyOf(name), group: name.projectId, at: expiresAt, expiresAt }
    await jobQueue.add([{ ...note, attempts: 0, body: null }])
  },

  async takeBack(name) {
    for (let sum = 0; ; ) {
      const { cancelled, more } = await store.cancelQueued(name, STEP, clock.now())
      sum += cancelled
      if (!more) return sum
    }
  },
})
