/**
 * The methods of the notify protocol: ONE table, keyed by the relay tag of the request. Dispatch on the tag, never on
 * the method's name: a published client misspells one.
 *
 * Claims schemas take what real clients send (extra claims, an `sdk` object) and normalise what may be absent.
 */
import * as z from '#schema'
import { accountFromDidPkh, domainFromDidWeb, ed25519FromDid } from './did.ts'
import { ProtocolError } from './errors.ts'
import { preferences } from './notify/preferences.ts'

// ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Text that the reader accepts. */
export const readable = (reader: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      reader(text)
    } catch (error) {
      const message = error instanceof ProtocolError ? error.message : 'it cannot be read'
      context.addIssue({ code: 'custom', message })
    }
  })
const keyDid = readable(ed25519FromDid)
const accountDid = readable(accountFromDidPkh)
export const domainDid = readable(domainFromDidWeb)

/** Unix seconds; `decodeJwt` has turned milliseconds into them. */
const time = z.number().nonnegative()

/** What every JWT here says. */
const shared = {
  iss: keyDid,
  iat: time,
  exp: time,
  act: z.string(),
  /** did:pkh of the account. */
  sub: accountDid,
  /** Major version of the protocol that the sender speaks. */
  mjv: z
    .string()
    .nullish()
    .transform((version) => version ?? '0'),
}
const addressed = { ...shared, aud: keyDid }
export const fromClient = { ...addressed, ksu: z.url().max(2048) }

/** One subscription, as its owner is told of it. */
export const subscriptionItem = z.looseObject({
  appDomain: z.string(),
  /** did:key of the app's Ed25519 key. */
  appAuthenticationKey: z.string(),
  /** Hex of the key P; the topic is its SHA-256. */
  symKey: z.string().regex(/^[0-9a-fA-F]{64}$/),
  /** CAIP-10 as this client wrote it. */
  account: z.string(),
  scope: z.array(z.string()),
  /** Unix seconds. */
  expiry: z.number(),
  unreadNotificationCount: z.number().int().nonnegative().default(0),
  /** Ours; only where the account has some. */
  preferences: preferences.optional(),
})
export type SubscriptionItem = z.output<typeof subscriptionItem>

const notification = {
  /** Stable: one that was seen before is a repetition. */
  id: z.string(),
  /** Unix milliseconds. */
  sent_at: z.number(),
  type: z.string(),
  title: z.string(),
  body: z.string(),
  is_read: z.boolean().default(false),
}
const emptyWhenMissing = z
  .string()
  .nullish()
  .transform((text) => text ?? '')
const nullWhenMissing = z
  .string()
  .nullish()
  .transform((text) => text || null)

/** `msg` of a notification: a missing icon or url is empty. */
export const messageItem = z.looseObject({ ...notification, icon: emptyWhenMissing, url: emptyWhenMissing })
export type MessageItem = z.output<typeof messageItem>
/** Item of `nfs`: a missing icon or url is null. */
export const historyItem = z.looseObject({ ...notification, icon: nullWhenMissing, url: nullWhenMissing })
export type HistoryItem = z.output<typeof historyItem>

const sbs = z.array(subscriptionItem)

// ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────

// Seconds that a request or response waits on the relay; also the life of its JWT.
const SHORT_TTL_S = 300
const LONG_TTL_S = 30 * 86_400

export interface NotifyMethod {
  method: string
  requestTag: number
  /** Seconds. */
  requestTtl: number
  responseTag: number
  /** Seconds. */
  responseTtl: number
  /** Member of the request's params that holds the JWT. */
  requestParam: string
  /** Member of the result that holds the JWT. */
  resultParam: 'responseAuth' | 'auth'
  requestAct: string
  responseAct: string
  /** Of a request to a wallet; those to the server are in `notify/requests.ts`. */
  requestClaims?: z.ZodType
  /** Of the server's response. */
  responseClaims?: z.ZodType
  /** Whose key names the topic of the request: what the receiver looks the topic up in. */
  addressedBy: 'serverKey' | 'appKey' | 'subscription' | 'watcher'
  direction: 'toServer' | 'toClient'
}

const appResponse = z.looseObject({ ...addressed, app: domainDid })
const viewResponse = z.looseObject({ ...addressed, app: domainDid, sbs })

