/** What a wallet is given, and what it offers. */
import type { FetchDeps } from '../../../platform/net/fetch-json.ts'
import type { Log, Meter } from '../../../platform/telemetry.ts'
import type { Cacao } from '../../../protocol/cacao.ts'
import type { SigningKey } from '../../../protocol/keys.ts'
import type { ResolveAppKeys } from '../app-keys.ts'
import type { Sign } from './identity.ts'
import type { Notification, ReceivedNotification } from './inbox.ts'
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
}

export interface WalletOptions {
  relayUrl: string
  notifyUrl: string
  keysUrl: string
  /** CAIP-10. Written everywhere exactly as it is here. */
  account: string
  /** Shows the text to the account's owner and answers their signature. Rejects when they decline. */
  sign: Sign
  /** The domain that asks: the wallet's own, or the dapp's. */
  domain: string
  /** Manage the notifications of all apps, not only those of `domain`. */
  allApps?: boolean
  projectId?: string
  /** Where the keys of an app come from. Default: `https://<domain>/.well-known/did.json`. */
  resolveAppKeys?: ResolveAppKeys
  /** What `export` gave, or `save` was given, on this device. Absent: a new device. */
  state?: unknown
  /** Called whenever the state changed, and awaited before a message is acknowledged. */
  save?: (state: WalletState) => void | Promise<void>
  /** Answer each notification with a receipt to the app (4003), as published wallets do. Default true. */
  receipts?: boolean
  /** Ms. Default 30,000. */
  requestTimeout?: number
  signal?: AbortSignal
  /**
   * Where the devices of the account share their subscriptions; a typed store of `belfry/sync`. Left alone after
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
  /** The subscriptions that the account has now. */
  changed: Subscription[]
}

export interface Wallet extends AsyncDisposable {
  readonly account: string
  /** did:key of this device's identity key. */
  readonly identityKey: string
  readonly connected: boolean
  /** Resolves when there is a connection to the relay. */
  ready(): Promise<void>
  /** Registers the identity key, unless it is. The other requests do so themselves. */
  register(): Promise<void>
  /** Takes the identity key back and forgets what the account has. */
  unregister(): Promise<void>
  /** Asks what the account has, and to be told of changes from now on. */
  watch(): Promise<Subscription[]>
  /** Without `scope`: all types that the app declares. */
  subscribe(domain: string, scope?: readonly string[]): Promise<Subscription>
  update(domain: string, scope: readonly string[]): Promise<Subscription>
  delete(domain: string): Promise<void>
  /** Newest first; `limit` 1 to 50 (default 50), `after` is the id of the last notification of the page before. */
  history(
    domain: string,
    page?: { limit?: number; after?: string; unreadFirst?: boolean },
  ): Promise<HistoryPage>
  markRead(domain: string, ids: readonly string[] | 'all'): Promise<void>
  /** What this device knows the account to have. */
  subscriptions(): Subscription[]
  on<E extends keyof WalletEvents>(
    event: E,
    listener: (value: WalletEvents[E]) => void | Promise<void>,
  ): Disposable
  /** What a restart needs; holds secret keys. */
  export(): WalletState
}
