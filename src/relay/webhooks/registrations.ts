/**
 * Watch webhooks: a service is told what happens to the messages of a client that let it (published relay API, "Relay
 * Webhooks"). Here are the registrations, and what becomes an event; `calls` brings the events to the services.
 *
 * | status    | type `publisher`: the client published it        | type `subscriber`: the client is subscribed to its topic |
 * |-----------|--------------------------------------------------|----------------------------------------------------------|
 * | accepted  | when it is stored                                | when it is stored                                        |
 * | queued    | a second later no subscriber has acknowledged it | a second later the client has not acknowledged it        |
 * | delivered | when a subscriber has acknowledged it, each time | when the client has acknowledged it                      |
 *
 * Acknowledged is what was answered on a connection, fetched, or named in irn_batchReceive. A duplicate and a message
 * for which there is no room are no events; nor is a client's own message for itself as a subscriber.
 *
 * Guarantees: an event is durable before the publisher is answered, or before the acknowledgement is written; from then
 * on it is told at least once, as long as its watch stands (`calls`). A process that is killed between storing
 * a message and writing its events loses these, not the message. A watch counts on this process from its answer on, on
 * others soon after. Watching changes nothing about delivery, and trouble with it neither.
 *
 * A service is asked before it is told anything (`calls`), unless it is the client that the operator trusts. What
 * happens meanwhile waits. The newest word of a client about a webhook counts, also after the end of a watch, for as long
 * as an older token could be good.
 *
 * What it costs is bounded: what happens to a batch of messages is one job for each status, however many watches are told
 * of it; a client has so many jobs waiting, and is told of no more events beyond that (`relay_watch_events_dropped_total`).
 * The price without any watch: one look into the store every ten seconds.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { createBatcher } from '../../platform/concurrency/batcher.ts'
import type { Job, JobQueue } from '../../platform/jobs/job-queue.ts'
import type { AddressRules } from '../../platform/net/public-address.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { verifyJwt } from '../../protocol/jwt.ts'
import {
  WATCH_ACTS,
  WATCH_LIMITS,
  WatchRegisterClaims,
  type WatchStatus,
  WatchUnregisterClaims,
} from '../../protocol/relay-watch.ts'
import { isKnownAudience } from '../auth.ts'
import type { NewMessage, Publication, RelayStore, StoredMessage, Watch, WatchName } from '../store.ts'

/** What is known of an acknowledged message; where it is nothing, the store is asked. */
export type Seen = Pick<StoredMessage, 'seq' | 'tag' | 'publisher' | 'expiresAt'>

/** Charges whoever asks what is kept for so long; throws when it has no room for it. */
export type Keep = (bytes: number, lifeMs: number) => Promise<void>

export interface Watches extends Disposable {
  /** Answers the relay's did:key. Throws `jwt_…`, `bad_params`, `rate_limited` (64 of the client stand), and as `keep`. */
  register(token: string, keep: Keep): Promise<{ relayId: string }>
  /** Charges only where there is no such watch, and the word is all that is kept. */
  unregister(token: string, keep: Keep): Promise<void>
  /** Resolves, and never rejects, when the events are durable; undefined when nobody watches. */
  published(messages: readonly NewMessage[], publications: readonly Publication[]): Promise<void> | undefined
  /** The same; to be called before the acknowledgement is written. */
  delivered(clientId: string, topic: string, id: string, seen?: Seen): Promise<void> | undefined
}

/** What is told in the name of the client that is trusted has a queue, and a worker, of its own. */
export const WATCH_QUEUE = 'relay-events'
export const TRUSTED_WATCH_QUEUE = 'relay-events-trusted'
export const queueFor = (isTrusted: boolean): string => (isTrusted ? TRUSTED_WATCH_QUEUE : WATCH_QUEUE)

/** Jobs of one client that wait. */
const MAX_CLIENT_JOBS = 1_000
/** A service that was asked, and has not answered for so long, is asked no more, ms. */
const ASKED_FOR = 3_600_000
/** A message that is not acknowledged for so long waits in a mailbox, ms. */
const QUEUED_AFTER = 1_000
/** Subscribers of one message that are looked at to find out whether all wait. */
const MOST_WAITERS = 16
/** How long what is known of watches is relied upon, ms, should the news of a change be lost. */
const LIFE = 10_000
const MOST_KNOWN = 50_000
/** Clocks may differ by so much, s. */
const LEEWAY = 120

/** Messages of one job: no more than one POST carries. */
const TOGETHER = 64

const NamedMessage = z.object({
  topic: z.string(),
  id: z.string(),
  seq: z.number(),
  /** For `queued`: it is one when none of these has acknowledged it. */
  waiters: z.array(z.string()).optional(),
})
/** A watch that is left to be told: the name, how often it was tried, and of which messages where not of all. */
const Left = z.object({ watch: z.string(), attempts: z.number(), only: z.array(z.number()).optional() })
export type Left = z.infer<typeof Left>

