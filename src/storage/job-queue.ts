/**
 * Jobs over the port. The partition is the queue.
 *
 * | table | key | value |
 * |---|---|---|
 * | jobs.waiting, a queue | job id | the job; due at its `at`, or when its lease ends |
 * | jobs.dead | job id | a dead letter |
 * | jobs.groups, by group | 1 dead or 0 not, job id | – |
 * | jobs.ends | expiresAt, job id | – |
 * | jobs.queues, in one partition | queue | – |
 *
 * A queue is entered before its first job, so a sweep finds every job.
 */
import * as z from 'zod'
import type { Job, JobOutcome, JobQueue } from '../platform/jobs/job-queue.ts'
import { behind, endOf, key, name, number } from './bytes.ts'
import { json, NOTHING } from './codec.ts'
import { type DamagedRow, ifWhole } from './damaged-row.ts'
import type { Batch, Check, Kv, Write } from './kv.ts'
import { defineTable, read } from './table.ts'

const jobSchema: z.ZodType<Job> = z.object({
  queue: z.string(),
  id: z.string(),
  group: z.string(),
  at: z.number(),
  expiresAt: z.number(),
  attempts: z.number(),
  failure: z.string().exactOptional(),
  body: z.unknown(),
})

export const JOB_TABLES = {
  waiting: defineTable({ name: 'jobs.waiting', shape: 'queue', codec: json(jobSchema) }),
  dead: defineTable({ name: 'jobs.dead', shape: 'map', codec: json(jobSchema) }),
  groups: defineTable({ name: 'jobs.groups', shape: 'index', codec: NOTHING }),
  ends: defineTable({ name: 'jobs.ends', shape: 'index', codec: NOTHING }),
  queues: defineTable({ name: 'jobs.queues', shape: 'index', codec: NOTHING }),
}
const QUEUES = JOB_TABLES.queues.in('jobs')
const MAX_QUEUES = 1_000
/** Rounds of a take that meets expired jobs. */
const MAX_TAKE_ROUNDS = 8

const setsOf = (queue: string) => ({
  waiting: JOB_TABLES.waiting.in(queue),
  dead: JOB_TABLES.dead.in(queue),
  ends: JOB_TABLES.ends.in(queue),
  groupOf: (group: string) => JOB_TABLES.groups.in(queue, group),
})

const DEAD = Buffer.from([1])
const ALIVE = Buffer.from([0])
const groupKey = ({ id, failure }: Pick<Job, 'id' | 'failure'>): Buffer =>
  key(failure === undefined ? ALIVE : DEAD, name(id))

/** Everything but the row of the job itself. */
const indexWrites = (kind: 'put' | 'remove', job: Job): Write[] => {
  const { ends, groupOf } = setsOf(job.queue)
  const entries = [
    { set: ends, key: key(number(job.expiresAt), name(job.id)) },
    { set: groupOf(job.group), key: groupKey(job) },
  ]
  return entries.map((one) =>
    kind === 'put' ? one.set.put({ key: one.key, value: true }) : one.set.remove(one.key),
  )
}

const writesOf = (job: Job): Write[] => {
  const { waiting, dead } = setsOf(job.queue)
  const id = name(job.id)
  const row =
    job.failure === undefined
      ? waiting.enqueue({ key: id, value: job, at: job.at })
      : dead.put({ key: id, value: job })
  return [row, ...indexWrites('put', job)]
}

const removalOf = (job: Job): Write[] => {
  const { waiting, dead } = setsOf(job.queue)
  const row = job.failure === undefined ? waiting : dead
  return [row.remove(name(job.id)), ...indexWrites('remove', job)]
}

interface FoundJob {
  job: Job | undefined
  isUnchanged: Check
}

/** Jobs by their ids, dead or not. */
const find = async (kv: Kv, queue: string, ids: readonly string[]): Promise<FoundJob[]> => {
  const { waiting, dead } = setsOf(queue)
  const found = await read(
    kv,
    ids.flatMap((id) => [waiting.get(name(id)), dead.get(name(id))]),
  )
  return ids.map((_, at) => {
    const [alive, letter] = [found[2 * at], found[2 * at + 1]]
    const one = letter?.value ? letter : alive
    if (!one) throw new Error('A job was not answered')
    return { job: one.value, isUnchanged: one.isUnchanged }
  })
}

/**
 * Changes jobs as `change` says; undefined leaves one as it is. One that somebody else changed meanwhile is looked at again.
 * Returns for each whether it was changed.
 */
const changeJobs = async (
  kv: Kv,
  queue: string,
  ids: readonly string[],
  change: (job: Job, at: number) => Write[] | undefined,
): Promise<boolean[]> => {
  const changed = ids.map(() => false)
  for (let open = ids.map((_, at) => at); open.length > 0; ) {
    const found = await find(
      kv,
      queue,
      open.map((at) => ids[at] ?? ''),
    )
    const batches = new Map<number, Batch>()
    for (const [nth, { job, isUnchanged }] of found.entries()) {
      const at = open[nth] ?? 0
      const writes = job && change(job, at)
      if (writes) batches.set(at, { partition: queue, checks: [isUnchanged], writes, isRelief: true })
    }
    const outcomes = await kv.commit([...batches.values()], 0)
    const tried = [...batches.keys()]
    for (const [nth, at] of tried.entries()) changed[at] = outcomes[nth]?.isDone ?? false
    open = tried.filter((at) => !changed[at])
  }
  return changed
}

