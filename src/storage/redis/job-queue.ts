/**
 * Jobs in Redis. All keys of a queue share a hash tag; a lease is a later place among the due.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{j:<queue>}jobs` | hash | id → the job as JSON |
 * | `{j:<queue>}due` | sorted set | id by when the job is due, or free again |
 * | `{j:<queue>}expiry` | sorted set | id by when the job expires |
 * | `{j:<queue>}w:<group>`, `{j:<queue>}d:<group>` | sorted set | ids in their order: waiting ones, dead ones |
 * | `queues` † | sorted set | names of the queues, for the sweep |
 *
 * Every key without a † goes by itself, a day after the last thing in it has expired.
 */
import { invariant } from '../../platform/invariant.ts'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Channels } from './channels.ts'
import type { RedisConnection } from './connection.ts'
import { jobsAdd } from './lua/jobs/add.ts'
import { jobsChange } from './lua/jobs/change.ts'
import { jobsTake } from './lua/jobs/take.ts'
import { parsed } from './notify/deps.ts'
import { name } from './notify/rows/layout.ts'
import { list, text, whole } from './script.ts'

const TTL_MARGIN_MS = 86_400_000
/** Jobs in one script call. */
const MAX_CALL_JOBS = 500
const MAX_QUEUES = 1_000

interface Change {
  id: string
  what: 'done' | 'again' | 'failed' | 'revive'
  at: number
  /** The job as it will be. */
  next: (job: Job) => Job
}

const keyIn = (prefix: string, queue: string, rest: string) => `${prefix}{j:${name(queue)}}${rest}`
export const queuesOf = (prefix: string): string => `${prefix}queues`
export const jobsOf = (prefix: string, queue: string): string => keyIn(prefix, queue, 'jobs')

/** Places of keys among those that all scripts of a queue get. */
const [JOBS, EXPIRY] = [0, 2]

interface JobQueueState {
  redis: RedisConnection
  channels: Channels
  /** Queues that this process has listed for the sweep. */
  entered: Set<string>
  queuesKey: string
}

const keysOf = (queues: JobQueueState, queue: string) => {
  const at = (rest: string) => keyIn(queues.redis.prefix, queue, rest)
  return {
    base: [at('jobs'), at('due'), at('expiry')],
    waiting: (group: string) => at(`w:${name(group)}`),
    dead: (group: string) => at(`d:${name(group)}`),
  }
}

const keyOf = (queues: JobQueueState, queue: string, which: number) => keysOf(queues, queue).base[which] ?? ''

const channelOf = (queue: string) => `agenda:${queue}`

const groupsOf = <T>(items: readonly T[], nameOf: (item: T) => string): { group: string; items: T[] }[] => {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const known = groups.get(nameOf(item))
    if (known) known.push(item)
    else groups.set(nameOf(item), [item])
  }
  return [...groups].flatMap(([group, all]) => {
    const chunks: { group: string; items: T[] }[] = []
    for (let at = 0; at < all.length; at += MAX_CALL_JOBS)
      chunks.push({ group, items: all.slice(at, at + MAX_CALL_JOBS) })
    return chunks
  })
}

const read = async (
  queues: JobQueueState,
  queue: string,
  ids: readonly string[],
): Promise<(Job | undefined)[]> => {
  if (ids.length === 0) return []
  return (await queues.redis.one(() => queues.redis.client.hmget(keyOf(queues, queue, JOBS), ...ids))).map(
    (json) => parsed<Job>(json),
  )
}

/** Returns the ids of those that were there. */
const change = async (
  queues: JobQueueState,
  queue: string,
  changes: readonly Change[],
): Promise<Set<string>> => {
  const there = new Set<string>()
  const jobs = await read(
    queues,
    queue,
    changes.map(({ id }) => id),
  )
  const found = changes.flatMap((one, at) => {
    const job = jobs[at]
    return job ? [{ ...one, job }] : []
  })
  const keys = keysOf(queues, queue)
  await Promise.all(
    groupsOf(found, ({ job }) => job.group).map(async ({ group, items }) => {
      const args = items.flatMap(({ id, what, at, next, job }) => [id, what, at, JSON.stringify(next(job))])
      const was = list(
        await queues.redis.one(() =>
          queues.redis.script(jobsChange, [...keys.base, keys.waiting(group), keys.dead(group)], args),
        ),
      )
      invariant(was.length === items.length, 'the script answers for each job that it changes')
      for (const [at, { id }] of items.entries()) if (whole(was[at]) === 1) there.add(id)
    }),
  )
  return there
}

const same = (job: Job) => job

