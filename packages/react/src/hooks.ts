/** What components know of the wallet: hooks over one snapshot of it. */
import type { Preferences, Subscription, Wallet } from '@belfry/wallet'
import { useCallback, useState, useSyncExternalStore } from 'react'
import { useSession } from './provider.tsx'
import { NOTHING, type Snapshot } from './session.ts'

const useSnapshot = (): Snapshot => {
  const { subscribe, snapshot } = useSession()
  return useSyncExternalStore(subscribe, snapshot, () => NOTHING)
}

export interface WalletOfPage
  extends Pick<Snapshot, 'status' | 'wallet' | 'isConnected' | 'isEnabled' | 'error'> {
  /** Asks the account for the signature that lets this device act for it, and reads what it has. Rejects when it declines. */
  enable(): Promise<void>
}

/** The wallet, how it stands, and what lets it act for its account. */
export const useWallet = (): WalletOfPage => {
  const { status, wallet, isConnected, isEnabled, error } = useSnapshot()
  const { enable } = useSession()
  return { status, wallet, isConnected, isEnabled, error, enable }
}

/** The subscriptions of the account. */
export const useSubscriptions = (): readonly Subscription[] => useSnapshot().subscriptions

const ofDomain = (subscriptions: readonly Subscription[], domain: string): Subscription | undefined =>
  subscriptions.find((one) => one.domain === domain)

/**
 * @param domain an app's domain; absent: all apps together.
 * @returns how many notifications are unread.
 */
export const useUnread = (domain?: string): number => {
  const { unread, subscriptions } = useSnapshot()
  return domain === undefined ? unread : (ofDomain(subscriptions, domain)?.unread ?? 0)
}

export interface SubscriptionToApp {
  /** Absent: the account is not subscribed. */
  subscription: Subscription | undefined
  /** Whether one of the calls below is under way. */
  isBusy: boolean
  /** Why the last call failed. */
  error: unknown
  /** Subscribes, or replaces what is wanted. Default of `scope`: all types. Rejects as `wallet.subscribe`. */
  subscribe(scope?: readonly string[], preferences?: Preferences | null): Promise<void>
  /** Ends the subscription. Rejects as `wallet.delete`. */
  unsubscribe(): Promise<void>
}

/** The subscription to one app, and what changes it. */
export const useSubscribe = (domain: string): SubscriptionToApp => {
  const { wallet, subscriptions } = useSnapshot()
  const [{ busy, error }, setCall] = useState<{ busy: number; error: unknown }>({ busy: 0, error: undefined })
  const call = useCallback(
    async (task: (wallet: Wallet) => Promise<unknown>): Promise<void> => {
      if (!wallet) throw new Error('There is no wallet yet')
      setCall(({ busy }) => ({ busy: busy + 1, error: undefined }))
      const failure = await task(wallet).then(
        () => undefined,
        (error: unknown) => ({ error }),
      )
      setCall(({ busy }) => ({ busy: busy - 1, error: failure?.error }))
      if (failure) throw failure.error
    },
    [wallet],
  )
  const subscribe = useCallback<SubscriptionToApp['subscribe']>(
    (scope, preferences) => call((its) => its.subscribe(domain, scope, preferences)),
    [call, domain],
  )
  const unsubscribe = useCallback(() => call((its) => its.delete(domain)), [call, domain])
  return { subscription: ofDomain(subscriptions, domain), isBusy: busy > 0, error, subscribe, unsubscribe }
}
