/**
 * Watch webhooks: a service gets what happens to the messages of a client that let it (published relay API, "Relay
 * Webhooks"). Here are the registrations; `events` is what becomes an event, `calls` brings events to the services.
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
 * on it is posted at least once, as long as its watch stands (`calls`). A process that is killed between storing a
 * message and writing its events loses these, not the message. A watch counts on this process from its answer on, on
 * others soon after. Watching changes nothing about delivery, and a failure of it neither.
 *
 * A service is asked before it gets any event (`calls`), unless the operator trusts the client. What happens meanwhile
 * waits. The client's newest registration or end of a webhook counts, also after the watch ended, for as long as an
 * older token could be good.
 *
 * Its cost is bounded: what happens to a batch of messages is one job for each status, however many watches get it; a
 * client has so many jobs waiting, and events beyond that are dropped (`relay_watch_events_dropped_total`). Without any
 * watch it costs one look into the store every ten seconds.
 */
import type * as z from 'zod'
import type { JobQueue } from '../../platform/jobs/job-queue.ts'
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
  WatchUnregisterClaims,
} from '../../protocol/relay-watch.ts'
import { isKnownAudience } from '../auth.ts'
import type { RelayStore, Watch, WatchName } from '../store.ts'
import { createEvents, type Events } from './events.ts'
import { challengeJob, watchDigest } from './jobs.ts'
import { createWatchCache } from './watch-cache.ts'

/** Charges the caller for bytes that are stored for so long; throws when there is no room for them. */
export type Charge = (bytes: number, lifeMs: number) => Promise<void>

export interface Watches extends Disposable, Pick<Events, 'published' | 'delivered'> {
  /** Answers the relay's did:key. Throws `jwt_…`, `bad_params`, `rate_limited` (64 of the client stand), and as `charge`. */
  register(token: string, charge: Charge): Promise<{ relayId: string }>
  /** Charges only where there is no such watch: then its end is all that is stored. */
  unregister(token: string, charge: Charge): Promise<void>
}

export interface WatchesDeps {
  store: RelayStore
  jobQueue: Pick<JobQueue, 'add' | 'count'>
  clock: Clock
  log: Log
  meter: Meter
}

export interface WatchesOptions {
  /** did:key with which events are signed. */
  relayId: string
  /** The service of a trusted client may be beside us, and is not asked. */
  trusted: (clientId: string) => boolean
  /** Where the services of other clients may be. */
  rules: AddressRules
  /** Where clients know the relay to be; undefined: anywhere. */
  publicOrigins?: readonly string[] | undefined
}

/** Clocks may differ by so much. */
const CLOCK_LEEWAY_S = 120
/** No token is good for longer. */
const MAX_TOKEN_LIFE_S = WATCH_LIMITS.lifetime + CLOCK_LEEWAY_S

const bad = (detail: string) => new ProtocolError('bad_params', detail)
const sizeOf = (watch: Watch): number => JSON.stringify(watch).length

export const createWatches = (deps: WatchesDeps, options: WatchesOptions): Watches => {
  const { store, clock } = deps
  const cache = createWatchCache({ store, clock })
  const events = createEvents({ ...deps, cache, trusted: options.trusted })
  return {
    register: createRegister(deps, options, events.hasRoom),
    unregister: createUnregister(deps, options),
    published: events.published,
    delivered: events.delivered,
    [Symbol.dispose]: () => cache[Symbol.dispose](),
  }
}

const createRegister = (
  { store, jobQueue, clock }: Pick<WatchesDeps, 'store' | 'jobQueue' | 'clock'>,
  { relayId, trusted, rules, publicOrigins }: WatchesOptions,
  hasRoom: Events['hasRoom'],
): Watches['register'] => {
  /** Throws where a client that is not trusted may not have the webhook. */
  const checkStranger = async (name: WatchName): Promise<void> => {
    const { hostname } = new URL(name.url)
    const refusal = rules.refusalOfUrl(new URL(name.url))
    if (refusal !== undefined) throw bad(`whu: ${refusal}`)
    const others = (await store.watches([name.clientId], clock.now())).filter(
      ({ url, service }) =>
        new URL(url).hostname === hostname && !(url === name.url && service === name.service),
    )
    const { perHost } = WATCH_LIMITS
    if (others.length >= perHost)
      throw new ProtocolError('rate_limited', `more than ${perHost} webhooks on one host`)
    if (!(await hasRoom(name.clientId))) throw new ProtocolError('rate_limited', 'too many events wait')
  }

  return async (token, charge) => {
    const now = clock.now()
    const claims = claimsOf(token, { act: WATCH_ACTS.register, now, publicOrigins }, WatchRegisterClaims)
    const { clientId, expiresAt, issuedAt, sub: service, whu: url, typ: type, tag, sts } = claims
    if (expiresAt > Math.min(now, issuedAt * 1000) + MAX_TOKEN_LIFE_S * 1000)
      throw bad('exp: at most 30 days from now, and from iat')
    const isTrusted = trusted(clientId)
    if (!isTrusted) await checkStranger({ clientId, service, url })
    const watch: Watch = {
      ...{ clientId, service, url, type, tags: [...new Set(tag)], statuses: [...new Set(sts)] },
      ...{ expiresAt, issuedAt, state: isTrusted ? 'active' : 'asked', refusals: 0, failingSince: 0 },
    }
    await charge(sizeOf(watch), expiresAt - now)
    await store.watch(watch, { now, limit: WATCH_LIMITS.perClient })
    if (!isTrusted) await jobQueue.add([challengeJob(watch, clock.now())])
    return { relayId }
  }
}

const createUnregister =
  (
    { store, clock }: Pick<WatchesDeps, 'store' | 'clock'>,
    { publicOrigins }: Pick<WatchesOptions, 'publicOrigins'>,
  ): Watches['unregister'] =>
  async (token, charge) => {
    const now = clock.now()
    const claims = claimsOf(token, { act: WATCH_ACTS.unregister, now, publicOrigins }, WatchUnregisterClaims)
    const { clientId, issuedAt, sub: service, whu: url, typ: type } = claims
    // No token that is older is good any longer.
    const expiresAt = (issuedAt + MAX_TOKEN_LIFE_S) * 1000
    const end: Watch = {
      ...{ clientId, service, url, type, tags: [], statuses: [], expiresAt, issuedAt },
      ...{ state: 'ended', refusals: 0, failingSince: 0 },
    }
    const isKnown = (await store.watches([clientId], now)).some(
      (one) => watchDigest(one) === watchDigest(end),
    )
    if (!isKnown) await charge(sizeOf(end), Math.max(0, expiresAt - now))
    await store.watch(end, { now, limit: WATCH_LIMITS.perClient })
  }

/** What the watched client itself signed, whichever caller sends it. */
const claimsOf = <S extends z.ZodType<object>>(
  token: string,
  { act, now, publicOrigins }: { act: string; now: number } & Pick<WatchesOptions, 'publicOrigins'>,
  schema: S,
) => {
  const claims = verifyJwt(token, { now, leeway: CLOCK_LEEWAY_S, act })
  if (publicOrigins && !isKnownAudience(claims.aud, publicOrigins))
    throw new ProtocolError('jwt_wrong_audience')
  return {
    ...{ clientId: claims.iss, expiresAt: claims.exp * 1000, issuedAt: claims.iat },
    ...checked(schema, claims),
  }
}
