/** The wallet of a page as React sees it: one snapshot, replaced whenever something changes. Knows no React. */
import type { Subscription, Wallet } from '@belfry/wallet'

export interface Snapshot {
  /**
   * `none`: nobody is signed in, or the page is rendered on a server; `elsewhere`: another page of this browser has the
   * wallet, until this one is looked at; `failed`: see `error`.
   */
  status: 'none' | 'opening' | 'open' | 'elsewhere' | 'failed'
  wallet: Wallet | undefined
  /** Whether there is a connection to the relay. */
  isConnected: boolean
  /** Whether the account has let this device act for it; `enable` asks. */
  isEnabled: boolean
  subscriptions: readonly Subscription[]
  /** Of all apps together. */
  unread: number
  /** What failed last while nobody waited for it. */
  error: unknown
}

/** What is shown where there is no wallet. The same object each time, as React asks of a snapshot. */
export const NOTHING: Snapshot = {
  status: 'none',
  wallet: undefined,
  isConnected: false,
  isEnabled: false,
  subscriptions: [],
  unread: 0,
  error: undefined,
}

export interface Session {
  subscribe(listener: () => void): () => void
  snapshot(): Snapshot
  /** Opens a wallet and closes it with what this returns. Where that is called at once, as by StrictMode, none is opened. */
  open(opening: () => Promise<Wallet>): () => void
  /** Asks the account for its signature, unless it has given it, and reads what it has. */
  enable(): Promise<void>
  /** Says that another page has the wallet. */
  left(): void
  /** Follows a wallet of the application, which closes it itself. Returns what ends the following. */
  follow(wallet: Wallet): () => void
}

const viewOf = (wallet: Wallet): Partial<Snapshot> => ({
  isConnected: wallet.connected,
  isEnabled: wallet.registered,
  subscriptions: wallet.subscriptions(),
  unread: wallet.unread(),
})

/** Shows a wallet, and what becomes of it, until the result is called. */
const attach = (wallet: Wallet, set: (changed: Partial<Snapshot>) => void): (() => void) => {
  let isOver = false
  const change = (changed: Partial<Snapshot>) => {
    if (!isOver) set(changed)
  }
  const refresh = () => change(viewOf(wallet))
  const events = ['changed', 'unread', 'connected', 'disconnected'] as const
  const listening: Disposable[] = events.map((event) => wallet.on(event, refresh))
  listening.push(wallet.on('error', ({ error }) => change({ error })))
  set({ status: 'open', wallet, error: undefined, ...viewOf(wallet) })
  // A page that opens must not ask for a signature.
  if (wallet.registered) wallet.watch().then(refresh, (error: unknown) => change({ error }))
  return () => {
    isOver = true
    for (const one of listening) one[Symbol.dispose]()
  }
}

export const createSession = (): Session => {
  const listeners = new Set<() => void>()
  let snapshot = NOTHING
  /** A wallet that is being closed may still save; the next one reads what it saved. */
  let closed: Promise<unknown> = Promise.resolve()
  const set = (changed: Partial<Snapshot>) => {
    snapshot = { ...snapshot, ...changed }
    for (const listener of listeners) listener()
  }
  const reset = () => set(NOTHING)

  return {
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    snapshot: () => snapshot,
    async enable() {
      const { wallet } = snapshot
      if (!wallet) throw new Error('There is no wallet yet')
      await wallet.watch()
      if (snapshot.wallet === wallet) set(viewOf(wallet))
    },
    left: () => set({ status: 'elsewhere' }),
    follow(wallet) {
      const detach = attach(wallet, set)
      return () => {
        detach()
        reset()
      }
    },
    open(opening) {
      let isOver = false
      let end = () => {}
      const run = async (): Promise<void> => {
        if (isOver) return
        const wallet = await opening()
        const detach = isOver ? () => {} : attach(wallet, set)
        end = () => {
          detach()
          closed = wallet.close()
        }
        if (isOver) end()
      }
      set({ ...NOTHING, status: 'opening' })
      closed.then(run).catch((error: unknown) => {
        if (!isOver) set({ status: 'failed', error })
      })
      return () => {
        isOver = true
        end()
        reset()
      }
    },
  }
}
