/** The types of a wallet's device: its dependencies, its options, and what it can do. */
import type { FetchDeps } from '../../../platform/net/fetch-json.ts'
import type { Log, Meter } from '../../../platform/telemetry.ts'
import type { Cacao } from '../../../protocol/cacao.ts'
import type { SigningKey } from '../../../protocol/keys.ts'
import type { Preferences } from '../../../protocol/notify/preferences.ts'
import type { ResolveAppKeys } from '../app-keys.ts'
import type { AppPage, DeclaredType } from '../declared-apps.ts'
import type { Sign } from './identity.ts'
import type { Notification, ReceivedDigest, ReceivedNotification } from './inbox.ts'
import type { SharedSubscriptions } from './shared.ts'
import type { Subscription, WalletState } from './state.ts'

/** What the wallet asks of a key registry; `keys/client` implements it. */
interface KeyServer {
  registerIdentity(cacao: Cacao, key: SigningKey): Promise<void>
  unregisterIdentity(key: SigningKey, account: string): Promise<void>
}

export interface WalletDeps extends FetchDeps {
  log: Log
  meter: Meter
  keys: KeyServer
  randomBytes?: (length: number) => Uint8Array
  /** Called when the wallet is closed. */
  onClose?: () => void
}

export interface WalletOptions {
  relayUrl: string
  notifyUrl: string
  keysUrl: string
  /** CAIP-10. Written everywhere exactly as it is here. */
  account: string
  /** Shows the text to the account's owner and resolves with their signature. Rejects when the owner declines. */
  sign: Sign
  /** The domain that asks: the wallet's own, or the dapp's. */
  domain: string
  /** Manage the notifications of all apps, not only those of `domain`. */
  allApps?: boolean
  projectId?: string
  /**
   * Take the keys of apps that publish none from the notify server, which could then read and forge what is between the
   * app and the wallet. Default: only when that server is on this machine.
   */
  trustServer?: boolean
  /** Finds the keys of an app. Default: `https://<domain>/.well-known/did.json`, then what `trustServer` allows. */
  resolveAppKeys?: ResolveAppKeys
  /** The state that `export` returned, or `save` received, on this device. Absent: a new device. */
  state?: unknown
  /** Called after each change of the state; awaited before a message is acknowledged. */
  save?: (state: WalletState) => void | Promise<void>
  /** Answer each notification with a receipt to the app (4003), as published wallets do. Default true. */
  receipts?: boolean
  /** How long a request may take, ms. Default 30,000. */
  requestTimeout?: number
  signal?: AbortSignal
  /**
   * Where the devices of the account share their subscriptions; a typed store of `belfry/sync`. Not used after
   * `unregister`.
   */
  sharedSubscriptions?: SharedSubscriptions
}

export interface HistoryPage {
  notifications: Notification[]
  hasMore: boolean
  hasMoreUnread: boolean
}

export interface WalletEvents {
  message: ReceivedNotification
  /** Only where the account has turned a digest on. */
  digest: ReceivedDigest
  /** The subscriptions that the account has now. */
  changed: Subscription[]
  /** An app's unread notifications are as many now, and those of all apps together. */
  unread: { domain: string; count: number; total: number }
  /** A connection to the relay was made. */
  connected: undefined
  /** The connection to the relay was lost; the wallet connects again by itself. */
  disconnected: undefined
  /** Something went wrong while nobody waited for it. */
  error: WalletFailure
}

/** What went wrong in the background. The wallet goes on. */
export interface WalletFailure {
  /**
   * - `message`: something came that cannot be decrypted or verified; it is dropped.
   * - `listener`: a listener rejected; a message comes again later.
   * - `save`: the state could not be saved; what needed it is tried again.
   * - `connect`: the relay refuses this device, or topics could not be joined.
   * - `watch`: the account could not be watched again; it is tried later.
   * - `share`: subscriptions could not be shared with the other devices.
   * - `receipt`: the app was not told that its notification arrived.
   */
  during: 'message' | 'listener' | 'save' | 'connect' | 'watch' | 'share' | 'receipt'
  error: unknown
}

/** A type of notification of an app. */
export interface NotificationType extends DeclaredType {
  /** Whether the account is subscribed to it. */
  isWanted: boolean
}

