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
import * as z from '#schema'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Extras } from '../../protocol/notify/extras.ts'
import { withoutTrailingSlashes } from '../../protocol/urls.ts'
import {
  type BroadcastProgress,
  type BroadcastStatus,
  begun,
  cancelled,
  type DeliveryState,
  described,
  enrolled,
  failure,
  known,
  knownPage,
  notified,
  progress,
  type Receipt,
  receiptsPage,
  type SentNotification,
  subscribed,
  wanted,
} from './dapp-schema.ts'

export type { BroadcastProgress, Receipt, SentNotification } from './dapp-schema.ts'

export interface DappOptions {
  /** URL of the notify server. */
  url: string
  projectId: string
  secret: string
  /** Domain of the app that is meant, where the project has several. */
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

/**
 * What is sent. Extras are optional: a wallet that does not know them shows the rest. At most 3 actions, 5 tags, 8
 * languages and 8 KiB of extras.
 */
export interface OutgoingNotification extends Extras {
  /** Id or name of one of the app's types. */
  type: string
  /** 1 to 64 characters. */
  title: string
  /** 1 to 255 characters. */
  body: string
  icon?: string
  url?: string
}

export interface SendOptions {
  /** The caller's own, unique per app: a repeated call with the same id sends nothing twice. */
  id?: string
  /** Unix ms, at most 30 days ahead. */
  deliverAt?: number
  /** Seconds, at most 30 days: accounts that have not been sent it by then are not sent it. */
  ttl?: number
  /** A newer notification with the same key replaces this one for accounts that do not have it yet. */
  collapseKey?: string
}

export interface Sent {
  sent: string[]
  failed: { account: string; reason: string }[]
  /** Accounts that are not subscribed. */
  notFound: string[]
  /** Accounts that get it at `deliverAt`. */
  scheduled: string[]
}

/** A project on a notify server. Every call throws a `ProtocolError`: what the server answers, or `unavailable`. */
export interface Dapp {
  /**
   * Enrols the domain as an app of the project. Idempotent.
   *
   * @param domain the app's domain.
   * @returns public keys, hex, for the domain's did.json.
   * @throws {ProtocolError} `conflict` when another project holds the domain.
   * @example
   * const { authenticationKey, subscribeKey } = await dapp.enrol('app.example.com')
   */
  enrol(domain: string): Promise<{ authenticationKey: string; subscribeKey: string }>
  /**
   * Declares what an app says about itself, enrolling it when it is new.
   *
   * @param domain the app's domain.
   * @param description absent members stay as they are; `types` replaces the whole list.
   * @returns the types with their ids.
   * @throws {ProtocolError} `bad_params` with the field, or `conflict`.
   * @example
   * await dapp.describe('app.example.com', { name: 'App', types: [{ id: 'news', name: 'News' }] })
   */
  describe(domain: string, description: AppDescription): Promise<{ types: { id: string; name: string }[] }>
  /**
   * Sends a notification to accounts, now or at `deliverAt`. With an `id` a repeated call sends nothing twice, so a call
   * that failed half way can be repeated.
   *
   * @param notification `type` is the id or the name of one of the app's types.
   * @param accounts any number, CAIP-10.
   * @param options id, time, TTL and collapse key.
   * @returns what became of each account.
   * @throws {ProtocolError} `unknown_app`, `bad_params` with the field, or `rate_limited`.
   * @example
   * await dapp.notify({ type: 'news', title: 'Hello', body: 'There is news' }, ['eip155:1:0x…'], { id: 'hello-1' })
   */
  notify(
    notification: OutgoingNotification,
    accounts: readonly string[],
    options?: SendOptions,
  ): Promise<Sent>
  /**
   * Lists what was sent, newest first.
   *
   * @param page `scheduled`: lists what is scheduled instead; `after` is the `next` of the page before.
   * @returns a page; `next` is null on the last one.
   */
  notifications(page?: {
    scheduled?: boolean
    after?: string
    limit?: number
  }): Promise<{ notifications: SentNotification[]; next: string | null }>
  /**
   * @param id of the notification.
   * @returns its content, times, status and counts.
   * @throws {ProtocolError} `not_found`.
   */
  notification(id: string): Promise<SentNotification>
  /**
   * Lists what became of a notification for each account.
   *
   * @param id of the notification.
   * @param page `state`: only receipts in that state; `after` is the `next` of the page before.
   * @returns a page; `next` is null on the last one.
   * @throws {ProtocolError} `not_found`.
   */
  receipts(
    id: string,
    page?: { state?: DeliveryState; after?: string; limit?: number },
  ): Promise<{ receipts: Receipt[]; next: string | null }>
  /**
   * Withdraws what is scheduled or still queued.
   *
   * @param id of the notification.
   * @returns from how many accounts.
   * @throws {ProtocolError} `not_found`.
   */
  cancel(id: string): Promise<number>
  /**
   * Sends a notification to all subscribers that want its type; resolves before the first is sent.
   *
   * @param notification `type` is the id or the name of one of the app's types.
   * @param options id, time, TTL and collapse key.
   * @returns the id, by which `broadcastProgress` and `cancelBroadcast` find it.
   * @throws {ProtocolError} `unknown_app`, `bad_params` with the field, or `rate_limited`.
   * @example
   * const { id } = await dapp.broadcast({ type: 'news', title: 'Hello', body: 'To all' })
   */
  broadcast(
    notification: OutgoingNotification,
    options?: SendOptions,
  ): Promise<{ id: string; status: BroadcastStatus }>
  /**
   * @param id of the broadcast.
   * @returns how far it is.
   * @throws {ProtocolError} `not_found`.
   */
  broadcastProgress(id: string): Promise<BroadcastProgress>
  /**
   * Stops a broadcast and withdraws what is still queued.
   *
   * @param id of the broadcast.
   * @returns from how many accounts it was withdrawn.
   * @throws {ProtocolError} `not_found`.
   */
  cancelBroadcast(id: string): Promise<number>
  /** @returns the accounts of all live subscribers, as their wallets wrote them. */
  subscribers(): Promise<string[]>
  /**
   * @param accounts any number, CAIP-10.
   * @returns the ids of the types that each account wants; accounts that are not subscribed are left out.
   */
  typesOf(accounts: readonly string[]): Promise<Map<string, string[]>>
  /** Marks all notifications of the project's apps as read. */
  markAllAsRead(): Promise<void>
}

const MAX_ACCOUNTS_PER_NOTIFY = 500
const MAX_ACCOUNTS_PER_LOOK_UP = 100

const pagesOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

/** Asks the notify server with the project's secret, and parses what it answers. */
const createAsk =
  (deps: FetchDeps, { url, secret, signal }: Pick<DappOptions, 'url' | 'secret' | 'signal'>) =>
  async <T>(schema: z.ZodType<T>, path: string, request: JsonRequest): Promise<T> => {
    const { status, body } = await fetchJson(deps, withoutTrailingSlashes(url) + path, {
      ...request,
      headers: { authorization: `Bearer ${secret}` },
      ...(signal && { signal }),
    })
    if (status >= 400) {
      const fault = failure.safeParse(body).data
      throw httpFailure(status, fault?.error, fault?.field)
    }
    const parsed = schema.safeParse(body)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the notify server answered something else')
  }
type Ask = ReturnType<typeof createAsk>

/** The project's paths, and the app that is meant. */
const createPaths = ({ projectId, domain }: Pick<DappOptions, 'projectId' | 'domain'>) => {
  const project = encodeURIComponent(projectId)
  const appDomain = domain === undefined ? {} : { appDomain: domain }
  return {
    project,
    appDomain,
    /** A path of the project with the app and further queries. */
    of(path: string, query: Record<string, string | number | undefined> = {}): string {
      const all = Object.entries({ ...appDomain, ...query }).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, `${value}`]],
      )
      return `/v1/${project}/${path}?${new URLSearchParams(all)}`
    },
    terms: ({ id, deliverAt, ttl, collapseKey }: SendOptions) => ({
      ...appDomain,
      notification_id: id,
      deliver_at: deliverAt,
      ttl,
      collapse_key: collapseKey,
    }),
  }
}
type Paths = ReturnType<typeof createPaths>

