/** The types of a dapp's client: its options, and what it can do. */
import type { Extras } from '../../../protocol/notify/extras.ts'
import type {
  BroadcastProgress,
  BroadcastStatus,
  DeadLetter,
  DeliveryState,
  ProjectSettings,
  Receipt,
  SentNotification,
  Subscriber,
  Webhook,
  WelcomeNotification,
} from '../dapp-schema.ts'
import type { WebhookEvent } from '../verify-webhook.ts'

export interface DappOptions {
  /** URL of the notify server. */
  url: string
  projectId: string
  secret: string
  /** Domain of the app that is meant, where the project has several. */
  domain?: string
  /** Ends every call, and every pause before it is repeated. */
  signal?: AbortSignal
  /** How calls are repeated that the server refuses for now. */
  retry?: RetryOptions
}

/**
 * A call that is answered with 429 or 503 is repeated after the time that `Retry-After` names, else after 0.5 s, 1 s, 2 s.
 * A call that would do something twice is repeated after 429 alone. Where a pause would be too long, the call rejects at
 * once: `retryAfter` of the error says when to come back.
 */
export interface RetryOptions {
  /** How often a call is repeated. Default 3; 0: never. */
  times?: number
  /** How long all pauses of a call may be together, ms. Default 60,000. */
  within?: number
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
  /** The caller's own, unique per app: a repeated call with the same id sends nothing twice. Default: a random one. */
  id?: string
  /** Unix ms, at most 30 days ahead. */
  deliverAt?: number
  /** Seconds, at most 30 days: accounts that have not been sent it by then are not sent it. */
  ttl?: number
  /** A newer notification with the same key replaces this one for accounts that do not have it yet. */
  collapseKey?: string
}

export interface Sent {
  /** Of the notification, by which `notification`, `receipts` and `cancel` find it. */
  id: string
  /** Accounts that get it now. */
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
   * Lists what was sent, all of it, newest first.
   *
   * @param filter `scheduled`: lists what is scheduled instead; `limit`: how many are read at once.
   * @example
   * for await (const { id, counts } of dapp.eachNotification()) console.log(id, counts.read)
   */
  eachNotification(filter?: { scheduled?: boolean; limit?: number }): AsyncIterable<SentNotification>
  /**
   * Lists what became of a notification, for all accounts.
   *
   * @param id of the notification.
   * @param filter `state`: only receipts in that state; `limit`: how many are read at once.
   * @example
   * for await (const { account } of dapp.eachReceipt('hello-1', { state: 'read' })) console.log(account)
   */
  eachReceipt(id: string, filter?: { state?: DeliveryState; limit?: number }): AsyncIterable<Receipt>
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
   * Lists the subscribers of the app, or of all apps of the project where no `domain` is meant, a page at a time.
   *
   * @param page `after` is the `next` of the page before; `limit` at most 1000.
   * @returns a page, which may be shorter than `limit`; `next` is null on the last one.
   */
  subscriberPage(page?: {
    after?: string
    limit?: number
  }): Promise<{ subscribers: Subscriber[]; next: string | null }>
  /**
   * Lists the subscribers as `subscriberPage` does, all of them.
   *
   * @param filter `limit`: how many are read at once.
   * @example
   * for await (const { account, types } of dapp.eachSubscriber()) console.log(account, types)
   */
  eachSubscriber(filter?: { limit?: number }): AsyncIterable<Subscriber>
  /**
   * @param accounts any number, CAIP-10.
   * @returns the ids of the types that each account wants; accounts that are not subscribed are left out.
   */
  typesOf(accounts: readonly string[]): Promise<Map<string, string[]>>
  /** Marks all notifications of the project's apps as read. */
  markAllAsRead(): Promise<void>
  /** Servers of the project that are told what happens. */
  readonly webhooks: DappWebhooks
  /**
   * @returns what every new subscriber of the app gets; null where nothing was set.
   * @throws {ProtocolError} `unknown_app` when the project has none.
   */
  welcome(): Promise<WelcomeNotification | null>
  /**
   * Sets what every new subscriber gets once, if they want its type.
   *
   * @param notification in place of the one before; `enabled: false` keeps it for later.
   * @throws {ProtocolError} `bad_params` with the field, or `unknown_app`.
   * @example
   * await dapp.setWelcome({ enabled: true, type: 'news', title: 'Welcome', body: 'Good to see you' })
   */
  setWelcome(notification: Omit<WelcomeNotification, 'url'> & { url?: string | null }): Promise<void>
  /** @returns what the project has set for itself. */
  settings(): Promise<ProjectSettings>
  /**
   * @param settings in place of those before; `retentionDays` 1 to 3650.
   * @returns the settings as they are now.
   * @throws {ProtocolError} `bad_params` with the field.
   */
  setSettings(settings: ProjectSettings): Promise<ProjectSettings>
}

/** What a webhook can be told. */
export type WebhookEventName = Exclude<WebhookEvent['type'], 'challenge'>

/** The webhooks of a project. `verifyWebhook` verifies what they are told. */
export interface DappWebhooks {
  /** @returns all of them. */
  list(): Promise<Webhook[]>
  /**
   * Registers a webhook. Its server is asked first whether it wants events.
   *
   * @param webhook https URL, and the events that it wants.
   * @returns its id, and the secret that signs its calls, which is shown this once.
   * @throws {ProtocolError} `bad_params` for a URL that is not public.
   * @example
   * const { id, secret } = await dapp.webhooks.add({ url: 'https://app.example.com/hooks', events: ['read'] })
   */
  add(webhook: { url: string; events: readonly WebhookEventName[] }): Promise<{ id: string; secret: string }>
  /**
   * Changes a webhook, and enables it again.
   *
   * @param id of the webhook.
   * @param change absent members stay as they are; `rotateSecret`: the old and the new secret both sign for a day.
   * @returns the new secret, where it was rotated.
   * @throws {ProtocolError} `not_found`, or `bad_params`.
   */
  change(
    id: string,
    change: { url?: string; events?: readonly WebhookEventName[]; rotateSecret?: boolean },
  ): Promise<string | undefined>
  /**
   * Removes a webhook, with everything that waits for it.
   *
   * @param id of the webhook.
   * @throws {ProtocolError} `not_found`.
   */
  remove(id: string): Promise<void>
  /**
   * Lists events that are not tried any more; they are kept for 30 days.
   *
   * @param id of the webhook.
   */
  eachDeadLetter(id: string): AsyncIterable<DeadLetter>
  /**
   * Tries dead letters again.
   *
   * @param id of the webhook.
   * @param eventId of one of them; absent: all.
   * @returns how many.
   * @throws {ProtocolError} `not_found`.
   */
  replay(id: string, eventId?: string): Promise<number>
}
