/** The notify room's clients: the wallet's side (`wallet/`) and the dapp's side (`dapp.ts`). */

export { fromAppDomain, fromNotifyServer, type PublicKeys, type ResolveAppKeys } from './app-keys.ts'
export { createDapp } from './dapp.ts'
export type {
  HistoryPage,
  Wallet,
  WalletDeps,
  WalletEvents,
  WalletOptions,
} from './wallet/api.ts'
export type { Sign } from './wallet/identity.ts'
export type { Notification, ReceivedDigest, ReceivedNotification } from './wallet/inbox.ts'
export type { Subscription, WalletState } from './wallet/state.ts'
export { createWallet } from './wallet/wallet.ts'