const createSent = (
  ask: Ask,
  { project, of, terms }: Paths,
): Pick<
  Dapp,
  | 'notify'
  | 'notifications'
  | 'notification'
  | 'receipts'
  | 'cancel'
  | 'broadcast'
  | 'broadcastProgress'
  | 'cancelBroadcast'
> => {
  const cancel = async (path: string): Promise<number> =>
    (await ask(cancelled, of(path), { method: 'DELETE' })).cancelled

  return {
    async notify(notification, accounts, options = {}) {
      const sum: Sent = { sent: [], failed: [], notFound: [], scheduled: [] }
      for (const page of pagesOf(accounts, MAX_ACCOUNTS_PER_NOTIFY)) {
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
    cancel: (id) => cancel(`notifications/${encodeURIComponent(id)}`),

    broadcast: (notification, options = {}) =>
      ask(begun, `/v1/${project}/broadcasts`, { method: 'POST', body: { notification, ...terms(options) } }),
    broadcastProgress: (id) => ask(progress, of(`broadcasts/${encodeURIComponent(id)}`), {}),
    cancelBroadcast: (id) => cancel(`broadcasts/${encodeURIComponent(id)}`),
  }
}

/** A project on a notify server; `belfry/dapp` gives it the clock and fetch of the platform. */
export const createDapp = (deps: FetchDeps, options: DappOptions): Dapp => {
  const ask = createAsk(deps, options)
  const paths = createPaths(options)
  const { project, appDomain } = paths
  return {
    ...createSent(ask, paths),

    enrol: (app) =>
      ask(enrolled, `/${project}/subscribe-topic`, { method: 'POST', body: { appDomain: app } }),

    describe: (app, description) =>
      ask(described, `/v1/${project}/apps/${encodeURIComponent(app)}`, { method: 'PUT', body: description }),

    subscribers: () => ask(subscribed, `/${project}/subscribers?${new URLSearchParams(appDomain)}`, {}),

    async typesOf(accounts) {
      const types = new Map<string, string[]>()
      for (const page of pagesOf(accounts, MAX_ACCOUNTS_PER_LOOK_UP)) {
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
