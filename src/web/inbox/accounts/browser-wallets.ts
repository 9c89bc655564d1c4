/** All wallets of this browser, as they tell of themselves. */
import { signal } from '@preact/signals'
import { findEthereumWallets } from './ethereum.ts'
import { findSolanaWallets } from './solana.ts'
import type { BrowserWallet, BrowserWallets } from './wallets.ts'

/** A page that is told of more has been told nonsense. */
const MAX_WALLETS = 20

export const findBrowserWallets = (window: Window): BrowserWallets => {
  const wallets = signal<readonly BrowserWallet[]>([])
  const found = (wallet: BrowserWallet): void => {
    const others = wallets.value.filter(({ id }) => id !== wallet.id)
    if (others.length < MAX_WALLETS) wallets.value = [...others, wallet]
  }
  findEthereumWallets(window, found)
  findSolanaWallets(window, found)
  return wallets
}

const APPEARS_WITHIN_MS = 3_000

/** The wallet with this id, which may tell of itself a moment after the page was opened. Undefined: it is not there. */
export const walletNamed = async (
  wallets: BrowserWallets,
  id: string,
): Promise<BrowserWallet | undefined> => {
  const found = () => wallets.value.find((one) => one.id === id)
  const end = Date.now() + APPEARS_WITHIN_MS
  while (!found() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50))
  return found()
}
