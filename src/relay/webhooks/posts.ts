import type { Clock } from '../../platform/runtime/clock.ts'
import { signJwt } from '../../protocol/jwt.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { WATCH_ACTS } from '../../protocol/relay-watch.ts'
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

const POST_TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
/** How long the signature of an event is good. */
const SIGNATURE_TTL_S = 300

/** An event with its message. */
export interface SignableEvent {
  events: WatchEvents
  message: StoredMessage
}

/** Signs events, and posts them. */
export interface WatchPosts {
  /** Posts the events; resolves with the HTTP status. */
  events(watch: Watch, events: readonly SignableEvent[], signal: AbortSignal): Promise<number>
  /** Posts no event, signed: asks whether the service wants any. */
  challenge(watch: Watch, signal: AbortSignal): Promise<number>
}

export const createWatchPosts = ({
  key,
  post,
  clock,
}: {
  key: SigningKey
  post: Post
  clock: Clock
}): WatchPosts => {
  const claimsFor = ({ clientId, service, type, url }: Watch, act: string) => {
    const iat = Math.floor(clock.now() / 1000)
    const about = { act, iss: key.did, aud: service, sub: clientId, typ: type, whu: url }
    return { ...about, iat, exp: iat + SIGNATURE_TTL_S }
  }

  const sign = (watch: Watch, { events: { status, at }, message }: SignableEvent): string => {
    const { topic, message: text, publishedAt, tag, attestation, id: messageId } = message
    const evt = { messageId, status, topic, message: text, publishedAt, tag, attestation, at }
    return signJwt({ ...claimsFor(watch, WATCH_ACTS.event), evt }, key)
  }

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
      const eventAuth = events.map((one) => sign(watch, one))
      return send(watch, eventAuth, signal)
    },
    challenge: async (watch, signal) => {
      const bearer = signJwt(claimsFor(watch, WATCH_ACTS.challenge), key)
      return send(watch, [], signal, `Bearer ${bearer}`)
    },
  }
}
