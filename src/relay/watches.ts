/**
 * Watch webhooks: a service is told what happens to the messages of a client that let it (published relay API, "Relay
 * Webhooks"). Here are the registrations, and what becomes an event; `watch-events` brings the events to the services.
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
 * on it is told at least once, as long as its watch stands (`watch-events`). A process that is killed between storing
 * a message and writing its events loses these, not the message. A watch counts on this process from its answer on, on
 * others soon after. Watching changes nothing about delivery, and trouble with it neither.
 *
 * The price without any watch: one look into the store every ten seconds.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Agenda, Job } from '../platform/agenda.ts'
import type { Clock } from '../platform/clock.ts'
import { createGathering } from '../platform/gathering.ts'
import { checked } from '../platform/http.ts'
import type { AddressRules } from '../platform/public-address.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { verifyJwt } from '../protocol/jwt.ts'
import {
  WATCH_ACTS,
  WATCH_LIMITS,
  WatchRegisterClaims,
  type WatchStatus,
  WatchUnregisterClaims,
} from '../protocol/relay-watch.ts'
import { isKnownAudience } from './auth.ts'
import type { NewMessage, Publication, RelayStore, StoredMessage, Watch } from './store.ts'

/** What is known of an acknowledged message; where it is nothing, the store is asked. */
export type Seen = Pick<StoredMessage, 'seq' | 'tag' | 'publisher' | 'expiresAt'>

export interface Watches extends Disposable {
  /** Answers the relay's did:key. Throws `jwt_…`, `bad_params`, `rate_limited` (64 of the client stand). */
  register(token: string): Promise<{ relayId: string }>
  unregister(token: string): Promise<void>
  /** Resolves, and never rejects, when the events are durable; undefined when nobody watches. */
  published(messages: readonly NewMessage[], publications: readonly Publication[]): Promise<void> | undefined
  /** The same; to be called before the acknowledgement is written. */
  delivered(clientId: string, topic: string, id: string, seen?: Seen): Promise<void> | undefined
}

export const WATCH_QUEUE = 'relay-events'
/** A message that is not acknowledged for so long waits in a mailbox, ms. */
const QUEUED_AFTER = 1_000
/** Subscribers of one message that are looked at to find out whether all wait. */
const MOST_WAITERS = 100
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
const About = z.object({
  clientId: z.string(),
  service: z.string(),
  url: z.string(),
  type: z.enum(['subscriber', 'publisher']),
  status: z.enum(['accepted', 'queued', 'delivered']),
  at: z.number(),
})

/** What a job of the queue holds: what became of messages, for one watch. The messages themselves stay where they are. */
export const WatchEvents = z.union([
  About.extend({ messages: z.array(NamedMessage) }),
  // Jobs were about one message each once, and may still wait.
  About.extend(NamedMessage.shape).transform(({ topic, id, seq, waiters, ...about }) => ({
    ...about,
    messages: [{ topic, id, seq, waiters }],
  })),
])
export type WatchEvents = z.infer<typeof WatchEvents>

interface Acknowledged {
  clientId: string
  topic: string
  id: string
  seen: Seen | undefined
}
type Told = Seen & WatchEvents['messages'][number]

