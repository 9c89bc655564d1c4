/** Jobs that hold what a dapp says, sealed: what is scheduled, and broadcasts until they are forgotten. */
import { z } from 'zod'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Place } from '../../platform/runtime/content-seal.ts'
import { BROADCASTS_ENDED_QUEUE, BROADCASTS_QUEUE } from '../publish/broadcasts.ts'
import { Message } from '../publish/fan-out.ts'
import { SCHEDULED_QUEUE } from '../publish/schedule.ts'
import type { TextSeal } from './texts.ts'

const SEALED_QUEUES: readonly string[] = [SCHEDULED_QUEUE, BROADCASTS_QUEUE, BROADCASTS_ENDED_QUEUE]

/** What the bodies of these queues have in common. */
const Body = z.looseObject({ domain: z.string(), id: z.string(), message: Message })

export const createSealedJobQueue = (jobQueue: JobQueue, texts: TextSeal): JobQueue => {
  const changed = (change: TextSeal['seal'], queue: string, given: unknown): unknown => {
    if (!SEALED_QUEUES.includes(queue)) return given
    const body = Body.parse(given)
    const place: Place = ['job', queue, body.domain, body.id, 'message']
    return { ...body, message: { ...body.message, ...change(place, body.message) } }
  }
  const opened = (job: Job): Job => ({ ...job, body: changed(texts.open, job.queue, job.body) })
  return {
    ...jobQueue,
    add: (jobs) =>
      jobQueue.add(jobs.map((job) => ({ ...job, body: changed(texts.seal, job.queue, job.body) }))),
    take: async (lease) => (await jobQueue.take(lease)).map(opened),
    complete: (queue, outcomes) =>
      jobQueue.complete(
        queue,
        outcomes.map((outcome) =>
          outcome.kind === 'again' && outcome.body !== undefined
            ? { ...outcome, body: changed(texts.seal, queue, outcome.body) }
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
