/**
 * Tasks that one process does for all that share a store: sweeping, renewing. Each has a lease, and its holder is the leader
 * until it stops or dies. Another process takes over within `LEASE_MS + LEASE_RENEWAL_MS` at most, after a stop in good order
 * within `LEASE_RENEWAL_MS`.
 *
 * It saves work and is no lock: after a leap of the clock, or after a halt of the process, two may lead for a short time.
 * Every task tolerates that.
 */
import { invariant } from '../platform/invariant.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import type { Leases } from '../storage/leases.ts'

/** How long a lease lasts unless it is renewed. */
const LEASE_MS = 45_000
/** How often the leader renews its lease, and how often others ask for it. */
const LEASE_RENEWAL_MS = 15_000

/** Does the work while this process leads; the work ends soon after the signal. Disposing ends it. */
export type LeaderTask = (work: (signal: AbortSignal) => Promise<void>) => AsyncDisposable

interface TaskLease {
  /** Resolves to when the lease ends, ms; undefined while another process has it. */
  take(): Promise<number | undefined>
  /** Renews the lease that lasts until `first`. Aborts `over` when another process has it, or when it ends unrenewed. */
  keep(first: number, over: AbortController): Promise<void>
  /** Nobody waits for it: another process need not wait for the lease's end. */
  release(): void
}

const createTaskLease = (
  { leases, clock, log }: { leases: Leases; clock: Clock; log: Log },
  { name, holder }: { name: string; holder: string },
): TaskLease => {
  const take = async (): Promise<number | undefined> => {
    const now = clock.now()
    const until = now + LEASE_MS
    return (await leases.take(name, { holder, now, until })) ? until : undefined
  }
  return {
    take,
    async keep(first, over) {
      let until = first
      const watch = () => clock.after(until - clock.now(), () => over.abort())
      let end = watch()
      while (!over.signal.aborted) {
        await pause(clock, LEASE_RENEWAL_MS, over.signal)
        if (over.signal.aborted) break
        try {
          const renewed = await take()
          if (renewed === undefined) over.abort()
          else until = renewed
          end[Symbol.dispose]()
          end = watch()
        } catch (err) {
          log.debug({ err, duty: name }, 'A lease could not be prolonged; trying again')
        }
      }
      end[Symbol.dispose]()
    },
    release: () => void leases.release(name, holder).catch(() => {}),
  }
}

/** One task of this process. */
interface Task {
  name: string
  work: (signal: AbortSignal) => Promise<void>
  ending: AbortSignal
  isLeader: boolean
}

/** Leads until the work or the leadership ends. Returns whether it ended from outside. */
const lead = async (task: Task, lease: TaskLease, log: Log): Promise<boolean> => {
  const until = await lease.take()
  task.isLeader = until !== undefined
  if (until === undefined) return false
  log.debug({ duty: task.name }, 'On duty')
  const over = new AbortController()
  const stop = () => over.abort()
  task.ending.addEventListener('abort', stop, { once: true })
  if (task.ending.aborted) stop()
  const keeping = lease.keep(until, over)
  try {
    await task.work(over.signal)
    return over.signal.aborted
  } finally {
    task.ending.removeEventListener('abort', stop)
    over.abort()
    await keeping
  }
}

const runTask = async (task: Task, lease: TaskLease, { clock, log }: { clock: Clock; log: Log }) => {
  while (!task.ending.aborted) {
    try {
      // After a long sleep the lease is over, but may be had again at once.
      if (await lead(task, lease, log)) continue
    } catch (err) {
      log.warn({ err, duty: task.name }, 'A duty could not be done; trying again')
    }
    await pause(clock, LEASE_RENEWAL_MS, task.ending)
  }
  if (task.isLeader) lease.release()
}

/** `holder` is unique among the processes. Each task of a process has a name of its own. */
export const createLeaderElection = (
  deps: { leases: Leases; clock: Clock; log: Log },
  holder: string,
): ((name: string) => LeaderTask) => {
  const names = new Set<string>()
  return (name) => (work) => {
    // Two tasks of one holder would share a lease, and both lead.
    invariant(!names.has(name), 'A process runs one task for each lease')
    names.add(name)
    const ending = new AbortController()
    const task: Task = { name, work, ending: ending.signal, isLeader: false }
    const running = runTask(task, createTaskLease(deps, { name, holder }), deps)
    return {
      async [Symbol.asyncDispose]() {
        ending.abort()
        await running
        names.delete(name)
      },
    }
  }
}
