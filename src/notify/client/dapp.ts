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
 */
import * as z from 'zod'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../../platform/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'

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

export interface Sent {
  sent: string[]
  failed: { account: string; reason: string }[]
  /** Not subscribed. */
  notFound: string[]
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
    options?: { id?: string },
  ): Promise<Sent>
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
})
const subscribed = z.array(z.string())
const wanted = z.record(z.string(), z.object({ notification_types: z.array(z.string()) }))

const pagesOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

export const createDapp = (
  deps: FetchDeps,
  { url, projectId, secret, domain, signal }: DappOptions,
): Dapp => {
  const base = url.replace(/\/+$/, '')
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

  return {
    enrol: (app) =>
      ask(enrolled, `/${project}/subscribe-topic`, { method: 'POST', body: { appDomain: app } }),

    describe: (app, description) =>
      ask(described, `/v1/${project}/apps/${encodeURIComponent(app)}`, { method: 'PUT', body: description }),

    async notify(notification, accounts, { id } = {}) {
      const sum: Sent = { sent: [], failed: [], notFound: [] }
      for (const page of pagesOf(accounts, ACCOUNTS_A_NOTIFY)) {
        const message = {
          notification,
          accounts: page,
          ...appDomain,
          ...(id !== undefined && { notification_id: id }),
        }
        const answer = await ask(notified, `/v1/${project}/notify`, { method: 'POST', body: [message] })
        sum.sent.push(...answer.sent)
        sum.failed.push(...answer.failed)
        sum.notFound.push(...answer.not_found)
      }
      return sum
    },

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
