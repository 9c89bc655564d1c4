/**
 * Web Push (RFC 8030, 8291, 8292) and UnifiedPush, whose endpoints take the same. The endpoint is a URL that a stranger named: it
 * is asked like every such URL, at public addresses, over https, in places by host. The push service sees a size and an
 * endpoint; what is inside is encrypted to the subscription.
 */
import { HostNotAsked } from '../../platform/net/host-gate.ts'
import type { PublicAnswer, PublicFetch } from '../../platform/net/public-fetch.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { encryptPush, MAX_RECORD_BYTES, OVERHEAD_BYTES } from './encryption.ts'
import type { HostPlaces } from './host-places.ts'
import {
  keptForSeconds,
  later,
  type Provider,
  type PushBody,
  type PushMessage,
  retryAfterMs,
  SEND_TIMEOUT_MS,
  type SendOutcome,
} from './provider.ts'
import type { Vapid } from './vapid.ts'

/** A host that has not proven itself has less time for an answer. */
const UNPROVEN_TIMEOUT_MS = 3_000
/** When a push for which there was no place comes again: not all at once. */
const NO_PLACE_PAUSE_MS = 1_000

/** What a service worker finds in `event.data`. */
const plainOf = (body: PushBody): Buffer => {
  if (body.form === 'together') {
    const { messages, more } = body
    return Buffer.from(JSON.stringify({ v: 1, messages, more }))
  }
  if (body.form === 'message') return Buffer.from(JSON.stringify({ v: 1, messages: [body.message], more: 0 }))
  throw new Error(`A web push has no form ${body.form}`)
}

const hostOf = (endpoint: string): string => (URL.canParse(endpoint) ? new URL(endpoint).hostname : '')

const outcomeOf = ({ status, headers }: PublicAnswer, now: number): SendOutcome => {
  const reason = `HTTP ${status}`
  if (status >= 200 && status < 300) return { kind: 'accepted' }
  if (status === 404 || status === 410) return { kind: 'gone', reason }
  const said = headers['retry-after']
  const afterMs = retryAfterMs(said, now)
  if (status === 429) return later(reason, afterMs, false)
  if (status >= 500) return later(reason, afterMs, false)
  return { kind: 'refused', reason, of: 'message' }
}

export const createWebPush = (deps: {
  fetch: PublicFetch
  places: HostPlaces
  vapid: Vapid
  clock: Clock
}): Provider => {
  const { fetch, places, vapid, clock } = deps

  const bodyOf = (body: PushBody, padTo: number | undefined, keys: { p256dh: string; auth: string }) => {
    const plain = plainOf(body)
    // Space behind JSON is nothing to its reader.
    const spaces = padTo === undefined ? 0 : Math.max(0, padTo - OVERHEAD_BYTES - plain.length)
    return encryptPush(Buffer.concat([plain, Buffer.alloc(spaces, ' ')]), keys)
  }

  const post = async (
    address: { endpoint: string; p256dh: string; auth: string },
    { body, expiresAt, isUrgent, padTo }: PushMessage,
    { projectId, isProven }: { projectId: string; isProven: boolean },
    signal: AbortSignal,
  ): Promise<PublicAnswer> =>
    fetch(address.endpoint, {
      milliseconds: isProven ? SEND_TIMEOUT_MS : UNPROVEN_TIMEOUT_MS,
      // A push that was taken is not sent again because a body breaks off.
      bytes: 0,
      signal,
      owner: projectId,
      headers: {
        TTL: String(keptForSeconds(expiresAt, clock.now())),
        Urgency: isUrgent ? 'high' : 'normal',
        'Content-Encoding': 'aes128gcm',
        'Content-Type': 'application/octet-stream',
        Authorization: await vapid.authorization(address.endpoint),
      },
      body: bodyOf(body, padTo, address),
    })

  return {
    maxBytes: MAX_RECORD_BYTES,
    sizeOf: (body) => plainOf(body).length + OVERHEAD_BYTES,
    async send({ address, projectId }, message, signal) {
      if (!('endpoint' in address)) return { kind: 'refused', reason: 'not a subscription', of: 'message' }
      const host = hostOf(address.endpoint)
      const place = places.enter(host, projectId)
      if (!place) {
        // One that has failed comes after a pause that doubles, as if it had been asked.
        const pauseMs = places.hasFailed(host) ? undefined : NO_PLACE_PAUSE_MS * (1 + 4 * Math.random())
        return later('its host has not answered yet', pauseMs, false)
      }
      let isAnswered = false
      try {
        const answer = await post(address, message, { projectId, isProven: place.isProven }, signal)
        isAnswered = true
        return outcomeOf(answer, clock.now())
      } catch (error) {
        if (error instanceof HostNotAsked)
          return later(error.message, Math.max(0, error.until - clock.now()), false)
        // An address inside our network, or no URL: it will never be another one.
        if (error instanceof ProtocolError && (error.code === 'forbidden' || error.code === 'bad_params'))
          return { kind: 'gone', reason: error.message }
        return later(error instanceof Error ? error.message : String(error), undefined, false)
      } finally {
        place.leave(isAnswered)
      }
    },
  }
}