/**
 * What a job of the queue holds: what became of messages, for all watches of a client that it concerns, or for those
 * that are left. The messages themselves, services and URLs stay where they are.
 */
export const WatchEvents = z.object({
  clientId: z.string(),
  type: z.enum(['subscriber', 'publisher']),
  status: z.enum(['accepted', 'queued', 'delivered']),
  at: z.number(),
  messages: z.array(NamedMessage),
  left: z.array(Left).optional(),
})
export type WatchEvents = z.infer<typeof WatchEvents>

/** A service is to be asked whether it wants what its watch would tell it. */
export const WatchChallenge = z.object({ clientId: z.string(), challenge: z.string() })

const sizeOf = (watch: Watch): number => JSON.stringify(watch).length

/** Names a watch among those of its client, in few bytes. */
export const watchDigest = ({ service, url }: Pick<Watch, 'service' | 'url'>): string =>
  createHash('sha256').update(`${service}\0${url}`).digest('base64url').slice(0, 16)

interface Acknowledged {
  clientId: string
  topic: string
  id: string
  seen: Seen | undefined
}
type Told = Seen & WatchEvents['messages'][number]

/** Gathers what watches are told in one go, so that it is few jobs however many messages and watches it is about. */
const createJobs = (now: number, newPlace: () => string, queueOf: (clientId: string) => string) => {
  const groups = new Map<string, { about: Omit<WatchEvents, 'messages'>; told: Told[] }>()

  const jobOf = (about: Omit<WatchEvents, 'messages'>, told: readonly Told[]): Job => {
    const messages = told.map(({ topic, id, seq, waiters }) => ({
      topic,
      id,
      seq,
      ...(waiters && { waiters }),
    }))
    const body: WatchEvents = { ...about, messages }
    return {
      queue: queueOf(about.clientId),
      id: `${newPlace()}.${digestOf(JSON.stringify(body))}`,
      group: about.clientId,
      at: about.status === 'queued' ? now + QUEUED_AFTER : now,
      expiresAt: Math.min(
        Math.max(...told.map(({ expiresAt }) => expiresAt)),
        now + WATCH_LIMITS.retryFor * 1000,
      ),
      attempts: 0,
      body,
    }
  }

  let size = 0
  return {
    tell({ clientId, type }: Watch, status: WatchStatus, one: Told) {
      const key = [clientId, type, status].join('\0')
      const group = groups.get(key) ?? { about: { clientId, type, status, at: now }, told: [] }
      groups.set(key, group)
      // Another watch of the client is told of it by the same job.
      if (group.told.at(-1) === one) return
      size++
      group.told.push(one)
    },
    size: () => size,
    all(): Job[] {
      return [...groups.values()].flatMap(({ about, told }) =>
        Array.from({ length: Math.ceil(told.length / TOGETHER) }, (_, n) =>
          jobOf(about, told.slice(n * TOGETHER, (n + 1) * TOGETHER)),
        ),
      )
    },
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

export const createWatches = (
  deps: {
    store: RelayStore
    jobQueue: Pick<JobQueue, 'add' | 'count'>
    clock: Clock
    log: Log
    meter: Meter
  },
  options: {
    /** did:key with which events are signed. */
    relayId: string
    /** May have somebody told that is beside us, unasked. */
    trusted: (clientId: string) => boolean
    /** Whom others may have told. */
    rules: AddressRules
    /** Where clients were told the relay is; undefined: anywhere. */
    publicOrigins?: readonly string[] | undefined
  },
): Watches => {
  const { store, jobQueue, clock, log, meter } = deps
  const { relayId, trusted, rules, publicOrigins } = options
  /** Whether there is any watch, as far as is known. */
  let state = { hasAny: true, until: 0 }
  const known = new Map<string, { watches: Watch[]; until: number }>()
  /** Changes with every piece of news, so that what was read before it is not kept. */
  let news = 0

  const changed = (clientId: string) => {
    news++
    state = { hasAny: true, until: 0 }
    known.delete(clientId)
  }
  const listening = store.onWatch(changed)

  const hasAny = async (): Promise<boolean> => {
    const now = clock.now()
    if (now < state.until) return state.hasAny
    const before = news
    const found = await store.hasWatches(now)
    if (news === before) state = { hasAny: found, until: now + LIFE }
    return found
  }

  const lookUp = async (clientIds: Iterable<string>): Promise<Map<string, Watch[]>> => {
    const now = clock.now()
    const found = new Map<string, Watch[]>()
    const unknown: string[] = []
    for (const clientId of new Set(clientIds)) {
      const entry = known.get(clientId)
      if (!entry || entry.until <= now) unknown.push(clientId)
      else if (entry.watches.length > 0) found.set(clientId, entry.watches)
    }
    if (unknown.length === 0) return found
    const before = news
    const read = new Map<string, Watch[]>(unknown.map((clientId) => [clientId, []]))
    for (const watch of await store.watches(unknown, now)) read.get(watch.clientId)?.push(watch)
    for (const [clientId, watches] of read) {
      if (watches.length > 0) found.set(clientId, watches)
      if (news === before) known.set(clientId, { watches, until: now + LIFE })
    }
    // The ones that were read first are over first.
    for (const clientId of known.keys()) {
      if (known.size <= MOST_KNOWN) break
      known.delete(clientId)
    }
    return found
  }

  /** Jobs that are due in one millisecond stand in the order of their ids, so that what came first is told first. */
  let places = 0
  const newPlace = () => String(places++).padStart(16, '0')

  const queueOf = (clientId: string) => queueFor(trusted(clientId))
  const hasRoom = async (clientId: string): Promise<boolean> =>
    trusted(clientId) || (await jobQueue.count(queueOf(clientId), clientId)).waiting < MAX_CLIENT_JOBS

  const add = async (told: ReturnType<typeof createJobs>): Promise<void> => {
    if (told.size() === 0) return
    const jobs = told.all()
    const clientIds = [...new Set(jobs.map(({ group }) => group))]
    const rooms = new Map(
      await Promise.all(clientIds.map(async (clientId) => [clientId, await hasRoom(clientId)] as const)),
    )
    const kept = jobs.filter(({ group }) => rooms.get(group))
    if (kept.length > 0) await jobQueue.add(kept)
    meter.count('relay_watch_events_total', undefined, told.size())
    if (kept.length < jobs.length)
      meter.count('relay_watch_events_dropped_total', undefined, jobs.length - kept.length)
  }
  const unwritten = (err: unknown) => log.error({ err }, 'Events of watched messages could not be written')

  const tellPublished = async (
    messages: readonly NewMessage[],
    publications: readonly Publication[],
  ): Promise<void> => {
    if (!(await hasAny())) return
    const stored = messages.flatMap((message, at) => {
      const publication = publications[at]
      if (publication?.outcome !== 'stored') return []
      const others = publication.subscribers
        .map(({ clientId }) => clientId)
        .filter((clientId) => clientId !== message.publisher)
      return [{ message: { ...message, seq: publication.seq }, others }]
    })
    const found = await lookUp(stored.flatMap(({ message, others }) => [message.publisher, ...others]))
    if (found.size === 0) return
    const now = clock.now()
    const jobs = createJobs(now, newPlace, queueOf)
    for (const { message, others } of stored) {
      if (message.expiresAt <= now) continue
      const tell = (clientId: string, type: Watch['type'], waiters: string[]) => {
        const waiting = { ...message, waiters }
        for (const watch of found.get(clientId) ?? []) {
          if (!concerns(watch, type, message.tag, now)) continue
          if (watch.statuses.includes('accepted')) jobs.tell(watch, 'accepted', message)
          if (watch.statuses.includes('queued')) jobs.tell(watch, 'queued', waiting)
        }
      }
      tell(message.publisher, 'publisher', others.slice(0, MOST_WAITERS))
      for (const clientId of others) tell(clientId, 'subscriber', [clientId])
    }
    await add(jobs)
  }

  /** A message that the client may acknowledge, and has not yet. */
  const waitingFor = async (clientId: string, topic: string, id: string, now: number) => {
    const message = await store.message(topic, id, now)
    return message && (await store.pick(clientId, topic, [message.seq], now))[0]
  }

  const tellDelivered = async (all: readonly Acknowledged[]): Promise<void> => {
    if (!(await hasAny())) return
    const now = clock.now()
    const known = await Promise.all(
      all.map(async ({ clientId, topic, id, seen }) => {
        const message = seen ?? (await waitingFor(clientId, topic, id, now))
        if (!message || message.expiresAt <= now || message.publisher === clientId) return []
        return [{ clientId, message: { ...message, topic, id } }]
      }),
    )
    const told = known.flat()
    const found = await lookUp(told.flatMap(({ clientId, message }) => [clientId, message.publisher]))
    const jobs = createJobs(now, newPlace, queueOf)
    for (const { clientId, message } of told) {
      const tell = (watched: string, type: Watch['type']) => {
        for (const watch of found.get(watched) ?? []) {
          if (concerns(watch, type, message.tag, now) && watch.statuses.includes('delivered'))
            jobs.tell(watch, 'delivered', message)
        }
      }
      tell(clientId, 'subscriber')
      tell(message.publisher, 'publisher')
    }
    await add(jobs)
  }
  const soonDelivered = createBatcher((all: readonly Acknowledged[]) => tellDelivered(all).catch(unwritten))

  const isQuiet = (): boolean => !state.hasAny && clock.now() < state.until
  /** As far as is known. Nearly all clients are, and acknowledge all the time. */
  const isUnwatched = (clientId: string, now: number): boolean => {
    const entry = known.get(clientId)
    return entry !== undefined && entry.until > now && entry.watches.length === 0
  }

  /** Signed by the watched client itself, whoever hands it in. */
  const claimsOf = <S extends z.ZodType<object>>(token: string, act: string, schema: S) => {
    const claims = verifyJwt(token, { now: clock.now(), leeway: LEEWAY, act })
    if (publicOrigins && !isKnownAudience(claims.aud, publicOrigins))
      throw new ProtocolError('jwt_wrong_audience')
    return {
      ...{ clientId: claims.iss, expiresAt: claims.exp * 1000, issuedAt: claims.iat },
      ...checked(schema, claims),
    }
  }

  const bad = (detail: string) => new ProtocolError('bad_params', detail)

  /** What a client that is not trusted may not do. */
  const refuseTo = async ({ clientId, service, url }: WatchName): Promise<void> => {
    const refusal = rules.refusalOfUrl(new URL(url))
    if (refusal !== undefined) throw bad(`whu: ${refusal}`)
    const { hostname } = new URL(url)
    const others = (await store.watches([clientId], clock.now())).filter(
      (watch) =>
        new URL(watch.url).hostname === hostname && !(watch.url === url && watch.service === service),
    )
    const { perHost } = WATCH_LIMITS
    if (others.length >= perHost)
      throw new ProtocolError('rate_limited', `more than ${perHost} webhooks on one host`)
    if (!(await hasRoom(clientId))) throw new ProtocolError('rate_limited', 'too many events wait')
  }

  const challenge = async (watch: Watch): Promise<void> => {
    const now = clock.now()
    const { clientId } = watch
    const name = watchDigest(watch)
    const body: z.infer<typeof WatchChallenge> = { clientId, challenge: name }
    await jobQueue.add([
      {
        ...{ queue: WATCH_QUEUE, id: `challenge.${digestOf(clientId)}.${name}`, group: clientId },
        ...{ at: now, expiresAt: now + ASKED_FOR, attempts: 0, body },
      },
    ])
  }

  return {
    async register(token, keep) {
      const claims = claimsOf(token, WATCH_ACTS.register, WatchRegisterClaims)
      const { clientId, expiresAt, issuedAt, sub: service, whu: url, typ: type, tag, sts } = claims
      const now = clock.now()
      const lifetime = WATCH_LIMITS.lifetime + LEEWAY
      if (expiresAt > Math.min(now, issuedAt * 1000) + lifetime * 1000)
        throw bad('exp: at most 30 days from now, and from iat')
      const name = { clientId, service, url }
      const isTrusted = trusted(clientId)
      if (!isTrusted) await refuseTo(name)
      const watch: Watch = {
        ...{ ...name, type, tags: [...new Set(tag)], statuses: [...new Set(sts)], expiresAt, issuedAt },
        ...{ state: isTrusted ? 'active' : 'asked', refusals: 0, failingSince: 0 },
      }
      await keep(sizeOf(watch), expiresAt - now)
      await store.watch(watch, { now, limit: WATCH_LIMITS.perClient })
      changed(clientId)
      if (!isTrusted) await challenge(watch)
      return { relayId }
    },

    async unregister(token, keep) {
      const claims = claimsOf(token, WATCH_ACTS.unregister, WatchUnregisterClaims)
      const { clientId, issuedAt, sub: service, whu: url, typ: type } = claims
      // No token that is older is good any longer.
      const expiresAt = (issuedAt + WATCH_LIMITS.lifetime + LEEWAY) * 1000
      const end: Watch = {
        ...{ clientId, service, url, type, tags: [], statuses: [], expiresAt, issuedAt },
        ...{ state: 'ended', refusals: 0, failingSince: 0 },
      }
      const now = clock.now()
      const isKnown = (await store.watches([clientId], now)).some(
        (one) => watchDigest(one) === watchDigest(end),
      )
      if (!isKnown) await keep(sizeOf(end), Math.max(0, expiresAt - now))
      await store.watch(end, { now, limit: WATCH_LIMITS.perClient })
      changed(clientId)
    },

    published: (messages, publications) =>
      isQuiet() ? undefined : tellPublished(messages, publications).catch(unwritten),

    delivered(clientId, topic, id, seen) {
      if (isQuiet()) return undefined
      const now = clock.now()
      if (seen && isUnwatched(clientId, now) && isUnwatched(seen.publisher, now)) return undefined
      return soonDelivered({ clientId, topic, id, seen })
    },

    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}

const concerns = (watch: Watch, type: Watch['type'], tag: number, now: number): boolean =>
  watch.type === type && watch.expiresAt > now && watch.tags.includes(tag)
