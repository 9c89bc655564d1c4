/** Job bodies are parsed before they are worked on: a process of another version may have written them. */
import type * as z from 'zod'
import type { Job, JobOutcome } from './job-queue.ts'

/**
 * Makes the `work` of a worker from one that takes the parsed body. A body that the schema refuses fails for good: it
 * would be no better the next time.
 */
export const withBody =
  <S extends z.ZodType>(
    schema: S,
    work: (body: z.output<S>, job: Job, signal: AbortSignal) => Promise<JobOutcome>,
  ): ((job: Job, signal: AbortSignal) => Promise<JobOutcome>) =>
  (job, signal) => {
    const parsed = schema.safeParse(job.body)
    if (parsed.success) return work(parsed.data, job, signal)
    const failure = `its body is not valid: ${parsed.error.issues[0]?.path.join('.') ?? ''}`
    return Promise.resolve({ id: job.id, kind: 'failed', attempts: job.attempts + 1, failure })
  }
