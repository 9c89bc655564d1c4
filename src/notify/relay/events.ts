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

import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { decodeJwt, verifyJwt } from '../../protocol/jwt.ts'
import { WATCH_ACTS, WATCH_LIMITS, WatchEventClaims } from '../../protocol/relay-watch.ts'
import type { RelayMessage } from './link.ts'

/** A notification that a wallet has: the relay message that carried it, and when the relay knew, unix ms. */
export interface DeliveredMessage {
  topic: string
  message: string
  at: number
}

export interface RelayEventsDeps {
  /** did:key of the relay, as it says itself. */
  relayKey: () => Promise<string>
  onMessage: ((message: RelayMessage) => Promise<void>) | undefined
  /** All of one POST at once. */
  onDelivered: ((delivered: readonly DeliveredMessage[]) => Promise<void>) | undefined
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

  const relayKey = (): Promise<string> => {
    if (known) return known.key
    const asked = { key: deps.relayKey(), askedAt: clock.now() }
    known = asked
    asked.key.catch(() => {
      if (known === asked) known = undefined
    })
    return asked.key
  }

  /** The relay's key; asked for again when it is not the one that is `claimed`, but not all the time. */
  const freshKey = async (claimed: string): Promise<string> => {
    const key = await relayKey()
    if (key === claimed || (known && clock.now() - known.askedAt < ASK_EVERY)) return key
    known = undefined
    return relayKey()
  }

  const claimsOf = (token: string, issuer: string) => {
    const expected = { issuer, act: WATCH_ACTS.event, audience: service, lifetime: WATCH_LIMITS.retryFor }
    return verifyJwt(token, { now: clock.now(), ...expected })
  }

  const verified = async (token: string): Promise<WatchEventClaims> => {
    const key = await relayKey()
    let signed: ReturnType<typeof claimsOf>
    try {
      signed = claimsOf(token, key)
    } catch (error) {
      const fresh = await freshKey(decodeJwt(token, WATCH_LIMITS.retryFor).claims.iss)
      if (fresh === key) throw error
      signed = claimsOf(token, fresh)
    }
    const claims = checked(WatchEventClaims, signed)
    if (claims.sub !== clientId) throw new ProtocolError('forbidden', 'it is about another client')
    if (!webhooks.includes(claims.whu)) throw new ProtocolError('forbidden', 'it is for another webhook')
    return claims
  }

  const isDelivery = ({ typ, evt: { status, tag } }: WatchEventClaims): boolean =>
    typ === 'publisher' && status === 'delivered' && tag === NOTIFICATION

  const take = async (effect: Promise<void> | undefined): Promise<ProtocolError | undefined> => {
    try {
      await effect
    } catch (cause) {
      // Where it failed has said so in the log.
      return new ProtocolError('unavailable', 'an event could not be handled', { cause })
    }
    return undefined
  }

  return async (tokens) => {
    const deliveries: DeliveredMessage[] = []
    const one = async (token: string): Promise<ProtocolError | undefined> => {
      let claims: WatchEventClaims
      try {
        claims = await verified(token)
      } catch (error) {
        if (error instanceof ProtocolError) return error
        throw error
      }
      const { topic, message, publishedAt, tag, attestation, status, at = claims.iat * 1000 } = claims.evt
      if (isDelivery(claims)) deliveries.push({ topic, message, at })
      if (claims.typ !== 'subscriber' || status === 'delivered') return undefined
      return take(onMessage?.({ topic, message, publishedAt, tag, attestation }))
    }
    const faults = (await Promise.all(tokens.map(one))).flatMap((fault) => fault ?? [])
    const failed = deliveries.length > 0 ? await take(onDelivered?.(deliveries)) : undefined
    if (failed) faults.push(...deliveries.map(() => failed))
    meter.count('notify_relay_events_total', { outcome: 'taken' }, tokens.length - faults.length)
    if (faults.length === 0) return
    meter.count('notify_relay_events_total', { outcome: 'refused' }, faults.length)
    log.warn({ codes: faults.map(({ code }) => code) }, 'Events of the relay were not taken')
    throw faults.find(({ http }) => http >= 500) ?? faults[0]
  }
}
