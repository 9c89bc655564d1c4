/** The notify room's clients: the wallet's side (`wallet.ts`) and the dapp's side (`dapp.ts`). */

export { fromAppDomain, fromNotifyServer, type PublicKeys, type ResolveAppKeys } from './client-app-keys.ts'
export {
  type AppDescription,
  createDapp,
  type Dapp,
  type DappOptions,
  type OutgoingNotification,
  type Sent,
} from './dapp.ts'
export { createWallet } from './wallet.ts'
export type {
  HistoryPage,
  Wallet,
  WalletDeps,
  WalletEvents,
  WalletOptions,
} from './wallet-api.ts'
export type { Notification, ReceivedNotification } from './wallet-inbox.ts'
export type { Subscription, WalletState } from './wallet-state.ts'
