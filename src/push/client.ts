/**
 * Registers a wallet's device for push, so that it is reached while it is closed. Node and browsers.
 *
 * | call | request |
 * |---|---|
 * | vapidKey   | GET /push/v1/key |
 * | register   | POST /push/v1/{project}/devices, act push_register |
 * | unregister | DELETE /push/v1/{project}/devices[/{deviceId}], act push_unregister |
 */
import * as z from '#schema'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../platform/net/fetch-json.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { signJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'

/** `PushSubscription.toJSON()`. */
export interface SubscriptionJson {
  endpoint?: string | undefined
  keys?: Record<string, string> | undefined
}

/** Where the device is reached: a subscription of `pushManager`, or a token of the platform. */
export type PushTarget =
  | SubscriptionJson
  | { toJSON(): SubscriptionJson }
  | { unifiedpush: SubscriptionJson }
  | { apns: { token: string; sandbox?: boolean } }
  | { fcm: { token: string } }

/** How the device wants to be woken. */
export interface PushPreferences {
  /** The provider sees no topic, no tag, and one of three sizes. */
  hidden?: boolean
  /** X25519 public key, hex, that hidden pushes of APNs and FCM are sealed to; `belfry/wallet` makes none. */
  sealKey?: string
  /** Only messages with these tags wake. */
  tags?: readonly number[]
  /** Local times like `22:30`; what comes meanwhile is pushed when they end. */
  quiet?: { from: string; to: string; timeZone: string }
}

/** Push of one wallet. */
export interface PushClient {
  /**
   * @returns what `pushManager.subscribe` takes as `applicationServerKey`.
   * @throws {ProtocolError} what the server answers, or `unavailable`.
   */
  vapidKey(): Promise<string>
  /**
   * Registers the device, or registers it again: a registration lasts for 180 days.
   *
   * @param target a web push subscription, `{unifiedpush}`, `{apns}` or `{fcm}`.
   * @param preferences what wakes the device, and when.
   * @returns the id of the device.
   * @throws {ProtocolError} what the server answers, or `unavailable`.
   * @example
   * const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: await wallet.push.vapidKey() })
   * await wallet.push.register(subscription)
   */
  register(target: PushTarget, preferences?: PushPreferences): Promise<string>
  /**
   * Ends the registration of a device, or of all devices of this wallet.
   *
   * @param deviceId what `register` returned.
   * @throws {ProtocolError} what the server answers, or `unavailable`.
   */
  unregister(deviceId?: string): Promise<void>
}

const failed = z.object({ error: z.string() })
const registered = z.object({ deviceId: z.string() })
const keyAnswer = z.object({ vapidKey: z.string() })
const TOKEN_LIFE_S = 300

const targetOf = (target: PushTarget): object => {
  if ('apns' in target || 'fcm' in target) return target
  if ('unifiedpush' in target) return { unifiedpush: subscriptionOf(target.unifiedpush) }
  return { webpush: subscriptionOf('toJSON' in target ? target.toJSON() : target) }
}
const subscriptionOf = ({ endpoint, keys }: SubscriptionJson) => ({
  endpoint,
  keys: { p256dh: keys?.p256dh, auth: keys?.auth },
})

/**
 * A client of the push room.
 *
 * @param deps the clock and the `fetch` that are used.
 * @param options `url`: the server; `project`: whose credentials reach the device; `key`: the wallet's key on the relay.
 * @returns the client.
 */
export const createPushClient = (
  deps: FetchDeps,
  { url, project = 'default', key }: { url: string; project?: string; key: () => SigningKey },
): PushClient => {
  const base = `${withoutTrailingSlashes(url)}/push/v1`

  const ask = async <T>(schema: z.ZodType<T>, path: string, request: JsonRequest): Promise<T> => {
    const { status, body } = await fetchJson(deps, base + path, request)
    if (status !== 200) throw httpFailure(status, failed.safeParse(body).data?.error)
    const parsed = schema.safeParse(body)
    if (!parsed.success) throw new ProtocolError('unavailable', 'the push server answered something else')
    return parsed.data
  }
  const authorization = (act: string) => {
    const signer = key()
    const iat = Math.floor(deps.clock.now() / 1000)
    const claims = { iss: signer.did, aud: url, sub: project, act, iat, exp: iat + TOKEN_LIFE_S }
    return { authorization: `Bearer ${signJwt(claims, signer)}` }
  }

  return {
    vapidKey: async () => (await ask(keyAnswer, '/key', {})).vapidKey,
    async register(target, preferences = {}) {
      const body = { target: targetOf(target), ...preferences }
      const request = { method: 'POST' as const, headers: authorization('push_register'), body }
      return (await ask(registered, `/${project}/devices`, request)).deviceId
    },
    async unregister(deviceId) {
      const path = deviceId === undefined ? '' : `/${encodeURIComponent(deviceId)}`
      const request = { method: 'DELETE' as const, headers: authorization('push_unregister') }
      await ask(z.unknown(), `/${project}/devices${path}`, request)
    },
  }
}
