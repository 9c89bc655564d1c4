/**
 * The dapp's side of the notify server: its HTTP API. Node (and browsers, where a project secret has no place).
 *
 * | call          | request                                             |
 * |---------------|-----------------------------------------------------|
 * | enrol         | POST /:projectId/subscribe-topic                    |
 * | describe      | PUT /v1/:projectId/apps/:domain                     |
 * | notify        | POST /v1/:projectId/notify, 500 accounts a request  |
 * | subscribers   | GET /:projectId/subscribers                         |
 * | subscriberPage | GET /v1/:projectId/subscribers                     |
 * | typesOf       | POST /v1/:projectId/subscribers, 100 accounts each  |
 * | markAllAsRead | POST /v1/:projectId/mark-all-as-read                |
 * | notifications, notification, cancel, receipts | GET, DELETE /v1/:projectId/notifications… |
 * | broadcast, broadcastProgress, cancelBroadcast | POST, GET, DELETE /v1/:projectId/broadcasts… |
 * | webhooks | /:projectId/register-webhook, /:projectId/webhooks…, /v1/:projectId/webhooks/:id/dead-letters… |
 * | welcome, setWelcome | GET, POST /v0/:projectId/welcome-notification |
 * | settings, setSettings | GET, PUT /v1/:projectId/settings |
 */
import * as z from '#schema'
import type { Dapp, DappOptions, Sent } from './dapp/api.ts'
import { type Ask, type AskDeps, createAsk, createPaths, type Paths } from './dapp/ask.ts'
import { createEach } from './dapp/each.ts'
import { createOwn } from './dapp/own.ts'
import {
  begun,
  cancelled,
  described,
  enrolled,
  known,
  knownPage,
  notified,
  progress,
  receiptsPage,
  subscribed,
  subscribersPage,
  wanted,
} from './dapp-schema.ts'

export type {
  AppDescription,
  Dapp,
  DappOptions,
  DappWebhooks,
  OutgoingNotification,
  RetryOptions,
  SendOptions,
  Sent,
} from './dapp/api.ts'
export type {
  BroadcastProgress,
  DeadLetter,
  ProjectSettings,
  Receipt,
  SentNotification,
  Subscriber,
  Webhook,
  WelcomeNotification,
} from './dapp-schema.ts'

const MAX_ACCOUNTS_PER_NOTIFY = 500
const MAX_ACCOUNTS_PER_LOOK_UP = 100

const pagesOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

const createSent = (
  ask: Ask,
  { project, of, terms }: Paths,
  newId: () => string,
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
      // With an id each call may be repeated, and all of them are one notification.
      const { id = newId() } = options
      const sum: Sent = { id, sent: [], failed: [], notFound: [], scheduled: [] }
      for (const page of pagesOf(accounts, MAX_ACCOUNTS_PER_NOTIFY)) {
        const message = {
          notification,
          accounts: page,
          ...terms({ ...options, id }),
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

    broadcast(notification, options = {}) {
      const { id = newId() } = options
      const body = { notification, ...terms({ ...options, id }) }
      return ask(begun, `/v1/${project}/broadcasts`, { method: 'POST', body })
    },
    broadcastProgress: (id) => ask(progress, of(`broadcasts/${encodeURIComponent(id)}`), {}),
    cancelBroadcast: (id) => cancel(`broadcasts/${encodeURIComponent(id)}`),
  }
}

export interface DappDeps extends AskDeps {
  /** Of notifications. */
  newId?: () => string
}

/** A project on a notify server; `belfry/dapp` gives it the clock and fetch of the platform. */
export const createDapp = (deps: DappDeps, options: DappOptions): Dapp => {
  const { newId = () => globalThis.crypto.randomUUID() } = deps
  const ask = createAsk(deps, options)
  const paths = createPaths(options)
  const { project, appDomain, of } = paths
  const sent = createSent(ask, paths, newId)
  const subscriberPage: Dapp['subscriberPage'] = (page = {}) =>
    ask(subscribersPage, of('subscribers', page), {})
  return {
    ...sent,
    subscriberPage,
    ...createEach({ ...sent, subscriberPage }),
    ...createOwn(ask, paths),

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
