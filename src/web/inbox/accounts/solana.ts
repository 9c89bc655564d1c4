/** Solana wallets by the Wallet Standard: they register with the page by events, each with its features. */
import * as z from 'zod'
import { toBase58, utf8 } from '../../../protocol/bytes.ts'
import { type BrowserWallet, NO_ACCOUNT, ownPicture } from './wallets.ts'

const MAINNET = '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
const CONNECT = 'standard:connect'
const SIGN_MESSAGE = 'solana:signMessage'

type Call = (input?: object) => Promise<unknown>
const call = z.custom<Call>((value) => typeof value === 'function')
/** Objects are handed back to the wallet that they are of, so they stay as they are. */
const walletAccount = z.custom<{ address: string }>(
  (value) => typeof value === 'object' && value !== null && typeof Reflect.get(value, 'address') === 'string',
)
const standardWallet = z.object({
  name: z.string().max(128),
  icon: z.unknown(),
  chains: z.array(z.string()),
  features: z.object({
    [CONNECT]: z.object({ connect: call }),
    [SIGN_MESSAGE]: z.object({ signMessage: call }),
  }),
})
const connected = z.object({ accounts: z.array(walletAccount).min(1) })
const signed = z.array(z.object({ signature: z.instanceof(Uint8Array) })).min(1)

const walletOf = (wallet: unknown): BrowserWallet | undefined => {
  const { data } = standardWallet.safeParse(wallet)
  if (!data?.chains.some((chain) => chain.startsWith('solana:'))) return undefined
  const { [CONNECT]: connecting, [SIGN_MESSAGE]: signing } = data.features
  const accounts = async () => {
    const answer = connected.safeParse(await connecting.connect())
    if (!answer.success) throw new Error(NO_ACCOUNT)
    return answer.data.accounts
  }
  return {
    ...{ id: `solana:${data.name}`, name: data.name, icon: ownPicture(data.icon), chain: 'Solana' },
    async connect() {
      const [first] = await accounts()
      if (!first) throw new Error(NO_ACCOUNT)
      return `solana:${MAINNET}:${first.address}`
    },
    async sign(account, text) {
      const address = account.slice(account.lastIndexOf(':') + 1)
      const own = (await accounts()).find((one) => one.address === address)
      if (!own) throw new Error(NO_ACCOUNT)
      const [answer] = signed.parse(await signing.signMessage({ account: own, message: utf8(text) }))
      return toBase58(answer?.signature ?? new Uint8Array())
    },
  }
}

/** Calls `found` for each wallet that is there, or comes. */
export const findSolanaWallets = (window: Window, found: (wallet: BrowserWallet) => void): void => {
  const register = (...wallets: unknown[]) => {
    for (const each of wallets) {
      const wallet = walletOf(each)
      if (wallet) found(wallet)
    }
    return () => {}
  }
  const api = { register }
  window.addEventListener('wallet-standard:register-wallet', (event) => {
    const tell: unknown = event instanceof CustomEvent ? event.detail : undefined
    if (typeof tell === 'function') tell(api)
  })
  window.dispatchEvent(new CustomEvent('wallet-standard:app-ready', { detail: api }))
}
