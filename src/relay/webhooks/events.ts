/** What becomes an event of a watch, and when: the table is in `registrations.ts`. */
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { Acknowledged, Seen } from '../delivery/ack-batcher.ts'
import type { NewMessage, Publication, RelayStore, StoredMessage, Watch } from '../store.ts'
import { createEventJobs, type EventJobs, queueFor } from './jobs.ts'
import type { WatchCache } from './watch-cache.ts'

/** Jobs of one client that wait. */
const MAX_CLIENT_JOBS = 1_000
/** Subscribers of one message that are looked at to find out whether all wait. */
const MAX_WAITERS = 16
/** Digits of the order in which jobs were made. */
const ORDER_DIGITS = 16

interface EventsDeps {
  store: Pick<RelayStore, 'message' | 'pick'>
  jobQueue: Pick<JobQueue, 'add' | 'count'>
  cache: WatchCache
  clock: Clock
  log: Log
  meter: Meter
  trusted: (clientId: string) => boolean
}

type AcknowledgedMessage = Seen & { topic: string; id: string }

export interface Events {
  /** Resolves, and never rejects, when the events are durable; undefined when no client is watched. */
  published(messages: readonly NewMessage[], publications: readonly Publication[]): Promise<void> | undefined
  /** The same; to be called before the acknowledgements are written. */
  delivered(all: readonly Acknowledged[]): Promise<void> | undefined
  /** Whether the client may have more jobs that wait. */
  hasRoom(clientId: string): Promise<boolean>
}

const concerns = (watch: Watch, type: Watch['type'], tag: number, now: number): boolean =>
  watch.type === type && watch.expiresAt > now && watch.tags.includes(tag)

export const createEvents = (deps: EventsDeps): Events => {
  const { cache, clock, log, trusted } = deps
  /** Jobs that are due in one millisecond stand in the order of their ids, so that events go out in their order. */
  let order = 0
  const nextOrder = () => String(order++).padStart(ORDER_DIGITS, '0')
  const newJobs = (now: number) => createEventJobs(now, nextOrder, (clientId) => queueFor(trusted(clientId)))

  const hasRoom = (clientId: string) => hasRoomFor(deps, clientId)
  const unwritten = (err: unknown) => log.error({ err }, 'Events of watched messages could not be written')

  const writePublished = async (
    messages: readonly NewMessage[],
    publications: readonly Publication[],
  ): Promise<void> => {
    if (!(await cache.hasAny())) return
    const stored = storedOf(messages, publications)
    const watches = await cache.among(stored.flatMap(({ message, others }) => [message.publisher, ...others]))
    if (watches.size === 0) return
    const now = clock.now()
    const jobs = newJobs(now)
    for (const one of stored) if (one.message.expiresAt > now) addPublished(jobs, watches, one, now)
    await write(deps, jobs, hasRoom)
  }

  const writeDelivered = async (all: readonly Acknowledged[]): Promise<void> => {
    if (!(await cache.hasAny())) return
    const now = clock.now()
    const known = (await Promise.all(all.map((one) => messageOf(deps.store, one, now)))).flat()
    const watches = await cache.among(known.flatMap(({ clientId, message }) => [clientId, message.publisher]))
    const jobs = newJobs(now)
    for (const { clientId, message } of known) addDelivered(jobs, watches, clientId, message, now)
    await write(deps, jobs, hasRoom)
  }

  return {
    hasRoom,
    published: (messages, publications) =>
      cache.isEmpty() ? undefined : writePublished(messages, publications).catch(unwritten),
    delivered(all) {
      if (cache.isEmpty()) return undefined
      const now = clock.now()
      const isUnwatched = ({ clientId, seen }: Acknowledged) =>
        seen && cache.isWithout(clientId, now) && cache.isWithout(seen.publisher, now)
      const watched = all.filter((one) => !isUnwatched(one))
      return watched.length > 0 ? writeDelivered(watched).catch(unwritten) : undefined
    },
  }
}

