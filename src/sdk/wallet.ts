/**
 * The wallet entry point: `belfry/wallet`. Node and browsers.
 *
 *     const wallet = createWallet({
 *       url: 'https://notify.example.com', account: 'eip155:1:0x…', domain: 'wallet.example.com', allApps: true,
 *       sign: (text) => personalSign(text), state: await load(), save: (state) => store(state),
 *     })
 *     wallet.on('message', ({ domain, notification }) => show(domain, notification))
 *     await wallet.watch()
 *     await wallet.subscribe('app.example.com')
 */
import '../platform/runtime/dispose-symbols.ts'
import { createKeysClient } from '../keys/client.ts'
import {
  createWallet as createWalletWith,
  type Wallet,
  type WalletDeps,
  type WalletOptions,
  type WalletStore,
} from '../notify/client/index.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { silent, unmeasured } from '../platform/telemetry.ts'
import { fromHex } from '../protocol/bytes.ts'
import { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
import { signingKeyFrom } from '../protocol/keys.ts'
import { topicOf } from '../protocol/topic.ts'
import { createPushClient, type PushClient } from '../push/client.ts'
import { forgetRead, keepForWorker, readMarks } from '../push/worker/database.ts'

export { createKeysClient, type KeysClient } from '../keys/client.ts'
export {
  type AppIcons,
  type AppPage,
  type AsyncStorage,
  asyncStorageStore,
  type ClearableStore,
  type Eip1193Provider,
  type EthereumSignerOptions,
  type EthersSigner,
  eip1193Signer,
  ethersSigner,
  fromAppDomain,
  fromNotifyServer,
  type HistoryPage,
  indexedDbStore,
  type ListedApp,
  localStorageStore,
  type Notification,
  type NotificationType,
  type PublicKeys,
  type ReceivedDigest,
  type ReceivedNotification,
  type ResolveAppKeys,
  type SealKey,
  type Sign,
  type Signer,
  type SolanaWallet,
  type StoreOptions,
  type Subscription,
  solanaSigner,
  type ViemAccount,
  type ViemWalletClient,
  viemSigner,
  type WagmiAccount,
  type Wallet,
  type WalletEvents,
  type WalletFailure,
  type WalletOptions,
  type WalletState,
  type WalletStore,
  wagmiSigner,
} from '../notify/client/index.ts'
export { systemClock } from '../platform/runtime/clock.ts'
export { silent, unmeasured } from '../platform/telemetry.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
export type { Extras, NotificationAction, Priority } from '../protocol/notify/extras.ts'
export { inLanguage } from '../protocol/notify/in-language.ts'
export type { Preferences } from '../protocol/notify/preferences.ts'
export type { PushClient, PushPreferences, PushTarget, SubscriptionJson } from '../push/client.ts'

/** The parts that do not live under `url` are named one by one. */
type Where =
  | { url: string; relayUrl?: string; notifyUrl?: string; keysUrl?: string; pushUrl?: string }
  | { url?: undefined; relayUrl: string; notifyUrl: string; keysUrl: string; pushUrl?: string }

export type CreateWalletOptions = Omit<WalletOptions, 'relayUrl' | 'notifyUrl' | 'keysUrl'> &
  Where & {
    /** The project whose credentials reach this device; default: `default`. */
    pushProject?: string
  }

/** As `CreateWalletOptions`; the state of the device is in the store. */
export type OpenWalletOptions = CreateWalletOptions & { store: WalletStore; state?: never; save?: never }

/** An answer that was pressed in a notification of the service worker. */
export interface PressedAnswer {
  /** Domain of the app. */
  domain: string
  /** Id of the notification. */
  id: string
  /** Id of the action. */
  action: string
  /** What the server refused it with; absent: it counts. */
  refused?: ErrorCode
}

/** Push of a wallet, and what its service worker needs to know. */
export interface WalletPush extends PushClient {
  /**
   * Leaves the keys of all subscriptions for the service worker (`belfry/push-worker`), marks as read what was read there, and
   * signs the answers that were pressed there. To be called when the page opens, when subscriptions change, and when the worker
   * tells of a click. Browsers only.
   *
   * @param pressed is told what became of each answer.
   * @throws when IndexedDB or the server cannot be used.
   */
  sync(pressed?: (answer: PressedAnswer) => void | Promise<void>): Promise<void>
  /**
   * Takes from the service worker what `sync` left for it. Browsers only.
   *
   * @throws when IndexedDB cannot be used.
   */
  forget(): Promise<void>
}

/** A wallet that can be reached while it is closed. */
export interface PushedWallet extends Wallet {
  readonly push: WalletPush
}

/**
 * A device of one account: subscribes, receives, reads and deletes over a relay and a notify server.
 *
 * @param options the account, what signs for it, where the servers are (`url`, or each by itself), and the state of last time
 * @param deps clock, log, meter, `fetch` and key registry; default: those of the platform, silent and unmeasured
 * @returns the device; it connects when it is first needed, and is ended by `await wallet.close()`
 * @throws `TypeError` when a server's URL is missing
 * @example
 * const wallet = createWallet({ url: 'https://notify.example.com', account, domain: 'wallet.example.com', allApps: true, sign })
 * wallet.on('message', ({ domain, notification }) => show(domain, notification))
 * await wallet.subscribe('app.example.com')
 */
export const createWallet = (options: CreateWalletOptions, deps: Partial<WalletDeps> = {}): PushedWallet => {
  const { relayUrl = options.url, notifyUrl = options.url, keysUrl = options.url } = options
  if (relayUrl === undefined || notifyUrl === undefined || keysUrl === undefined) {
    throw new TypeError('A wallet needs a url, or relayUrl, notifyUrl and keysUrl')
  }
  const {
    clock = systemClock,
    log = silent,
    meter = unmeasured,
    fetch = globalThis.fetch.bind(globalThis),
  } = deps
  const closing = new AbortController()
  const net = { clock, fetch, signal: closing.signal }
  const keys = deps.keys ?? createKeysClient(net, { url: keysUrl })
  const wallet = createWalletWith(
    { ...deps, ...net, log, meter, keys, onClose: () => closing.abort() },
    { ...options, relayUrl, notifyUrl, keysUrl },
  )
  const { pushUrl = options.url ?? notifyUrl, pushProject, projectId } = options
  const key = () => signingKeyFrom(fromHex(wallet.export().clientSeed))
  const push = createPushClient(net, {
    url: pushUrl,
    key,
    ...(pushProject !== undefined && { project: pushProject }),
  })
  const relay = { url: relayUrl.replace(/^ws/, 'http'), ...(projectId !== undefined && { projectId }) }
  return Object.assign(wallet, {
    push: {
      ...push,
      sync: (pressed: Parameters<WalletPush['sync']>[0]) => syncWorker(wallet, relay, pressed),
      forget: () => keepForWorker([], undefined),
    },
  })
}

/**
 * A device whose state is in a store: what it saved there on this device, or a new one where nothing is there yet.
 *
 * @param options as of `createWallet`, with a `store` in place of `state` and `save`
 * @param deps as of `createWallet`
 * @returns the device, once its state is read
 * @throws `ProtocolError` `state_unreadable` when what is stored was altered or sealed under another key; `account_mismatch` when it
 * is of another account
 * @example
 * const store = indexedDbStore()
 * const wallet = await openWallet({ url, domain, allApps: true, ...(await eip1193Signer(window.ethereum)), store })
 */
export const openWallet = async (
  { store, ...options }: OpenWalletOptions,
  deps: Partial<WalletDeps> = {},
): Promise<PushedWallet> => {
  const state = await store.load()
  return createWallet({ ...options, state, save: (next) => store.save(next) }, deps)
}

/** What was refused would be refused again, as where the subscription has ended: it is over, as if it had been said. */
const refusalOf = (error: unknown): ErrorCode => {
  const isFinal = error instanceof ProtocolError && error.http >= 400 && error.http < 429
  if (!isFinal) throw error
  return error.code
}

const syncWorker = async (
  wallet: Wallet,
  relay: { url: string; projectId?: string },
  pressed: Parameters<WalletPush['sync']>[0],
): Promise<void> => {
  const { clientSeed, subscriptions } = wallet.export()
  const topics = subscriptions.map(
    ({ symKey, appDomain: domain, appAuthenticationKey: authenticationKey }) => ({
      ...{ topic: topicOf(fromHex(symKey)), key: symKey, domain, authenticationKey },
    }),
  )
  await keepForWorker(topics, { ...relay, clientSeed })
  for (const { id, domain, action } of await readMarks()) {
    const said = action === undefined ? wallet.markRead(domain, [id]) : wallet.answer(domain, id, action)
    const refused = await said.then(() => undefined, refusalOf)
    if (action !== undefined) await pressed?.({ domain, id, action, ...(refused && { refused }) })
    await forgetRead(id)
  }
}