/** One device of one account; closing it, or disposing of it, ends its connection. */
export interface Wallet extends AsyncDisposable {
  /** CAIP-10, as the options have it. */
  readonly account: string
  /** did:key of this device's identity key. */
  readonly identityKey: string
  /** Whether there is a connection to the relay. */
  readonly connected: boolean
  /** Whether the account has let this device act for it; what is asked of the server asks it for a signature otherwise. */
  readonly registered: boolean
  /**
   * @returns when there is a connection to the relay.
   * @throws when the wallet is closed before.
   */
  ready(): Promise<void>
  /**
   * Registers the identity key with a signature of the owner, unless it is registered. Other requests do so themselves.
   *
   * @throws {ProtocolError} what the key server answers, or `unavailable`; or the error with which `sign` rejects.
   */
  register(): Promise<void>
  /**
   * Revokes the identity key and forgets the account. The device has a new identity key then.
   *
   * @throws {ProtocolError} what the key server answers, or `unavailable`.
   */
  unregister(): Promise<void>
  /**
   * Reads what the account has, and has the server report changes from now on (event `changed`).
   *
   * @returns the live subscriptions of the account.
   * @throws {ProtocolError} what the server answers, or `unavailable` after `requestTimeout`.
   * @example
   * wallet.on('changed', (subscriptions) => render(subscriptions))
   * render(await wallet.watch())
   */
  watch(): Promise<Subscription[]>
  /**
   * Subscribes the account to an app. An existing subscription keeps its topic and gets the scope.
   *
   * @param domain the app's domain.
   * @param scope ids of notification types; default: all types that the app declares.
   * @param preferences absent: as they are; null: none.
   * @returns the subscription.
   * @throws {ProtocolError} `unknown_app`, what the server answers, or `unavailable`.
   * @example
   * await wallet.subscribe('app.example.com', ['news'])
   */
  subscribe(
    domain: string,
    scope?: readonly string[],
    preferences?: Preferences | null,
  ): Promise<Subscription>
  /**
   * Replaces the scope of a subscription and renews it for 30 days.
   *
   * @param domain the app's domain.
   * @param scope ids of all notification types that the account wants.
   * @param preferences of the account, on all its devices. Absent: as they are; null: none.
   * @returns the subscription.
   * @throws {ProtocolError} `not_subscribed`, `bad_params`, what the server answers, or `unavailable`.
   * @example
   * const quiet = { from: '22:00', to: '07:00', timeZone: 'Europe/Berlin' }
   * await wallet.update('app.example.com', subscription.scope, { quiet, digest: 'daily' })
   */
  update(domain: string, scope: readonly string[], preferences?: Preferences | null): Promise<Subscription>
  /**
   * Ends a subscription.
   *
   * @param domain the app's domain.
   * @throws {ProtocolError} `not_subscribed`, what the server answers, or `unavailable`.
   */
  delete(domain: string): Promise<void>
  /**
   * Reads a page of an app's notifications, newest first.
   *
   * @param domain the app's domain.
   * @param page `limit` 1 to 50 (default 50); `after`: id of the last notification of the page before; `unreadFirst`: all
   * unread ones come before the read ones.
   * @throws {ProtocolError} `not_subscribed`, what the server answers, or `unavailable`.
   * @example
   * const { notifications, hasMore } = await wallet.history('app.example.com', { limit: 20 })
   */
  history(
    domain: string,
    page?: { limit?: number; after?: string; unreadFirst?: boolean },
  ): Promise<HistoryPage>
  /**
   * Marks notifications as read, on all devices of the account.
   *
   * @param domain the app's domain.
   * @param ids of notifications, or `all`. Unknown ids are ignored.
   * @throws {ProtocolError} `not_subscribed`, what the server answers, or `unavailable`.
   */
  markRead(domain: string, ids: readonly string[] | 'all'): Promise<void>
  /**
   * Answers an action of a notification, signed by the identity key; the notification is read then, on all devices. The
   * first answer of the account counts: the same one again changes nothing.
   *
   * @param domain the app's domain.
   * @param notificationId id of the notification.
   * @param actionId id of an action that asks for an answer.
   * @throws {ProtocolError} `unknown_notification` also for one that has expired, `unknown_action`, `already_answered` when
   * the account has answered otherwise, `not_subscribed`, what the server answers, or `unavailable`.
   * @example
   * await wallet.answer('app.example.com', notification.id, 'yes')
   */
  answer(domain: string, notificationId: string, actionId: string): Promise<void>
  /** @returns the live subscriptions that this device knows, without asking the server. */
  subscriptions(): Subscription[]
  /**
   * @param domain an app's domain; absent: all apps together.
   * @returns how many notifications the account has not read, as far as this device knows.
   */
  unread(domain?: string): number
  /**
   * Reads a page of the apps that the server lists.
   *
   * @param page `page` counts from 1; `limit` 1 to 100 (default 100).
   * @returns the apps by their domains, and how many there are.
   * @throws {ProtocolError} what the server answers, or `unavailable`.
   * @example
   * const { apps, hasMore } = await wallet.apps({ limit: 20 })
   */
  apps(page?: { page?: number; limit?: number }): Promise<AppPage>
  /**
   * Reads which types of notifications an app has, and which of them the account wants.
   *
   * @param domain the app's domain.
   * @returns the types, as the app declares them.
   * @throws {ProtocolError} `unknown_app`, or `unavailable`.
   * @example
   * const types = await wallet.typesOf('app.example.com')
   * await wallet.update('app.example.com', types.filter(({ name }) => name !== 'Ads').map(({ id }) => id))
   */
  typesOf(domain: string): Promise<NotificationType[]>
  /**
   * Calls the listener for each event. A `message` is acknowledged when its listeners have resolved; when one rejects,
   * the message comes again later.
   *
   * @param event `message`: a notification came; `digest`: what came since the last one; `changed`: the account has other
   * subscriptions; `unread`: another count of unread ones; `connected`, `disconnected`: from the relay; `error`: what went
   * wrong while nobody waited for it.
   * @param listener may return a promise.
   * @returns ends the listening when it is disposed of.
   * @example
   * using listening = wallet.on('message', ({ domain, notification }) => show(domain, notification))
   */
  on<E extends keyof WalletEvents>(
    event: E,
    listener: (value: WalletEvents[E]) => void | Promise<void>,
  ): Disposable
  /** @returns the state that a restart needs; it holds secret keys. */
  export(): WalletState
  /**
   * Ends the connection and everything that waits: calls that are under way reject with `closed`, as later ones do. The
   * account stays subscribed, and what comes meanwhile waits on the relay.
   *
   * @returns when it has ended; the same as disposing of it.
   */
  close(): Promise<void>
}
