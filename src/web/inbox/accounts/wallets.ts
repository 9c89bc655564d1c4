/** Wallets of this browser that can be the inbox's account: Ethereum's (EIP-6963, EIP-1193), and Solana's by the Wallet Standard. */
import type { ReadonlySignal } from '@preact/signals'

/** Shows the text to the account's owner, and resolves with the signature. Rejects when the owner declines. */
export type Sign = (text: string) => Promise<string>

export interface BrowserWallet {
  /** Stays the same when the page is opened again. */
  readonly id: string
  readonly name: string
  /** A picture as a `data:` URL. */
  readonly icon: string | undefined
  readonly chain: 'Ethereum' | 'Solana'
  /** Asks the wallet's owner to let this page see the account. Resolves with it, as CAIP-10. */
  connect(): Promise<string>
  /** For an account that `connect` gave, now or earlier. */
  sign(account: string, text: string): Promise<string>
}

/** The wallets that have told of themselves so far. */
export type BrowserWallets = ReadonlySignal<readonly BrowserWallet[]>

/** Pictures from elsewhere are not shown: the page asks nobody but its server. */
export const ownPicture = (icon: unknown): string | undefined =>
  typeof icon === 'string' && /^data:image\/(?:png|jpeg|gif|webp|svg\+xml)[;,]/.test(icon) ? icon : undefined

export const NO_ACCOUNT = 'The wallet gave no account'
