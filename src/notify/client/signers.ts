/**
 * What a wallet needs of whoever signs for an account, out of what applications have already. None of those libraries is
 * needed here: each is known by the members that are used.
 */
import { toBase58, toHex, utf8 } from '../../protocol/bytes.ts'
import { checksumAddress } from '../../protocol/caip.ts'
import type { Signature } from '../../protocol/namespaces.ts'
import type { Sign } from './wallet/identity.ts'

/** An account and what signs for it: two of the options of a wallet. */
export interface Signer {
  /** CAIP-10. */
  account: string
  sign: Sign
}

export interface EthereumSignerOptions {
  /** Number of the chain that the account is written with. An account is the same person on every chain. Default 1. */
  chainId?: number
  /**
   * Kind of the signature. Default: `eip191` for one of 65 bytes, `eip6492` for one that says so, else `eip1271`. A smart
   * account whose signatures have 65 bytes must be named here.
   */
  type?: 'eip191' | 'eip1271' | 'eip6492'
}

/** Length of a signature of a key: 65 bytes in hex. */
const KEY_SIGNATURE_LENGTH = 2 + 2 * 65
const EIP_6492_END = '6492'.repeat(16)

const kindOf = (signature: string): 'eip191' | 'eip1271' | 'eip6492' => {
  if (signature.length === KEY_SIGNATURE_LENGTH) return 'eip191'
  return signature.endsWith(EIP_6492_END) ? 'eip6492' : 'eip1271'
}

const signatureOf = (s: string, t = kindOf(s)): string | Signature => (t === 'eip191' ? s : { t, s })

const ethereumSigner = (
  address: string,
  { chainId = 1, type }: EthereumSignerOptions,
  sign: (text: string) => Promise<string>,
): Signer => ({
  account: `eip155:${chainId}:${checksumAddress(address)}`,
  sign: async (text) => signatureOf(await sign(text), type),
})

/** What is used of an account of viem (`privateKeyToAccount`, `toAccount`, a smart account). */
export interface ViemAccount {
  address: string
  signMessage(request: { message: string }): Promise<string>
}

/** What is used of a `WalletClient` of viem. */
export interface ViemWalletClient<A extends { address: string } = { address: string }> {
  account?: A | undefined
  /** Where its type leaves open whether it has an account, each request must name one. */
  signMessage(request: { account: A & {}; message: string }): Promise<string>
}

/**
 * Signs with viem.
 *
 * @param signer an account that signs, or a `WalletClient` that has an account.
 * @param options how the account is written, and the kind of its signatures.
 * @returns two options of a wallet.
 * @throws {TypeError} when the client has no account.
 * @example
 * const wallet = createWallet({ ...options, ...viemSigner(privateKeyToAccount(key)) })
 */
export const viemSigner = <A extends { address: string }>(
  signer: ViemAccount | ViemWalletClient<A>,
  options: EthereumSignerOptions = {},
): Signer => {
  if ('address' in signer)
    return ethereumSigner(signer.address, options, (message) => signer.signMessage({ message }))
  const { account } = signer
  if (account === undefined) throw new TypeError('The wallet client has no account')
  return ethereumSigner(account.address, options, (message) => signer.signMessage({ account, message }))
}

/** What is used of a `Signer` of ethers, version 5 or 6. */
export interface EthersSigner {
  getAddress(): Promise<string>
  signMessage(text: string): Promise<string>
}

/**
 * Signs with ethers.
 *
 * @param signer of ethers.
 * @param options how the account is written, and the kind of its signatures.
 * @returns two options of a wallet, once the signer has said its address.
 * @example
 * const wallet = createWallet({ ...options, ...(await ethersSigner(await provider.getSigner())) })
 */
export const ethersSigner = async (
  signer: EthersSigner,
  options: EthereumSignerOptions = {},
): Promise<Signer> => ethereumSigner(await signer.getAddress(), options, (text) => signer.signMessage(text))

/** What is used of wagmi: the address of `useAccount`, and `signMessageAsync` of `useSignMessage`. */
export interface WagmiAccount {
  address: `0x${string}`
  /** Or `(request) => signMessage(config, request)` of `@wagmi/core`. */
  signMessage(request: { account: `0x${string}`; message: string }): Promise<string>
}

/**
 * Signs with wagmi.
 *
 * @param connected the address, and what signs for it.
 * @param options how the account is written, and the kind of its signatures.
 * @returns two options of a wallet.
 * @example
 * const { address } = useAccount()
 * const { signMessageAsync: signMessage } = useSignMessage()
 * const signer = address && wagmiSigner({ address, signMessage })
 */
export const wagmiSigner = (
  { address, signMessage }: WagmiAccount,
  options: EthereumSignerOptions = {},
): Signer => ethereumSigner(address, options, (message) => signMessage({ account: address, message }))

/** What is used of a provider of EIP-1193. */
export interface Eip1193Provider {
  request(request: { method: string; params?: unknown }): Promise<unknown>
}

const textOf = (value: unknown, method: string): string => {
  if (typeof value === 'string') return value
  throw new TypeError(`The provider answered ${method} with something else`)
}

/**
 * Signs with a provider of EIP-1193, like `window.ethereum`. It is asked for its accounts now.
 *
 * @param provider asks its owner.
 * @param options `address`: which of its accounts; default: the first one.
 * @returns two options of a wallet.
 * @throws what the provider throws, or a `TypeError` when it has no such account.
 * @example
 * const wallet = createWallet({ ...options, ...(await eip1193Signer(window.ethereum)) })
 */
export const eip1193Signer = async (
  provider: Eip1193Provider,
  { address: wanted, ...options }: EthereumSignerOptions & { address?: string } = {},
): Promise<Signer> => {
  const accounts = await provider.request({ method: 'eth_requestAccounts' })
  const addresses = (Array.isArray(accounts) ? accounts : []).filter((one) => typeof one === 'string')
  const address = addresses.find((one) => wanted === undefined || one.toLowerCase() === wanted.toLowerCase())
  if (address === undefined) throw new TypeError('The provider has no such account')
  return ethereumSigner(address, options, async (text) => {
    const method = 'personal_sign'
    return textOf(await provider.request({ method, params: [`0x${toHex(utf8(text))}`, address] }), method)
  })
}

/** What is used of a wallet adapter of Solana, and of what wallets leave in a page. */
export interface SolanaWallet {
  publicKey: { toBase58(): string } | null
  signMessage?: ((message: Uint8Array) => Promise<Uint8Array | { signature: Uint8Array }>) | undefined
}

const SOLANA_MAINNET = '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'

/**
 * Signs with a wallet of Solana.
 *
 * @param wallet is connected.
 * @returns two options of a wallet.
 * @throws {TypeError} when it is not connected, or cannot sign texts.
 * @example
 * const wallet = createWallet({ ...options, ...solanaSigner(useWallet()) })
 */
export const solanaSigner = (wallet: SolanaWallet): Signer => {
  const { publicKey } = wallet
  if (!publicKey) throw new TypeError('The wallet is not connected')
  if (!wallet.signMessage) throw new TypeError('The wallet cannot sign texts')
  return {
    account: `solana:${SOLANA_MAINNET}:${publicKey.toBase58()}`,
    async sign(text) {
      const answer = await wallet.signMessage?.(utf8(text))
      if (!answer) throw new TypeError('The wallet has not signed')
      // Told by what it has: bytes of an extension or a frame are of another realm, and no instance of this one's class.
      return toBase58('signature' in answer ? answer.signature : answer)
    },
  }
}
