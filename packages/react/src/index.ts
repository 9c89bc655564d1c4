'use client'

/** Belfry in React: a provider of one wallet, hooks over it, and an inbox. Nothing but React is needed besides. */
export {
  type SubscriptionToApp,
  useSubscribe,
  useSubscriptions,
  useUnread,
  useWallet,
  type WalletOfPage,
} from './hooks.ts'
export { Inbox, type InboxProps, type InboxTexts } from './inbox.tsx'
export { type Apps, type History, useApps, useHistory } from './lists.ts'
export type { Pages } from './pages.ts'
export { BelfryProvider, type BelfryProviderProps, type ProviderOptions } from './provider.tsx'
