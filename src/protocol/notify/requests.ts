/** Claims of wallets' requests, as a notify server reads them: a module of its own, because a wallet reads none of them. */
import * as z from '#schema'
import { ProtocolError } from '../errors.ts'
import { domainDid, fromClient, readable } from '../notify-methods.ts'
import { preferences } from './preferences.ts'

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

const fromClientToApp = { ...fromClient, app: domainDid }

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

/** By the tag of the request. */
export const NOTIFY_REQUESTS = {
  4000: subscribeRequest,
  4004: appRequest,
  4008: subscribeRequest,
  4010: watchRequest,
  4014: historyRequest,
  4016: markRequest,
  4018: actionAnswerRequest,
} as const

/** Tags of requests to the server. */
export type RequestTag = keyof typeof NOTIFY_REQUESTS
export type RequestClaims<T extends RequestTag> = z.output<(typeof NOTIFY_REQUESTS)[T]>
