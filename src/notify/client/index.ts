/** The notify room's clients: the wallet's side (`wallet/`) and the dapp's side (`dapp.ts`). */

export { fromAppDomain, fromNotifyServer, type PublicKeys, type ResolveAppKeys } from './app-keys.ts'
export { createDapp } from './dapp.ts'
export type { AppIcons, AppPage, ListedApp } from './declared-apps.ts'
export {
  type Eip1193Provider,
  type EthereumSignerOptions,
  type EthersSigner,
  eip1193Signer,
  ethersSigner,
  type Signer,
  type SolanaWallet,
  solanaSigner,
  type ViemAccount,
  type ViemWalletClient,
  viemSigner,
  type WagmiAccount,
  wagmiSigner,
} from './signers.ts'
export type { SealKey } from './stores/seal.ts'
export {
  type AsyncStorage,
  asyncStorageStore,
  indexedDbStore,
  localStorageStore,
  type StoreOptions,
} from './stores/stores.ts'
export type { ClearableStore, WalletStore } from './stores/wallet-store.ts'
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
