import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { WATCH_ACTS, type WatchEvent } from '../../protocol/relay-watch.ts'
import type { StoredMessage, Watch } from '../store.ts'
import type { WatchEvents } from './jobs.ts'

/**
 * One POST, no redirects followed. Resolves with any answer; rejects when there was none, with ProtocolError `forbidden`
 * when the address is not one that may be asked, with `HostNotAsked` when its host is to be left alone.
 */
export type Post = (
  url: string,
  request: {
    headers: Record<string, string>
    body: string
    milliseconds: number
    bytes: number
    signal?: AbortSignal | undefined
    owner: string
  },
) => Promise<{ status: number }>

/** A service in this process. It is told what it would be posted, as values: nothing is signed, and nothing is parsed. */
export interface InsideService {
  /** Where it is posted to by others. */
  readonly urls: readonly string[]
  /** Resolves when the events have taken effect, durably. Rejects with the `ProtocolError` that a POST would be answered. */
  take(events: readonly WatchEvent[]): Promise<void>
}

const POST_TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
/** How long the signature of an event is good. */
const SIGNATURE_TTL_S = 300

/** An event with its message. */
export interface SignableEvent {
  events: WatchEvents
  message: StoredMessage
}

/** Signs events, and posts them; a service in this process is told them. */
export interface WatchPosts {
  /** Posts the events; resolves with the HTTP status, or with the one that a service in this process would answer. */
  events(watch: Watch, events: readonly SignableEvent[], signal: AbortSignal): Promise<number>
  /** Posts no event, signed: asks whether the service wants any. */
  challenge(watch: Watch, signal: AbortSignal): Promise<number>
}

/** What an event says of its message. */
const toldOf = ({ events: { status, at }, message }: SignableEvent): WatchEvent['evt'] => {
  const { topic, message: text, publishedAt, tag, attestation, id: messageId } = message
  return { messageId, status, topic, message: text, publishedAt, tag, attestation, at }
}

/** What a service answers that waits for another one for too long. */
const GATEWAY_TIMEOUT = 504

/** The HTTP status by which a POST with this effect is answered, or would be if nobody waited longer for it than for a POST. */
const statusOf = (effect: Promise<void>, clock: Clock): Promise<number> =>
  new Promise((resolve, reject) => {
    const timer = clock.after(POST_TIMEOUT_MS, () => resolve(GATEWAY_TIMEOUT))
    effect
      .then(
        () => resolve(200),
        (error: unknown) => (error instanceof ProtocolError ? resolve(error.http) : reject(error)),
      )
      .finally(() => timer[Symbol.dispose]())
  })

export const createWatchPosts = ({
  key,
  post,
  inside,
  clock,
}: {
  key: SigningKey
  post: Post
  inside?: InsideService | undefined
  clock: Clock
}): WatchPosts => {
  const claimsFor = ({ clientId, service, type, url }: Watch, act: string) => {
    const iat = Math.floor(clock.now() / 1000)
    const about = { act, iss: key.did, aud: service, sub: clientId, typ: type, whu: url }
    return { ...about, iat, exp: iat + SIGNATURE_TTL_S }
  }

  const sign = (watch: Watch, event: SignableEvent): string =>
    signJwt({ ...claimsFor(watch, WATCH_ACTS.event), evt: toldOf(event) }, key)

  const send = async (
    watch: Watch,
    eventAuth: readonly string[],
    signal: AbortSignal,
    authorization?: string,
  ): Promise<number> => {
    const { status } = await post(watch.url, {
      headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
      body: JSON.stringify({ eventAuth }),
      ...{ milliseconds: POST_TIMEOUT_MS, bytes: MAX_ANSWER_BYTES, signal, owner: watch.clientId },
    })
    return status
  }

  return {
    events: async (watch, events, signal) => {
      if (inside?.urls.includes(watch.url)) {
        const told = events.map((event) => ({ typ: watch.type, evt: toldOf(event) }))
        return statusOf(inside.take(told), clock)
      }
      const eventAuth = events.map((one) => sign(watch, one))
      return send(watch, eventAuth, signal)
    },
    challenge: async (watch, signal) => {
      const bearer = signJwt(claimsFor(watch, WATCH_ACTS.challenge), key)
      return send(watch, [], signal, `Bearer ${bearer}`)
    },
  }
}