const workVerbs = (queues: JobQueueState): Pick<JobQueue, 'add' | 'take' | 'complete'> => ({
  async add(jobs) {
    const isNew = new Map<Job, boolean>()
    const dead = jobs.filter(({ failure }) => failure !== undefined)
    const alive = jobs.filter(({ failure }) => failure === undefined)
    const byQueue = [alive, dead].flatMap((some) => groupsOf(some, (job) => job.queue))
    for (const { group: queue, items } of byQueue) {
      if (!queues.entered.has(queue))
        await queues.redis.one(() => queues.redis.client.zadd(queues.queuesKey, 0, queue))
      queues.entered.add(queue)
      const keys = keysOf(queues, queue)
      for (const { group, items: some } of groupsOf(items, (job) => job.group)) {
        const ttl = Math.max(...some.map(({ expiresAt }) => expiresAt)) - Date.now() + TTL_MARGIN_MS
        const isDead = some.some(({ failure }) => failure !== undefined)
        const groupKey = isDead ? keys.dead(group) : keys.waiting(group)
        const args = some.flatMap((job) => [
          ...[name(job.id), isDead ? '' : job.at],
          ...[job.expiresAt, JSON.stringify(job)],
        ])
        const answers = list(
          await queues.redis.one(() =>
            queues.redis.script(jobsAdd, [...keys.base, groupKey], [Math.max(ttl, TTL_MARGIN_MS), ...args]),
          ),
        )
        invariant(answers.length === some.length, 'the script answers for each job that it adds')
        for (const [at, job] of some.entries()) isNew.set(job, whole(answers[at]) === 1)
      }
      queues.channels.publish([{ channel: channelOf(queue), text: '' }])
    }
    return jobs.map((job) => isNew.get(job) ?? false)
  },

  async take({ queue, limit, now, until }) {
    const answers = list(
      await queues.redis.one(() =>
        queues.redis.script(jobsTake, keysOf(queues, queue).base, [now, until, limit]),
      ),
    )
    return answers.flatMap((json) => parsed<Job>(text(json)) ?? [])
  },

  async complete(queue, outcomes) {
    await change(
      queues,
      queue,
      outcomes.map((outcome): Change => {
        const { id, kind } = outcome
        if (kind === 'done') return { id, what: kind, at: 0, next: same }
        if (kind === 'failed') {
          const { attempts, failure } = outcome
          return { id, what: kind, at: 0, next: (job) => ({ ...job, attempts, failure }) }
        }
        const { at, attempts } = outcome
        return {
          id,
          what: kind,
          at,
          next: (job) => ({ ...job, at, attempts, body: outcome.body ?? job.body }),
        }
      }),
    )
  },
})

const operatorVerbs = (
  queues: JobQueueState,
): Pick<JobQueue, 'remove' | 'revive' | 'job' | 'list' | 'count'> => ({
  async remove(queue, ids) {
    const there = await change(
      queues,
      queue,
      ids.map((id) => ({ id, what: 'done', at: 0, next: same })),
    )
    return ids.map((id) => there.has(id))
  },

  async revive(queue, id, at) {
    const next = ({ failure: _, ...job }: Job): Job => ({ ...job, at, attempts: 0 })
    const was = await change(queues, queue, [{ id, what: 'revive', at, next }])
    queues.channels.publish([{ channel: channelOf(queue), text: '' }])
    return was.has(id)
  },

  async job(queue, id) {
    return (await read(queues, queue, [name(id)]))[0]
  },

  async list(queue, { group, dead, after, limit }) {
    const keys = keysOf(queues, queue)
    const at = dead ? keys.dead(group) : keys.waiting(group)
    const start = after === undefined ? '-' : `(${name(after)}`
    const ids = await queues.redis.one(() =>
      queues.redis.client.zrangebylex(at, start, '+', 'LIMIT', 0, limit),
    )
    return (await read(queues, queue, ids)).flatMap((job) => job ?? [])
  },

  async count(queue, group) {
    const keys = keysOf(queues, queue)
    const [waiting = 0, dead = 0] = await queues.redis.batch(() => [
      queues.redis.client.zcard(keys.waiting(group)),
      queues.redis.client.zcard(keys.dead(group)),
    ])
    return { waiting, dead }
  },
})

const sweepVerbs = (queues: JobQueueState): Pick<JobQueue, 'sweep'> => ({
  async sweep(now, limit) {
    let swept = 0
    for (const queue of await queues.redis.one(() =>
      queues.redis.client.zrange(queues.queuesKey, 0, MAX_QUEUES),
    )) {
      if (swept >= limit) break
      const ids = await queues.redis.one(() =>
        queues.redis.client.zrangebyscore(
          keyOf(queues, queue, EXPIRY),
          '-inf',
          now,
          'LIMIT',
          0,
          limit - swept,
        ),
      )
      await change(
        queues,
        queue,
        ids.map((id) => ({ id, what: 'done', at: 0, next: same })),
      )
      swept += ids.length
    }
    return swept
  },
})

export const createRedisJobQueue = (deps: { redis: RedisConnection; channels: Channels }): JobQueue => {
  const queues: JobQueueState = { ...deps, entered: new Set(), queuesKey: queuesOf(deps.redis.prefix) }

  return {
    ...workVerbs(queues),
    ...operatorVerbs(queues),
    ...sweepVerbs(queues),
    onJobs(queue, listener) {
      return queues.channels.listen([channelOf(queue)], () => listener())
    },
  }
}
