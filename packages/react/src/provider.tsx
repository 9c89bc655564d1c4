/** @jsxImportSource react */
import {
  type CreateWalletOptions,
  indexedDbStore,
  openWallet,
  type Wallet,
  type WalletStore,
} from '@belfry/wallet'
import { createContext, type ReactNode, useContext, useEffect, useRef, useState } from 'react'
import { onePageAtATime } from './one-page.ts'
import { createSession, type Session } from './session.ts'

const SessionContext = createContext<Session | undefined>(undefined)

/** As `openWallet` takes them. Default of `store`: the IndexedDB of the browser, by account. */
export type ProviderOptions = CreateWalletOptions & { store?: WalletStore }

export interface BelfryProviderProps {
  /** Whose notifications they are, and who signs. Absent: nobody is signed in. The wallet is opened and closed here. */
  options?: ProviderOptions | undefined
  /** A wallet that the application opens and closes itself, in place of `options`. */
  wallet?: Wallet | undefined
  children?: ReactNode
}

const open = ({ state: _, save: __, store, ...options }: ProviderOptions): Promise<Wallet> =>
  openWallet({ ...options, store: store ?? indexedDbStore({ name: `belfry-wallet ${options.account}` }) })

/**
 * Has a wallet for the hooks below it. On a server there is none. With other `url`, `account` or `domain` another one is
 * opened; `sign` and the rest may change at each rendering.
 *
 * @example
 * <BelfryProvider options={{ url: 'https://belfry.example.com', domain: 'app.example.com', ...viemSigner(account) }}>
 *   <Inbox />
 * </BelfryProvider>
 */
export const BelfryProvider = ({ options, wallet, children }: BelfryProviderProps) => {
  const [session] = useState(createSession)
  const latest = useRef(options)
  latest.current = options
  const { url, notifyUrl, account, domain, allApps = false } = options ?? {}
  const who = options && JSON.stringify([url, notifyUrl, account, domain, allApps])
  useEffect(() => {
    if (wallet) return session.follow(wallet)
    if (who === undefined) return
    const opening = async () => {
      const { current } = latest
      if (!current) throw new Error('There are no options')
      return open({
        ...current,
        // What signs may be another function by the time that it is asked.
        sign: (text) => (latest.current ?? current).sign(text),
      })
    }
    return onePageAtATime(`belfry-wallet ${account}`, () => session.open(opening), session.left)
  }, [session, wallet, who, account])
  return <SessionContext.Provider value={session}>{children}</SessionContext.Provider>
}

/** Throws where there is no `BelfryProvider` above. */
export const useSession = (): Session => {
  const session = useContext(SessionContext)
  if (session) return session
  throw new Error('There is no BelfryProvider above')
}
