/**
 * The relay's events: posted to this server's webhook, where each is signed, and verified before anything in it is used;
 * or told as values by the relay of the same process.
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
 * | bad_params         | its claims are not complete                                                            |
 *
 * Resolves when all events have taken effect, durably. Rejects with `unavailable` when one could not be handled: the relay
 * must post all of them again. Refused events must not come again; the others of the call have taken effect then.
 */

import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { decodeJwt, verifyJwt } from '../../protocol/jwt.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import { WATCH_ACTS, WATCH_LIMITS, type WatchEvent, WatchEventClaims } from '../../protocol/relay-watch.ts'
import type { RelayMessage } from './link.ts'

/** A notification that a wallet has: its relay message, and when it was delivered, unix ms. */
export interface DeliveredMessage {
  topic: string
  message: string
  at: number
}

export interface RelayEventsDeps {
  /** did:key of the relay, as it says itself. */
  relayKey: () => Promise<string>
  onMessage: ((message: RelayMessage) => Promise<void>) | undefined
  /** All deliveries of one POST at once. */
  onDelivered: ((delivered: readonly DeliveredMessage[]) => Promise<void>) | undefined
  clock: Clock
  log: Log
  meter: Meter
}

/** The relay is asked for its key at most this often, whatever key an event claims. */
const KEY_LOOKUP_INTERVAL_MS = 10_000
const NOTIFICATION_TAG = NOTIFY_METHODS[4002].requestTag

interface RelayEventsOptions {
  /** did:key of this server on the relay. */
  clientId: string
  /** What events are addressed to. */
  service: string
  /** Where they may have been posted. */
  webhooks: readonly string[]
}

/** The relay's key, cached. */
const createRelayKeys = (deps: Pick<RelayEventsDeps, 'relayKey' | 'clock'>) => {
  const { clock } = deps
  let cached: { key: Promise<string>; askedAt: number } | undefined

  const present = (): Promise<string> => {
    if (cached) return cached.key
    const lookup = { key: deps.relayKey(), askedAt: clock.now() }
    cached = lookup
    lookup.key.catch(() => {
      if (cached === lookup) cached = undefined
    })
    return lookup.key
  }

  return {
    present,
    /** Looked up again when it is not the `claimed` one, unless that was done a moment ago. */
    async fresh(claimed: string): Promise<string> {
      const key = await present()
      const isRecent = cached !== undefined && clock.now() - cached.askedAt < KEY_LOOKUP_INTERVAL_MS
      if (key === claimed || isRecent) return key
      cached = undefined
      return present()
    },
  }
}

/** Verifies an event; throws the `ProtocolError` by which it is refused. */
const createVerifyEvent = (
  deps: Pick<RelayEventsDeps, 'relayKey' | 'clock'>,
  { clientId, service, webhooks }: RelayEventsOptions,
): ((token: string) => Promise<WatchEventClaims>) => {
  const { clock } = deps
  const relayKeys = createRelayKeys(deps)

  const claimsOf = (token: string, issuer: string) => {
    const expected = { issuer, act: WATCH_ACTS.event, audience: service, lifetime: WATCH_LIMITS.retryFor }
    return verifyJwt(token, { now: clock.now(), ...expected })
  }

  return async (token) => {
    const key = await relayKeys.present()
    let signed: ReturnType<typeof claimsOf>
    try {
      signed = claimsOf(token, key)
    } catch (error) {
      const fresh = await relayKeys.fresh(decodeJwt(token, WATCH_LIMITS.retryFor).claims.iss)
      if (fresh === key) throw error
      signed = claimsOf(token, fresh)
    }
    const claims = checked(WatchEventClaims, signed)
    if (claims.sub !== clientId) throw new ProtocolError('forbidden', 'it is about another client')
    if (!webhooks.includes(claims.whu)) throw new ProtocolError('forbidden', 'it is for another webhook')
    return claims
  }
}

/** `at`: when it happened, unix ms; where the relay does not say it, when it was told. */
type TimedEvent = WatchEvent & { at: number }

const isDelivery = ({ typ, evt: { status, tag } }: WatchEvent): boolean =>
  typ === 'publisher' && status === 'delivered' && tag === NOTIFICATION_TAG

/** Waits for an effect; a failure becomes the fault that makes the relay post the event again. */
const faultOf = async (effect: Promise<void> | undefined): Promise<ProtocolError | undefined> => {
  try {
    await effect
  } catch (cause) {
    // Whatever failed has logged it.
    return new ProtocolError('unavailable', 'an event could not be handled', { cause })
  }
  return undefined
}

/** Resolves and rejects as the head of this file says. */
export interface RelayEvents {
  /** Takes the signed events of one POST. */
  posted(tokens: readonly string[]): Promise<void>
  /** Takes what the relay of this process says, which needs no signature. */
  told(events: readonly WatchEvent[]): Promise<void>
}

export const createRelayEvents = (deps: RelayEventsDeps, options: RelayEventsOptions): RelayEvents => {
  const { onMessage, onDelivered, log, meter } = deps
  const verify = createVerifyEvent(deps, options)

  const messageIn = ({ typ, evt }: WatchEvent): Promise<ProtocolError | undefined> => {
    const { topic, message, publishedAt, tag, attestation, status } = evt
    const isMessage = typ === 'subscriber' && status !== 'delivered'
    return faultOf(isMessage ? onMessage?.({ topic, message, publishedAt, tag, attestation }) : undefined)
  }

  /** `all`: events, or why they are refused. */
  const take = async (all: readonly (TimedEvent | ProtocolError)[]): Promise<void> => {
    const events = all.flatMap((one) => (one instanceof ProtocolError ? [] : one))
    const refused = all.flatMap((one) => (one instanceof ProtocolError ? one : []))
    const deliveries = events
      .filter(isDelivery)
      .map(({ evt: { topic, message }, at }): DeliveredMessage => ({ topic, message, at }))
    const faults = [...refused, ...(await Promise.all(events.map(messageIn))).flatMap((fault) => fault ?? [])]
    const failed = deliveries.length > 0 ? await faultOf(onDelivered?.(deliveries)) : undefined
    if (failed) faults.push(...deliveries.map(() => failed))
    meter.count('notify_relay_events_total', { outcome: 'taken' }, all.length - faults.length)
    if (faults.length === 0) return
    meter.count('notify_relay_events_total', { outcome: 'refused' }, faults.length)
    log.warn({ codes: faults.map(({ code }) => code) }, 'Events of the relay were not taken')
    throw faults.find(({ http }) => http >= 500) ?? faults[0]
  }

  const eventIn = async (token: string): Promise<TimedEvent | ProtocolError> => {
    try {
      const { typ, evt, iat } = await verify(token)
      return { typ, evt, at: evt.at ?? iat * 1000 }
    } catch (error) {
      if (error instanceof ProtocolError) return error
      throw error
    }
  }

  return {
    posted: async (tokens) => take(await Promise.all(tokens.map(eventIn))),
    told: (events) => take(events.map((event) => ({ ...event, at: event.evt.at ?? deps.clock.now() }))),
  }
}
