/**
 * The dapp's side of the notify server: its HTTP API. Node (and browsers, where a project secret has no place).
 *
 * | call          | request                                             |
 * |---------------|-----------------------------------------------------|
 * | enrol         | POST /:projectId/subscribe-topic                    |
 * | describe      | PUT /v1/:projectId/apps/:domain                     |
 * | notify        | POST /v1/:projectId/notify, 500 accounts a request  |
 * | subscribers   | GET /:projectId/subscribers                         |
 * | typesOf       | POST /v1/:projectId/subscribers, 100 accounts each  |
 * | markAllAsRead | POST /v1/:projectId/mark-all-as-read                |
 * | notifications, notification, cancel, receipts | GET, DELETE /v1/:projectId/notifications… |
 * | broadcast, broadcastProgress, cancelBroadcast | POST, GET, DELETE /v1/:projectId/broadcasts… |
 */
import * as z from 'zod'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'

export interface DappOptions {
  /** The notify server's. */
  url: string
  projectId: string
  secret: string
  /** Which app is meant, where the project has several. */
  domain?: string
  signal?: AbortSignal
}

/** What an app says about itself; what is absent stays as it is. */
export interface AppDescription {
  name?: string
  description?: string
  url?: string
  icons?: { sm?: string; md?: string; lg?: string }
  /** An `id` is made where there is none. */
  types?: readonly { id?: string; name: string; description?: string }[]
  /** Named in the list of apps that anybody can read. */
  listed?: boolean
}

export interface OutgoingNotification {
  /** Id of one of the app's types. */
  type: string
  title: string
  body: string
  icon?: string
  url?: string
}

export interface SendOptions {
  /** Of your own, unique per app: doing it again with the same one sends to nobody twice. */
  id?: string
  /** Unix ms, at most 30 days ahead. */
  deliverAt?: number
  /** Seconds, at most 30 days: who has not been sent it by then is not sent it. */
  ttl?: number
  /** A newer notification with the same key replaces this one for who does not have it yet. */
  collapseKey?: string
}

export interface Sent {
  sent: string[]
  failed: { account: string; reason: string }[]
  /** Not subscribed. */
  notFound: string[]
  /** For later. */
  scheduled: string[]
}

export interface Dapp {
  /** Enrols the domain; idempotent. Public keys, hex, for the domain's did.json. */
  enrol(domain: string): Promise<{ authenticationKey: string; subscribeKey: string }>
  describe(domain: string, description: AppDescription): Promise<{ types: { id: string; name: string }[] }>
  /**
   * Any number of accounts (CAIP-10). With an `id`, doing it again sends to nobody twice; a call that failed half way
   * should be made again with the same.
   */
  notify(
    notification: OutgoingNotification,
    accounts: readonly string[],
    options?: SendOptions,
  ): Promise<Sent>
  /** What was sent, newest first; or what waits for its time. `after` is the `next` of the page before. */
  notifications(page?: {
    scheduled?: boolean
    after?: string
    limit?: number
  }): Promise<{ notifications: SentNotification[]; next: string | null }>
  notification(id: string): Promise<SentNotification>
  /** What became of it for each account, a page. */
  receipts(
    id: string,
    page?: { state?: DeliveryState; after?: string; limit?: number },
  ): Promise<{ receipts: Receipt[]; next: string | null }>
  /** Takes back what is scheduled or still queued; answers from how many accounts. */
  cancel(id: string): Promise<number>
  /** To all subscribers who want the type; resolves before the first is sent. */
  broadcast(
    notification: OutgoingNotification,
    options?: SendOptions,
  ): Promise<{ id: string; status: BroadcastStatus }>
  broadcastProgress(id: string): Promise<BroadcastProgress>
  cancelBroadcast(id: string): Promise<number>
  subscribers(): Promise<string[]>
  /** Which types each of the accounts wants; who is not subscribed is not there. */
  typesOf(accounts: readonly string[]): Promise<Map<string, string[]>>
  markAllAsRead(): Promise<void>
}

const ACCOUNTS_A_NOTIFY = 500
const ACCOUNTS_A_LOOK_UP = 100

const failure = z.object({ error: z.string(), field: z.string().optional() })
const enrolled = z.object({ authenticationKey: z.string(), subscribeKey: z.string() })
const described = z.object({ types: z.array(z.object({ id: z.string(), name: z.string() })) })
const notified = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  not_found: z.array(z.string()),
  scheduled: z.array(z.string()).optional(),
})
const state = z.enum(['queued', 'published', 'delivered', 'read', 'failed'])
const counts = z.object({
  queued: z.number(),
  published: z.number(),
  delivered: z.number(),
  read: z.number(),
  failed: z.number(),
})
const moment = z.iso.datetime().nullable()
const known = z
  .object({
    notification_id: z.string(),
    app_domain: z.string(),
    status: z.enum(['scheduled', 'queued', 'done', 'cancelled']),
    notification: z.object({
      type: z.string(),
      title: z.string(),
      body: z.string(),
      icon: z.string().nullable(),
      url: z.string().nullable(),
    }),
    created_at: moment,
    deliver_at: moment,
    deliver_by: moment,
    expires_at: moment,
    counts,
  })
  .transform((one) => ({
    id: one.notification_id,
    domain: one.app_domain,
    status: one.status,
    notification: one.notification,
    /** ISO 8601, like the others. */
    createdAt: one.created_at,
    deliverAt: one.deliver_at,
    deliverBy: one.deliver_by,
    expiresAt: one.expires_at,
    counts: one.counts,
  }))