const hasRoomFor = async (
  { jobQueue, trusted }: Pick<EventsDeps, 'jobQueue' | 'trusted'>,
  clientId: string,
): Promise<boolean> =>
  trusted(clientId) || (await jobQueue.count(queueFor(false), clientId)).waiting < MAX_CLIENT_JOBS

/** Adds the jobs to the queue, without those of clients that have no room. */
const write = async (
  { jobQueue, meter }: Pick<EventsDeps, 'jobQueue' | 'meter'>,
  events: EventJobs,
  hasRoom: (clientId: string) => Promise<boolean>,
): Promise<void> => {
  if (events.count() === 0) return
  const jobs = events.all()
  const clientIds = [...new Set(jobs.map(({ group }) => group))]
  const rooms = new Map(
    await Promise.all(clientIds.map(async (clientId) => [clientId, await hasRoom(clientId)] as const)),
  )
  const admitted = jobs.filter(({ group }) => rooms.get(group))
  if (admitted.length > 0) await jobQueue.add(admitted)
  meter.count('relay_watch_events_total', undefined, events.count())
  if (admitted.length < jobs.length)
    meter.count('relay_watch_events_dropped_total', undefined, jobs.length - admitted.length)
}

interface StoredForOthers {
  message: NewMessage & { seq: number }
  /** Subscribers other than the publisher. */
  others: string[]
}

const storedOf = (messages: readonly NewMessage[], publications: readonly Publication[]): StoredForOthers[] =>
  messages.flatMap((message, at) => {
    const publication = publications[at]
    if (publication?.outcome !== 'stored') return []
    const others = publication.subscribers
      .map(({ clientId }) => clientId)
      .filter((clientId) => clientId !== message.publisher)
    return [{ message: { ...message, seq: publication.seq }, others }]
  })

const addPublished = (
  jobs: EventJobs,
  watches: ReadonlyMap<string, Watch[]>,
  { message, others }: StoredForOthers,
  now: number,
): void => {
  const add = (clientId: string, type: Watch['type'], waiters: string[]) => {
    const waiting = { ...message, waiters }
    for (const watch of watches.get(clientId) ?? []) {
      if (!concerns(watch, type, message.tag, now)) continue
      if (watch.statuses.includes('accepted')) jobs.add(watch, 'accepted', message)
      if (watch.statuses.includes('queued')) jobs.add(watch, 'queued', waiting)
    }
  }
  add(message.publisher, 'publisher', others.slice(0, MAX_WAITERS))
  for (const clientId of others) add(clientId, 'subscriber', [clientId])
}

const addDelivered = (
  jobs: EventJobs,
  watches: ReadonlyMap<string, Watch[]>,
  clientId: string,
  message: AcknowledgedMessage,
  now: number,
): void => {
  const add = (watched: string, type: Watch['type']) => {
    for (const watch of watches.get(watched) ?? []) {
      if (concerns(watch, type, message.tag, now) && watch.statuses.includes('delivered'))
        jobs.add(watch, 'delivered', message)
    }
  }
  add(clientId, 'subscriber')
  add(message.publisher, 'publisher')
}

/** The acknowledged message; none where it is the client's own, has expired, or was acknowledged before. */
const messageOf = async (
  store: EventsDeps['store'],
  { clientId, topic, id, seen }: Acknowledged,
  now: number,
): Promise<{ clientId: string; message: AcknowledgedMessage }[]> => {
  const message = seen ?? (await waitingFor(store, clientId, topic, id, now))
  if (!message || message.expiresAt <= now || message.publisher === clientId) return []
  return [{ clientId, message: { ...message, topic, id } }]
}

/** A message that the client may acknowledge, and has not yet. */
const waitingFor = async (
  store: EventsDeps['store'],
  clientId: string,
  topic: string,
  id: string,
  now: number,
): Promise<StoredMessage | undefined> => {
  const message = await store.message(topic, id, now)
  return message && (await store.pick(clientId, topic, [message.seq], now))[0]
}
