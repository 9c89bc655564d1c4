/** The job queue with the texts of dapps sealed: scheduled notifications, and broadcasts until they expire. */
import * as z from 'zod'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Place } from '../../platform/runtime/content-seal.ts'
import { BROADCASTS_ENDED_QUEUE, BROADCASTS_QUEUE } from '../publish/broadcasts.ts'
import { SCHEDULED_QUEUE } from '../publish/schedule.ts'
import { Message } from '../publish/store-notification.ts'
import type { TextSeal, Texts } from './texts.ts'

const SEALED_QUEUES: readonly string[] = [SCHEDULED_QUEUE, BROADCASTS_QUEUE, BROADCASTS_ENDED_QUEUE]

/** What the bodies of these queues have in common. */
const Body = z.looseObject({ domain: z.string(), id: z.string(), message: Message })

export const createSealedJobQueue = (jobQueue: JobQueue, texts: TextSeal): JobQueue => {
  const withTexts = (
    change: (place: Place, texts: Texts) => Texts,
    queue: string,
    body: z.output<typeof Body>,
  ): unknown => {
    const place: Place = ['job', queue, body.domain, body.id, 'message']
    // Sealed extras are within the sealed text, and opened ones come out of it.
    const { extras: _, ...plain } = body.message
    return { ...body, message: { ...plain, ...change(place, body.message) } }
  }
  const sealed = (queue: string, body: unknown): unknown =>
    SEALED_QUEUES.includes(queue) ? withTexts(texts.seal, queue, Body.parse(body)) : body
  /** A body that cannot be parsed holds no text to open; its worker fails the job for good. */
  const opened = (job: Job): Job => {
    const parsed = SEALED_QUEUES.includes(job.queue) ? Body.safeParse(job.body) : undefined
    return parsed?.success ? { ...job, body: withTexts(texts.open, job.queue, parsed.data) } : job
  }
  return {
    ...jobQueue,
    add: (jobs) => jobQueue.add(jobs.map((job) => ({ ...job, body: sealed(job.queue, job.body) }))),
    take: async (lease) => (await jobQueue.take(lease)).map(opened),
    complete: (queue, outcomes) =>
      jobQueue.complete(
        queue,
        outcomes.map((outcome) =>
          outcome.kind === 'again' && outcome.body !== undefined
            ? { ...outcome, body: sealed(queue, outcome.body) }
            : outcome,
        ),
      ),
    async job(queue, id) {
      const job = await jobQueue.job(queue, id)
      return job && opened(job)
    },
    list: async (queue, page) => (await jobQueue.list(queue, page)).map(opened),
  }
}
