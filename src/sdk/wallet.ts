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
} from '../notify/client/index.ts'
import { systemClock } from '../platform/runtime/clock.ts'
import { silent, unmeasured } from '../platform/telemetry.ts'

export { createKeysClient, type KeysClient } from '../keys/client.ts'
export {
  fromAppDomain,
  fromNotifyServer,
  type HistoryPage,
  type Notification,
  type PublicKeys,
  type ReceivedNotification,
  type ResolveAppKeys,
  type Sign,
  type Subscription,
  type Wallet,
  type WalletEvents,
  type WalletOptions,
  type WalletState,
} from '../notify/client/index.ts'
export { systemClock } from '../platform/runtime/clock.ts'
export { silent, unmeasured } from '../platform/telemetry.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'

/** The parts that do not live under `url` are named one by one. */
type Where =
  | { url: string; relayUrl?: string; notifyUrl?: string; keysUrl?: string }
  | { url?: undefined; relayUrl: string; notifyUrl: string; keysUrl: string }

export type CreateWalletOptions = Omit<WalletOptions, 'relayUrl' | 'notifyUrl' | 'keysUrl'> & Where

/**
 * A device of one account: subscribes, receives, reads and deletes over a relay and a notify server.
 *
 * @param options the account, what signs for it, where the servers are (`url`, or each by itself), and the state of last time
 * @param deps clock, log, meter, `fetch` and key registry; default: those of the platform, silent and unmeasured
 * @returns the device; it connects when it is first needed, and is ended by `await wallet[Symbol.asyncDispose]()`
 * @throws `TypeError` when a server's URL is missing
 * @example
 * const wallet = createWallet({ url: 'https://notify.example.com', account, domain: 'wallet.example.com', allApps: true, sign })
 * wallet.on('message', ({ domain, notification }) => show(domain, notification))
 * await wallet.subscribe('app.example.com')
 */
export const createWallet = (options: CreateWalletOptions, deps: Partial<WalletDeps> = {}): Wallet => {
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
  const keys = deps.keys ?? createKeysClient({ clock, fetch }, { url: keysUrl })
  return createWalletWith(
    { ...deps, clock, log, meter, fetch, keys },
    { ...options, relayUrl, notifyUrl, keysUrl },
  )
}