const afterOutcome = (job: Job, outcome: JobOutcome): Write[] => {
  if (outcome.kind === 'done') return removalOf(job)
  if (outcome.kind === 'failed') {
    const failed = { ...job, attempts: outcome.attempts, failure: outcome.failure }
    return [...removalOf(job), ...writesOf(failed)]
  }
  const { at, attempts, body = job.body } = outcome
  return [setsOf(job.queue).waiting.delay(name(job.id), at, { ...job, at, attempts, body })]
}

interface JobState {
  kv: Kv
  /** Queues that this process has entered. */
  entered: Set<string>
}

const channelOf = (queue: string) => `jobs ${queue}`

const enterQueue = async ({ kv, entered }: JobState, queue: string): Promise<void> => {
  if (entered.has(queue)) return
  const writes = [QUEUES.put({ key: name(queue), value: true })]
  await kv.commit([{ partition: QUEUES.name.partition, writes }], 0)
  entered.add(queue)
}

const workVerbs = (state: JobState): Pick<JobQueue, 'add' | 'take' | 'complete'> => ({
  async add(jobs) {
    const queues = [...new Set(jobs.map(({ queue }) => queue))]
    for (const queue of queues) await enterQueue(state, queue)
    const outcomes = await state.kv.commit(
      jobs.map((job): Batch => {
        const { waiting, dead } = setsOf(job.queue)
        const checks = [waiting.isAbsent(name(job.id)), dead.isAbsent(name(job.id))]
        return { partition: job.queue, checks, writes: writesOf(job) }
      }),
      0,
    )
    for (const queue of queues) state.kv.publish(channelOf(queue), [''])
    return outcomes.map(({ isDone }) => isDone)
  },

  async take({ queue, limit, now, until }) {
    const { table } = JOB_TABLES.waiting
    const jobs: Job[] = []
    const damaged: DamagedRow[] = []
    for (let round = 0; round < MAX_TAKE_ROUNDS && jobs.length < limit; round++) {
      const lease = { limit: limit - jobs.length, now, until }
      const taken = await state.kv.take({ table, partitions: [queue] }, lease)
      for (const { partition, id, value } of taken) {
        const set = { table, partition, subject: '' }
        const open = () => JOB_TABLES.waiting.valueOf({ set, key: id, value })
        const job = ifWhole(open, (error) => void damaged.push(error))
        if (job && job.expiresAt > now) jobs.push(job)
      }
      if (taken.length < lease.limit) break
    }
    // The others are not held up by it. It is leased, too, and said when it comes back alone.
    if (jobs.length === 0 && damaged[0]) throw damaged[0]
    return jobs
  },

  async complete(queue, outcomes) {
    const ids = outcomes.map(({ id }) => id)
    await changeJobs(state.kv, queue, ids, (job, at) => {
      const outcome = outcomes[at]
      // Only what waits was taken.
      return outcome && job.failure === undefined ? afterOutcome(job, outcome) : undefined
    })
  },
})

const operatorVerbs = (state: JobState): Pick<JobQueue, 'remove' | 'revive' | 'job' | 'list' | 'count'> => ({
  remove: (queue, ids) => changeJobs(state.kv, queue, ids, removalOf),

  async revive(queue, id, at) {
    const [was = false] = await changeJobs(state.kv, queue, [id], (job) => {
      if (job.failure === undefined) return undefined
      const { failure: _, ...rest } = job
      return [...removalOf(job), ...writesOf({ ...rest, at, attempts: 0 })]
    })
    state.kv.publish(channelOf(queue), [''])
    return was
  },

  async job(queue, id) {
    const [found] = await find(state.kv, queue, [id])
    return found?.job
  },

  async list(queue, { group, dead, after, limit }) {
    const from = dead ? DEAD : ALIVE
    const start = after === undefined ? from : behind(key(from, name(after)))
    const [entries] = await read(state.kv, [
      setsOf(queue)
        .groupOf(group)
        .keys({ from: start, to: endOf(from), limit }),
    ])
    const found = await find(
      state.kv,
      queue,
      entries.map((at) => at.toString('utf8', 1)),
    )
    return found.flatMap(({ job }) => job ?? [])
  },

  async count(queue, group) {
    const set = setsOf(queue).groupOf(group)
    const of = (from: Buffer) => set.count({ from, to: endOf(from) })
    const [waiting, dead] = await read(state.kv, [of(ALIVE), of(DEAD)])
    return { waiting, dead }
  },
})

const sweepVerbs = ({ kv }: JobState): Pick<JobQueue, 'sweep'> => ({
  async sweep(now, limit) {
    const [queues] = await read(kv, [QUEUES.keys({ limit: MAX_QUEUES })])
    let swept = 0
    for (const at of queues) {
      if (swept >= limit) break
      const queue = at.toString()
      const [over] = await read(kv, [
        setsOf(queue).ends.keys({ to: endOf(number(now)), limit: limit - swept }),
      ])
      const ids = over.map((end) => end.toString('utf8', 8))
      await changeJobs(kv, queue, ids, removalOf)
      swept += over.length
    }
    return swept
  },
})

export const createJobQueue = (kv: Kv): JobQueue => {
  const state: JobState = { kv, entered: new Set() }
  return {
    ...workVerbs(state),
    ...operatorVerbs(state),
    ...sweepVerbs(state),
    onJobs: (queue, listener) => kv.listen([channelOf(queue)], () => listener()),
  }
}
