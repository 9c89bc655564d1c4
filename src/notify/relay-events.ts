/**
 * What the relay tells this server by webhook: signed events, each verified before anything in it is believed.
 *
 * | event                          | effect                                                     |
 * |--------------------------------|------------------------------------------------------------|
 * | subscriber, accepted or queued | a message, as if it had come through the socket            |
 * | publisher, delivered, tag 4002 | a wallet has a notification: `onDelivered`                 |
 * | else                           | none                                                       |
 *
 * | refused with       | when                                                                                   |
 * |--------------------|----------------------------------------------------------------------------------------|
 * | jwt_invalid        | it is no JWT, its signature is wrong, or another key than the relay's signed it        |
 * | jwt_expired, jwt_wrong_act, jwt_wrong_audience | …                                                          |
 * | forbidden          | it is about another client, or was meant for another webhook                           |
 * | bad_params         | what it tells is not complete                                                          |
 *
 * Resolves when everything has had its effect, durably. Rejects with `unavailable` when something could not be handled:
 * all of it must come again. What is refused must not; the others of the same call have had their effect then.
 */
import type { Clock } from '../platform/clock.ts'
import { checked } from '../platform/http.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { decodeJwt, verifyJwt } from '../protocol/jwt.ts'
import { WATCH_ACTS, WATCH_LIMITS, WatchEventClaims } from '../protocol/relay-watch.ts'
import type { RelayMessage } from './relay-link.ts'

/** A notification that a wallet has: the relay message that carried it, and when the relay knew, unix ms. */
export interface Delivered {
  topic: string
  message: string
  at: number
}

export interface RelayEventsDeps {
  /** did:key of the relay, as it says itself. */
  relayKey: () => Promise<string>
  onMessage: ((message: RelayMessage) => Promise<void>) | undefined
  onDelivered: ((delivered: Delivered) => Promise<void>) | undefined
  clock: Clock
  log: Log
  meter: Meter
}

/** The relay is asked for its key no more often, ms, whoever claims to have another one. */
const ASK_EVERY = 10_000
const NOTIFICATION = 4002

export const createRelayEvents = (
  deps: RelayEventsDeps,
  options: {
    /** did:key of this server on the relay. */
    clientId: string
    /** What events are addressed to. */
    service: string
    /** Where they may have been posted. */
    webhooks: readonly string[]
  },
): ((tokens: readonly string[]) => Promise<void>) => {
  const { onMessage, onDelivered, clock, log, meter } = deps
  const { clientId, service, webhooks } = options
  let known: { key: Promise<string>; askedAt: number } | undefined

  /** The relay's key; asked for again when it is not `claimed`, but not all the time. */
  const relayKey = async (claimed: string): Promise<string> => {
    if (known && (clock.now() - known.askedAt < ASK_EVERY || (await known.key) === claimed)) return known.key
    const asked = { key: deps.relayKey(), askedAt: clock.now() }
    known = asked
    asked.key.catch(() => {
      if (known === asked) known = undefined
    })
    return asked.key
  }

  const verified = async (token: string): Promise<WatchEventClaims> => {
    const lifetime = WATCH_LIMITS.retryFor
    const issuer = await relayKey(decodeJwt(token, lifetime).claims.iss)
    const expected = { issuer, act: WATCH_ACTS.event, audience: service, lifetime }
    const claims = checked(WatchEventClaims, verifyJwt(token, { now: clock.now(), ...expected }))
    if (claims.sub !== clientId) throw new ProtocolError('forbidden', 'it is about another client')
    if (!webhooks.includes(claims.whu)) throw new ProtocolError('forbidden', 'it is for another webhook')
    return claims
  }

  const take = async ({ typ, iat, evt }: WatchEventClaims): Promise<void> => {
    const { topic, message, publishedAt, tag, attestation, status, at } = evt
    if (typ === 'subscriber' && status !== 'delivered')
      await onMessage?.({ topic, message, publishedAt, tag, attestation })
    if (typ === 'publisher' && status === 'delivered' && tag === NOTIFICATION)
      await onDelivered?.({ topic, message, at: at ?? iat * 1000 })
  }

  const one = async (token: string): Promise<ProtocolError | undefined> => {
    let claims: WatchEventClaims
    try {
      claims = await verified(token)
    } catch (error) {
      if (error instanceof ProtocolError) return error
      throw error
    }
    try {
      await take(claims)
    } catch (cause) {
      // Where it failed has said so in the log.
      return new ProtocolError('unavailable', 'an event could not be handled', { cause })
    }
    return undefined
  }

  return async (tokens) => {
    const faults = (await Promise.all(tokens.map(one))).flatMap((fault) => fault ?? [])
    meter.count('notify_relay_events_total', { outcome: 'taken' }, tokens.length - faults.length)
    if (faults.length === 0) return
    meter.count('notify_relay_events_total', { outcome: 'refused' }, faults.length)
    log.warn({ codes: faults.map(({ code }) => code) }, 'Events of the relay were not taken')
    throw faults.find(({ http }) => http >= 500) ?? faults[0]
  }
}
