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
const readable = (reader: (text: string) => unknown) =>
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
const domainDid = readable(domainFromDidWeb)

/** Unix seconds; `decodeJwt` has turned milliseconds into them. */
const time = z.number().nonnegative()

const NOTIFICATION_TYPE = /^(?:[a-z0-9_-]{2,32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/
const MAX_TYPES = 256

/** Type ids out of a `scp` claim, each once. Throws `bad_params` for one that is neither a UUID nor `[a-z0-9_-]{2,32}`. */
export const parseScope = (scp: string): string[] => {
  const types = [...new Set(scp.split(' ').filter((type) => type !== ''))]
  if (types.length > MAX_TYPES) throw new ProtocolError('bad_params', 'scp names too many types')
  if (!types.every((type) => NOTIFICATION_TYPE.test(type))) {
    throw new ProtocolError('bad_params', 'scp names something that is no notification type')
  }
  return types
}
const scp = readable(parseScope)

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
const fromClient = { ...addressed, ksu: z.url().max(2048) }
const fromClientToApp = { ...fromClient, app: domainDid }

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
  requestClaims: z.ZodType
  responseClaims: z.ZodType
  /** Whose key names the topic of the request: what the receiver looks the topic up in. */
  addressedBy: 'serverKey' | 'appKey' | 'subscription' | 'watcher'
  direction: 'toServer' | 'toClient'
}

const watchRequest = z.looseObject({
  ...fromClient,
  /** null: all apps. */
  app: domainDid.nullish().transform((app) => app ?? null),
})
/** `prf` is ours. Absent: the preferences stay as they are; null: there are none any more. */
const subscribeRequest = z.looseObject({ ...fromClientToApp, scp, prf: preferences.nullish() })
const appRequest = z.looseObject(fromClientToApp)
const historyRequest = z.looseObject({
  ...fromClientToApp,
  lmt: z.number().int().min(1).max(50),
  /** The page starts behind this notification. */
  aft: z
    .string()
    .max(255)
    .nullish()
    .transform((id) => id ?? null),
  /** Unread ones first. */
  urf: z
    .boolean()
    .nullish()
    .transform((first) => first ?? false),
})
const markRequest = z
  .looseObject({
    ...fromClientToApp,
    all: z
      .boolean()
      .nullish()
      .transform((all) => all ?? false),
    ids: z
      .array(z.string().max(255))
      .nullish()
      .transform((ids) => ids ?? null),
  })
  .superRefine(({ all, ids }, context) => {
    if (!all && (ids === null || ids.length < 1 || ids.length > 1000)) {
      context.addIssue({ code: 'custom', path: ['ids'], message: '1 to 1000 ids, or all' })
    }
  })

/** The answer to an action of a notification (ours). */
const actionAnswerRequest = z.looseObject({
  ...fromClientToApp,
  /** `msg.id` of the notification. */
  nid: z.string().max(255),
  /** Id of the action. */
  aid: z.string().max(64),
})

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
    requestClaims: subscribeRequest,
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
    responseClaims: appRequest,
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
    requestClaims: appRequest,
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
    requestClaims: subscribeRequest,
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
    requestClaims: watchRequest,
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
    responseClaims: z.looseObject(fromClient),
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
    requestClaims: historyRequest,
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
    requestClaims: markRequest,
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
    requestClaims: actionAnswerRequest,
    responseClaims: appResponse,
    addressedBy: 'subscription',
    direction: 'toServer',
  },
} as const satisfies Record<number, NotifyMethod>

/** Tags of requests. */
export type NotifyTag = keyof typeof NOTIFY_METHODS
export type RequestClaims<T extends NotifyTag> = z.output<(typeof NOTIFY_METHODS)[T]['requestClaims']>
export type ResponseClaims<T extends NotifyTag> = z.output<(typeof NOTIFY_METHODS)[T]['responseClaims']>
/** One row of the table; narrow it by `requestTag`. */
export type NotifyRow = (typeof NOTIFY_METHODS)[NotifyTag]

const rows: readonly NotifyRow[] = Object.values(NOTIFY_METHODS)
const byRequestTag = new Map<number, NotifyRow>(rows.map((row) => [row.requestTag, row]))
const byResponseTag = new Map<number, NotifyRow>(rows.map((row) => [row.responseTag, row]))

/** The method whose request has this tag. 4050, a historic no-op, has none and is to be ignored. */
export const notifyMethodByTag = (tag: number): NotifyRow | undefined => byRequestTag.get(tag)
/** The method whose response has this tag. */
export const notifyMethodByResponseTag = (tag: number): NotifyRow | undefined => byResponseTag.get(tag)
