/** The notify room's clients: the wallet's side (`wallet.ts`) and the dapp's side (`dapp.ts`). */

export { fromAppDomain, fromNotifyServer, type PublicKeys, type ResolveAppKeys } from './client/app-keys.ts'
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
} from './client/dapp.ts'
export { createWallet } from './client/wallet.ts'
export type {
  HistoryPage,
  Wallet,
  WalletDeps,
  WalletEvents,
  WalletOptions,
} from './client/wallet-api.ts'
export type { Sign } from './client/wallet-identity.ts'
export type { Notification, ReceivedNotification } from './client/wallet-inbox.ts'
export type { Subscription, WalletState } from './client/wallet-state.ts'
