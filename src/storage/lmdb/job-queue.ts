/**
 * Jobs in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | agenda.jobs | queue, job id | the job |
 * | agenda.due | queue, when it is due or free again, job id | – |
 * | agenda.groups | queue, group, 1 dead or 0 not, job id | – |
 * | agenda.expiry | expiresAt, queue, job id | – |
 *
 * A lease is a later place in `due`. Only this process works on the jobs, so the place of a taken one is remembered
 * here, not written: after a restart everything that was being done is due at once.
 */
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import { behind, endOf, key, name, named, number } from '../bytes.ts'
import { BYTES, type Bytes, PRESENT, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'

const openJobTables = (env: Env) => {
  const jobs: Rows<Job> = env.openDB({ name: 'agenda.jobs', ...ROWS })
  const due: Bytes = env.openDB({ name: 'agenda.due', ...BYTES })
  const groups: Bytes = env.openDB({ name: 'agenda.groups', ...BYTES })
  const expiry: Bytes = env.openDB({ name: 'agenda.expiry', ...BYTES })
  const listeners = new Map<string, Set<() => void>>()
  /** Until when a job is leased, by its key. */
  const leases = new Map<string, number>()
  return { env, jobs, due, groups, expiry, listeners, leases }
}
type JobTables = ReturnType<typeof openJobTables>

const jobAt = (queue: string, id: string) => named(queue, name(id))

const dueAt = ({ queue, at, id }: Job) => named(queue, number(at), name(id))

const groupOf = (queue: string, group: string, dead: boolean) =>
  named(queue, named(group, Buffer.from([dead ? 1 : 0])))

const groupAt = ({ queue, group, failure, id }: Job) =>
  key(groupOf(queue, group, failure !== undefined), name(id))

const expiryAt = ({ expiresAt, queue, id }: Job) => key(number(expiresAt), named(queue, name(id)))

/** Within a transaction. */
const write = (queues: JobTables, job: Job) => {
  queues.jobs.put(jobAt(job.queue, job.id), job)
  if (job.failure === undefined) queues.due.put(dueAt(job), PRESENT)
  queues.groups.put(groupAt(job), PRESENT)
  queues.expiry.put(expiryAt(job), PRESENT)
}

const erase = (queues: JobTables, job: Job) => {
  const at = jobAt(job.queue, job.id)
  queues.jobs.remove(at)
  queues.due.remove(dueAt(job))
  queues.groups.remove(groupAt(job))
  queues.expiry.remove(expiryAt(job))
}

/** Only after the commit: until then a take still sees the job where it was, and must not find it free. */
const release = (queues: JobTables, ats: readonly Buffer[]) => {
  for (const at of ats) queues.leases.delete(at.toString('latin1'))
}

const ring = (queues: JobTables, queue: string) => {
  for (const listener of [...(queues.listeners.get(queue) ?? [])]) listener()
}

const workVerbs = (queues: JobTables): Pick<JobQueue, 'add' | 'take' | 'complete'> => ({
  async add(added) {
    // A name that cannot be one is told before anything is written.
    for (const job of added) groupAt(job)
    const isNew = await queues.env.transaction(() =>
      added.map((job) => {
        if (queues.jobs.get(jobAt(job.queue, job.id)) !== undefined) return false
        write(queues, job)
        return true
      }),
    )
    for (const queue of new Set(added.map((job) => job.queue))) ring(queues, queue)
    return isNew
  },

  async take({ queue, limit, now, until }) {
    const taken: Job[] = []
    const range = { start: named(queue), end: named(queue, number(now), Buffer.from([0xff])) }
    for (const at of queues.due.getKeys(range)) {
      if (taken.length >= limit) break
      const id = at.subarray(named(queue).length + 8)
      const where = named(queue, id)
      const lease = queues.leases.get(where.toString('latin1'))
      if (lease !== undefined && lease > now) continue
      const job = queues.jobs.get(where)
      if (!job || job.expiresAt <= now) continue
      queues.leases.set(where.toString('latin1'), until)
      taken.push(job)
    }
    return taken
  },

  async complete(queue, outcomes) {
    await queues.env.transaction(() => {
      for (const outcome of outcomes) {
        const job = queues.jobs.get(jobAt(queue, outcome.id))
        if (!job) continue
        erase(queues, job)
        if (outcome.kind === 'again') {
          const { at, attempts, body = job.body } = outcome
          write(queues, { ...job, at, attempts, body })
        } else if (outcome.kind === 'failed') {
          write(queues, { ...job, attempts: outcome.attempts, failure: outcome.failure })
        }
      }
    })
    release(
      queues,
      outcomes.map(({ id }) => jobAt(queue, id)),
    )
  },
})

const operatorVerbs = (
  queues: JobTables,
): Pick<JobQueue, 'remove' | 'revive' | 'job' | 'list' | 'count'> => ({
  async remove(queue, ids) {
    const wanted = ids.map((id) => jobAt(queue, id))
    const were = await queues.env.transaction(() =>
      wanted.map((at) => {
        const job = queues.jobs.get(at)
        if (job) erase(queues, job)
        return job !== undefined
      }),
    )
    release(queues, wanted)
    return were
  },

  async revive(queue, id, at) {
    const where = jobAt(queue, id)
    const was = await queues.env.transaction(() => {
      const job = queues.jobs.get(where)
      if (job?.failure === undefined) return false
      erase(queues, job)
      const { failure: _, ...rest } = job
      write(queues, { ...rest, at, attempts: 0 })
      return true
    })
    ring(queues, queue)
    return was
  },

  async job(queue, id) {
    return queues.jobs.get(jobAt(queue, id))
  },

  async list(queue, { group, dead, after, limit }) {
    const prefix = groupOf(queue, group, dead)
    const start = after === undefined ? prefix : behind(key(prefix, name(after)))
    const found: Job[] = []
    for (const at of queues.groups.getKeys({ start, end: endOf(prefix), limit })) {
      const job = queues.jobs.get(named(queue, at.subarray(prefix.length)))
      if (job) found.push(job)
    }
    return found
  },

  async count(queue, group) {
    const of = (dead: boolean) => {
      const prefix = groupOf(queue, group, dead)
      return queues.groups.getKeysCount({ start: prefix, end: endOf(prefix) })
    }
    return { waiting: of(false), dead: of(true) }
  },
})

const sweepVerbs = (queues: JobTables): Pick<JobQueue, 'sweep'> => ({
  async sweep(now, limit) {
    const swept = await queues.env.transaction(() => {
      const expired = [...queues.expiry.getKeys({ end: number(now + 1), limit })].map((at) => Buffer.from(at))
      for (const at of expired) {
        const job = queues.jobs.get(at.subarray(8))
        if (job) erase(queues, job)
        else queues.expiry.remove(at)
      }
      return expired
    })
    release(
      queues,
      swept.map((at) => at.subarray(8)),
    )
    return swept.length
  },
})

const listenerVerbs = (queues: JobTables): Pick<JobQueue, 'onJobs'> => ({
  onJobs(queue, listener) {
    const own = () => listener()
    const known = queues.listeners.get(queue) ?? new Set()
    queues.listeners.set(queue, known.add(own))
    return {
      [Symbol.dispose]: () => {
        known.delete(own)
        if (known.size === 0) queues.listeners.delete(queue)
      },
    }
  },
})

export const createLmdbJobQueue = (env: Env): JobQueue => {
  const queues = openJobTables(env)

  return {
    ...workVerbs(queues),
    ...operatorVerbs(queues),
    ...sweepVerbs(queues),
    ...listenerVerbs(queues),
  }
}
