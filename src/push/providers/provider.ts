/** The port to devices: what a provider is asked, and what became of it. */
import { DAY_MS } from '../../platform/units.ts'
import type { Device } from '../store.ts'

/** A message in one push. Without its text it is fetched by the device. */
export interface PushedMessage {
  topic: string
  id: string
  tag: number
  message?: string
}

/** What a push carries. The text is sealed under the topic's key, whatever the form. */
export type PushBody =
  /** One message, as the published server sends it to clients that asked for raw messages. */
  | { form: 'message'; message: PushedMessage }
  /** The same for others: `flags` has bit 0 where the blob is encrypted. */
  | { form: 'legacy'; id: string; topic: string | undefined; flags: number; blob: string | undefined }
  /** All that wait; `more` is how many others gave way to them. */
  | { form: 'together'; messages: readonly PushedMessage[]; more: number }
  /** The same, sealed to the device: base64 of an envelope of type 1. */
  | { form: 'sealed'; sealed: string }

/** A push as a provider takes it. */
export interface PushMessage {
  body: PushBody
  /** Until when the provider keeps it, unix ms. */
  expiresAt: number
  /** Whether it may wake the device at once. */
  isUrgent: boolean
  /** Bytes that it has on the way, for Web Push: a size that says nothing. */
  padTo?: number
}

/**
 * `gone`: the device will never be reached there again. `later`: after so long; `isDown` says that the whole provider does not
 * serve, not this device. `refused`: this message will never be taken, or nothing with these
 * credentials: in the environment that the device named, or at all.
 */
export type SendOutcome =
  | { kind: 'accepted' }
  | { kind: 'gone'; reason: string }
  | { kind: 'later'; afterMs?: number; reason: string; isDown: boolean }
  | { kind: 'refused'; reason: string; of: 'message' | 'environment' | 'credentials' }

export interface Provider {
  /** Bytes of the rendered push. */
  readonly maxBytes: number
  /** How many bytes the body is on the way to the device. */
  sizeOf(body: PushBody, device: Pick<Device, 'address'>): number
  /** Never rejects, and settles soon after the signal. */
  send(
    device: Pick<Device, 'address' | 'projectId'>,
    message: PushMessage,
    signal: AbortSignal,
  ): Promise<SendOutcome>
}

/** A provider with connections of its own. */
export interface OwnedProvider extends Provider, AsyncDisposable {}

/** How long a provider has for an answer. */
export const SEND_TIMEOUT_MS = 10_000
/** What a provider may answer. */
export const MAX_ANSWER_BYTES = 16 * 1024

/** For how long providers keep a push at most. FCM refuses one that is to be kept for longer than four weeks. */
const MAX_KEPT_MS = 28 * DAY_MS

/** For how long the provider is to keep a push, in whole seconds. */
export const keptForSeconds = (expiresAt: number, now: number): number =>
  Math.floor(Math.min(Math.max(expiresAt - now, 0), MAX_KEPT_MS) / 1000)

/** `Retry-After` in ms: seconds, or a date. */
export const retryAfterMs = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  const seconds = Number(header)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined
}

export const later = (reason: string, afterMs: number | undefined, isDown: boolean): SendOutcome => ({
  kind: 'later',
  reason,
  isDown,
  ...(afterMs !== undefined && { afterMs }),
})