/** Gathers what watches are told in one go, so that it is few jobs however many messages it is about. */
const createJobs = (now: number, newPlace: () => string) => {
  const groups = new Map<string, { watch: Watch; status: WatchStatus; told: Told[] }>()

  const jobOf = (
    { clientId, service, url, type }: Watch,
    status: WatchStatus,
    told: readonly Told[],
  ): Job => {
    const messages = told.map(({ topic, id, seq, waiters }) => ({
      topic,
      id,
      seq,
      ...(waiters && { waiters }),
    }))
    const body: WatchEvents = { clientId, service, url, type, status, at: now, messages }
    return {
      queue: WATCH_QUEUE,
      id: `${newPlace()}.${digestOf(JSON.stringify(body))}`,
      group: clientId,
      at: status === 'queued' ? now + QUEUED_AFTER : now,
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
    tell(watch: Watch, status: WatchStatus, one: Told) {
      size++
      const { clientId, service, url } = watch
      const key = [clientId, service, url, status].join('\0')
      const group = groups.get(key)
      if (group) group.told.push(one)
      else groups.set(key, { watch, status, told: [one] })
    },
    size: () => size,
    all(): Job[] {
      return [...groups.values()].flatMap(({ watch, status, told }) =>
        Array.from({ length: Math.ceil(told.length / TOGETHER) }, (_, n) =>
          jobOf(watch, status, told.slice(n * TOGETHER, (n + 1) * TOGETHER)),
        ),
      )
    },
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

export const createWatches = (
  deps: { store: RelayStore; agenda: Pick<Agenda, 'add'>; clock: Clock; log: Log; meter: Meter },
  options: {
    /** did:key with which events are signed. */
    relayId: string
    /** Whom a client may have told: one that we trust also somebody beside us. */
    rulesFor: (clientId: string) => AddressRules
    /** Where clients were told the relay is; undefined: anywhere. */
    publicOrigins?: readonly string[] | undefined
  },
): Watches => {
  const { store, agenda, clock, log, meter } = deps
  const { relayId, rulesFor, publicOrigins } = options
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

  const add = async (told: ReturnType<typeof createJobs>): Promise<void> => {
    if (told.size() === 0) return
    await agenda.add(told.all())
    meter.count('relay_watch_events_total', undefined, told.size())
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
    const jobs = createJobs(now, newPlace)
    for (const { message, others } of stored) {
      if (message.expiresAt <= now) continue
      const tell = (clientId: string, type: Watch['type'], waiters: string[]) => {
        for (const watch of found.get(clientId) ?? []) {
          if (!concerns(watch, type, message.tag, now)) continue
          if (watch.statuses.includes('accepted')) jobs.tell(watch, 'accepted', message)
          if (watch.statuses.includes('queued')) jobs.tell(watch, 'queued', { ...message, waiters })
        }
      }
      tell(message.publisher, 'publisher', others.slice(0, MOST_WAITERS))
      for (const clientId of others) tell(clientId, 'subscriber', [clientId])
    }
    await add(jobs)
  }

  const tellDelivered = async (all: readonly Acknowledged[]): Promise<void> => {
    if (!(await hasAny())) return
    const now = clock.now()
    const known = await Promise.all(
      all.map(async ({ clientId, topic, id, seen }) => {
        const message = seen ?? (await store.message(topic, id, now))
        if (!message || message.expiresAt <= now || message.publisher === clientId) return []
        return [{ clientId, message: { ...message, topic, id } }]
      }),
    )
    const told = known.flat()
    const found = await lookUp(told.flatMap(({ clientId, message }) => [clientId, message.publisher]))
    const jobs = createJobs(now, newPlace)
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
  const soonDelivered = createGathering((all: readonly Acknowledged[]) => tellDelivered(all).catch(unwritten))

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
    return { clientId: claims.iss, expiresAt: claims.exp * 1000, ...checked(schema, claims) }
  }

  return {
    async register(token) {
      const claims = claimsOf(token, WATCH_ACTS.register, WatchRegisterClaims)
      const { clientId, expiresAt, sub: service, whu: url, typ: type, tag, sts } = claims
      const now = clock.now()
      if (expiresAt > now + (WATCH_LIMITS.lifetime + LEEWAY) * 1000)
        throw new ProtocolError('bad_params', 'exp: at most 30 days from now')
      const refusal = rulesFor(clientId).refusalOfUrl(new URL(url))
      if (refusal !== undefined) throw new ProtocolError('bad_params', `whu: ${refusal}`)
      const watch = { clientId, service, url, type, tags: [...new Set(tag)], statuses: [...new Set(sts)] }
      await store.watch({ ...watch, expiresAt }, { now, limit: WATCH_LIMITS.perClient })
      changed(clientId)
      return { relayId }
    },

    async unregister(token) {
      const {
        clientId,
        sub: service,
        whu: url,
      } = claimsOf(token, WATCH_ACTS.unregister, WatchUnregisterClaims)
      await store.unwatch({ clientId, service, url })
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
