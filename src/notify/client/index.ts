/** The notify room's clients: the wallet's side (`wallet/`) and the dapp's side (`dapp.ts`). */

export { fromAppDomain, fromNotifyServer, type PublicKeys, type ResolveAppKeys } from './app-keys.ts'
export {
  type AppDescription,
  type BroadcastProgress,
  createDapp,
  type Dapp,
  type DappOptions,
  type OutgoingNotification,
  type Receipt,
  type SendOptions,
  type Sent,
  type SentNotification,
} from './dapp.ts'
export type { AppIcons, AppPage, ListedApp } from './declared-apps.ts'
export type {
  HistoryPage,
  NotificationType,
  Wallet,
  WalletDeps,
  WalletEvents,
  WalletFailure,
  WalletOptions,
} from './wallet/api.ts'
export type { Sign } from './wallet/identity.ts'
export type { Notification, ReceivedDigest, ReceivedNotification } from './wallet/inbox.ts'
export type { Subscription, WalletState } from './wallet/state.ts'
export { createWallet } from './wallet/wallet.ts'