export const NOTIFY_METHODS = {
  4000: {
    method: 'wc_notifySubscribe',
    requestTag: 4000,
    requestTtl: SHORT_TTL_S,
    responseTag: 4001,
    responseTtl: LONG_TTL_S,
    requestParam: 'subscriptionAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_subscription',
    responseAct: 'notify_subscription_response',
    responseClaims: viewResponse,
    addressedBy: 'appKey',
    direction: 'toServer',
  },
  4002: {
    method: 'wc_notifyMessage',
    requestTag: 4002,
    requestTtl: LONG_TTL_S,
    responseTag: 4003,
    responseTtl: LONG_TTL_S,
    requestParam: 'messageAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_message',
    responseAct: 'notify_message_response',
    requestClaims: z.looseObject({ ...shared, app: domainDid, msg: messageItem }),
    addressedBy: 'subscription',
    direction: 'toClient',
  },
  4004: {
    method: 'wc_notifyDelete',
    requestTag: 4004,
    requestTtl: LONG_TTL_S,
    responseTag: 4005,
    responseTtl: LONG_TTL_S,
    requestParam: 'deleteAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_delete',
    responseAct: 'notify_delete_response',
    responseClaims: viewResponse,
    addressedBy: 'subscription',
    direction: 'toServer',
  },
  4008: {
    method: 'wc_notifyUpdate',
    requestTag: 4008,
    requestTtl: SHORT_TTL_S,
    responseTag: 4009,
    responseTtl: LONG_TTL_S,
    requestParam: 'updateAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_update',
    responseAct: 'notify_update_response',
    responseClaims: viewResponse,
    addressedBy: 'subscription',
    direction: 'toServer',
  },
  4010: {
    method: 'wc_notifyWatchSubscriptions',
    requestTag: 4010,
    requestTtl: SHORT_TTL_S,
    responseTag: 4011,
    responseTtl: SHORT_TTL_S,
    requestParam: 'watchSubscriptionsAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_watch_subscriptions',
    responseAct: 'notify_watch_subscriptions_response',
    responseClaims: z.looseObject({ ...addressed, sbs }),
    addressedBy: 'serverKey',
    direction: 'toServer',
  },
  4012: {
    method: 'wc_notifySubscriptionsChanged',
    requestTag: 4012,
    requestTtl: SHORT_TTL_S,
    responseTag: 4013,
    responseTtl: SHORT_TTL_S,
    requestParam: 'subscriptionsChangedAuth',
    resultParam: 'responseAuth',
    requestAct: 'notify_subscriptions_changed',
    responseAct: 'notify_subscriptions_changed_response',
    requestClaims: z.looseObject({ ...addressed, sbs }),
    addressedBy: 'watcher',
    direction: 'toClient',
  },
  4014: {
    method: 'wc_notifyGetNotifications',
    requestTag: 4014,
    requestTtl: SHORT_TTL_S,
    responseTag: 4015,
    responseTtl: SHORT_TTL_S,
    requestParam: 'auth',
    resultParam: 'auth',
    requestAct: 'notify_get_notifications',
    responseAct: 'notify_get_notifications_response',
    responseClaims: z.looseObject({
      ...addressed,
      app: domainDid,
      nfs: z.array(historyItem),
      /** There are later pages. */
      mre: z.boolean().default(false),
      /** There are unread ones on later pages. */
      mur: z.boolean().default(false),
    }),
    addressedBy: 'subscription',
    direction: 'toServer',
  },
  4016: {
    method: 'wc_notifyMarkNotificationsAsRead',
    requestTag: 4016,
    requestTtl: SHORT_TTL_S,
    responseTag: 4017,
    responseTtl: SHORT_TTL_S,
    requestParam: 'auth',
    resultParam: 'auth',
    requestAct: 'notify_mark_notifications_as_read',
    responseAct: 'notify_mark_notifications_as_read_response',
    responseClaims: appResponse,
    addressedBy: 'subscription',
    direction: 'toServer',
  },
  /** Ours. It waits as long as a delete: the JWT is the proof of the answer, and none is to be lost. */
  4018: {
    method: 'wc_notifyAnswer',
    requestTag: 4018,
    requestTtl: LONG_TTL_S,
    responseTag: 4019,
    responseTtl: LONG_TTL_S,
    requestParam: 'auth',
    resultParam: 'auth',
    requestAct: 'notify_answer',
    responseAct: 'notify_answer_response',
    responseClaims: appResponse,
    addressedBy: 'subscription',
    direction: 'toServer',
  },
} as const satisfies Record<number, NotifyMethod>

/** Tags of requests. */
export type NotifyTag = keyof typeof NOTIFY_METHODS
/** One row of the table; narrow it by `requestTag`. */
export type NotifyRow = (typeof NOTIFY_METHODS)[NotifyTag]

const rows: readonly NotifyRow[] = Object.values(NOTIFY_METHODS)
const byRequestTag = new Map<number, NotifyRow>(rows.map((row) => [row.requestTag, row]))
const byResponseTag = new Map<number, NotifyRow>(rows.map((row) => [row.responseTag, row]))

/** The method whose request has this tag. 4050, a historic no-op, has none and is to be ignored. */
export const notifyMethodByTag = (tag: number): NotifyRow | undefined => byRequestTag.get(tag)
/** The method whose response has this tag. */
export const notifyMethodByResponseTag = (tag: number): NotifyRow | undefined => byResponseTag.get(tag)