const knownPage = z.object({ notifications: z.array(known), next: z.string().nullable() })
const receiptsPage = z.object({
  receipts: z.array(z.object({ account: z.string(), state, reason: z.string().optional(), at: z.string() })),
  next: z.string().nullable(),
})
const broadcastStatus = z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired'])
const begun = z.object({ id: z.string(), status: broadcastStatus })
const progress = z
  .object({
    id: z.string(),
    ended_at: moment,
    status: broadcastStatus,
    /** Subscribers when it began; null before. */
    total: z.number().nullable(),
    handed: z.number(),
    /** Who does not want the type. */
    skipped: z.number(),
    counts,
  })
  .transform(({ ended_at, ...rest }) => ({
    ...rest,
    /** ISO 8601; null while somebody may still be at it, also when it is cancelled already. */
    endedAt: ended_at,
  }))
const cancelled = z.object({ cancelled: z.number() })

type DeliveryState = z.infer<typeof state>
export type SentNotification = z.infer<typeof known>
export type Receipt = z.infer<typeof receiptsPage>['receipts'][number]
type BroadcastStatus = z.infer<typeof broadcastStatus>
export type BroadcastProgress = z.infer<typeof progress>

const subscribed = z.array(z.string())
const wanted = z.record(z.string(), z.object({ notification_types: z.array(z.string()) }))

const pagesOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

export const createDapp = (
  deps: FetchDeps,
  { url, projectId, secret, domain, signal }: DappOptions,
): Dapp => {
  const base = withoutTrailingSlashes(url)
  const project = encodeURIComponent(projectId)
  const appDomain = domain === undefined ? {} : { appDomain: domain }

  const ask = async <T>(schema: z.ZodType<T>, path: string, request: JsonRequest): Promise<T> => {
    const { status, body } = await fetchJson(deps, base + path, {
      ...request,
      headers: { authorization: `Bearer ${secret}` },
      ...(signal && { signal }),
    })
    if (status >= 400) {
      const said = failure.safeParse(body).data
      throw httpFailure(status, said?.error, said?.field)
    }
    const parsed = schema.safeParse(body)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the notify server answered something else')
  }

  const terms = ({ id, deliverAt, ttl, collapseKey }: SendOptions) => ({
    ...appDomain,
    notification_id: id,
    deliver_at: deliverAt,
    ttl,
    collapse_key: collapseKey,
  })

  /** A path of the project, with the app and what else is asked for. */
  const of = (path: string, query: Record<string, string | number | undefined> = {}): string => {
    const asked = Object.entries({ ...appDomain, ...query }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, `${value}`]],
    )
    return `/v1/${project}/${path}?${new URLSearchParams(asked)}`
  }

  const takeBack = async (path: string): Promise<number> =>
    (await ask(cancelled, of(path), { method: 'DELETE' })).cancelled

  return {
    enrol: (app) =>
      ask(enrolled, `/${project}/subscribe-topic`, { method: 'POST', body: { appDomain: app } }),

    describe: (app, description) =>
      ask(described, `/v1/${project}/apps/${encodeURIComponent(app)}`, { method: 'PUT', body: description }),

    async notify(notification, accounts, options = {}) {
      const sum: Sent = { sent: [], failed: [], notFound: [], scheduled: [] }
      for (const page of pagesOf(accounts, ACCOUNTS_A_NOTIFY)) {
        const message = {
          notification,
          accounts: page,
          ...terms(options),
        }
        const answer = await ask(notified, `/v1/${project}/notify`, { method: 'POST', body: [message] })
        sum.sent.push(...answer.sent)
        sum.failed.push(...answer.failed)
        sum.notFound.push(...answer.not_found)
        sum.scheduled.push(...(answer.scheduled ?? []))
      }
      return sum
    },

    notifications({ scheduled = false, after, limit } = {}) {
      return ask(
        knownPage,
        of('notifications', { ...(scheduled && { status: 'scheduled' }), after, limit }),
        {},
      )
    },
    notification: (id) => ask(known, of(`notifications/${encodeURIComponent(id)}`), {}),
    receipts: (id, page = {}) =>
      ask(receiptsPage, of(`notifications/${encodeURIComponent(id)}/receipts`, page), {}),
    cancel: (id) => takeBack(`notifications/${encodeURIComponent(id)}`),

    broadcast: (notification, options = {}) =>
      ask(begun, `/v1/${project}/broadcasts`, { method: 'POST', body: { notification, ...terms(options) } }),
    broadcastProgress: (id) => ask(progress, of(`broadcasts/${encodeURIComponent(id)}`), {}),
    cancelBroadcast: (id) => takeBack(`broadcasts/${encodeURIComponent(id)}`),

    subscribers: () => ask(subscribed, `/${project}/subscribers?${new URLSearchParams(appDomain)}`, {}),

    async typesOf(accounts) {
      const types = new Map<string, string[]>()
      for (const page of pagesOf(accounts, ACCOUNTS_A_LOOK_UP)) {
        const body = { accounts: page, ...appDomain }
        const answer = await ask(wanted, `/v1/${project}/subscribers`, { method: 'POST', body })
        for (const [account, { notification_types }] of Object.entries(answer))
          types.set(account, notification_types)
      }
      return types
    },

    async markAllAsRead() {
      await ask(z.unknown(), `/v1/${project}/mark-all-as-read`, { method: 'POST' })
    },
  }
}
