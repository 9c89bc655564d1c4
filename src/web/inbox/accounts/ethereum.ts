/** Wallets that tell of themselves by EIP-6963, and the one that older ones put at `window.ethereum`. */
import * as z from 'zod'
import { toHex, utf8 } from '../../../protocol/bytes.ts'
import { checksumAddress } from '../../../protocol/caip.ts'
import { type BrowserWallet, NO_ACCOUNT, ownPicture } from './wallets.ts'

const ADDRESS = /^0x[0-9a-f]{40}$/i
/** An injected wallet that says nothing of itself. */
const LEGACY = { id: 'ethereum:injected', name: 'Ethereum' }

interface Provider {
  request(request: { method: string; params?: readonly unknown[] }): Promise<unknown>
}
const isProvider = (value: unknown): value is Provider =>
  typeof value === 'object' && value !== null && typeof Reflect.get(value, 'request') === 'function'

const announced = z.object({
  info: z.object({ rdns: z.string().max(256), name: z.string().max(128), icon: z.unknown() }),
  provider: z.custom<Provider>(isProvider),
})

const walletOf = (
  provider: Provider,
  { id, name, icon }: Pick<BrowserWallet, 'id' | 'name'> & { icon?: unknown },
): BrowserWallet => ({
  ...{ id, name, icon: ownPicture(icon), chain: 'Ethereum' },
  async connect() {
    const accounts = z.array(z.string()).safeParse(await provider.request({ method: 'eth_requestAccounts' }))
    const address = accounts.data?.find((one) => ADDRESS.test(one))
    if (address === undefined) throw new Error(NO_ACCOUNT)
    // An account is the same person on every chain: which one is named here says nothing.
    return `eip155:1:${checksumAddress(address)}`
  },
  async sign(account, text) {
    const address = account.slice(account.lastIndexOf(':') + 1)
    // A page that was opened again may have to be let in again.
    await provider.request({ method: 'eth_requestAccounts' })
    const params = [`0x${toHex(utf8(text))}`, address]
    return z.string().parse(await provider.request({ method: 'personal_sign', params }))
  },
})

/** Calls `found` for each wallet that is there, or comes. */
export const findEthereumWallets = (window: Window, found: (wallet: BrowserWallet) => void): void => {
  let isAnyAnnounced = false
  window.addEventListener('eip6963:announceProvider', (event) => {
    const { data } = announced.safeParse(event instanceof CustomEvent ? event.detail : undefined)
    if (!data) return
    isAnyAnnounced = true
    const { rdns, name, icon } = data.info
    found(walletOf(data.provider, { id: `ethereum:${rdns}`, name, icon }))
  })
  window.dispatchEvent(new Event('eip6963:requestProvider'))
  const injected: unknown = Reflect.get(window, 'ethereum')
  if (!isAnyAnnounced && isProvider(injected)) found(walletOf(injected, LEGACY))
}
