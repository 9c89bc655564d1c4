import type { READ_MESSAGE } from '../../src/sdk/push-worker.ts'
import type { createWallet, fromNotifyServer, SubscriptionJson, systemClock } from '../../src/sdk/wallet.ts'
import { newOwner } from '../support/owner.ts'

/** What the package offers a page; types only, so that the page runs what was built. */
interface Offered {
  createWallet: typeof createWallet
  fromNotifyServer: typeof fromNotifyServer
  systemClock: typeof systemClock
  READ_MESSAGE: typeof READ_MESSAGE
}

/** What is bundled: the package by its name, as an application imports it. */
export const WALLET_PAGE = `
  import * as wallet from 'belfry/wallet'
  import * as worker from 'belfry/push-worker'
  import { openWalletPage } from './test/push/wallet-page.ts'
  const opened = openWalletPage({ ...wallet, ...worker })
  export const enrol = opened.enrol
  export const close = opened.close
`

/**
 * A page of a wallet whose state is in the page's storage. When it is opened again it goes on, and marks as read what its
 * service worker noted; so it does when the worker tells of a click.
 *
 * @public WALLET_PAGE imports it by its path.
 */
export const openWalletPage = ({ createWallet, fromNotifyServer, systemClock, READ_MESSAGE }: Offered) => {
  const open = (url: string, account: string, sign: (text: string) => string) => {
    const known = localStorage.getItem('state')
    const wallet = createWallet({
      ...{ url, account, domain: 'wallet.example.com', allApps: true, sign: async (text) => sign(text) },
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
      save: (state) => localStorage.setItem('state', JSON.stringify(state)),
      ...(known !== null && { state: JSON.parse(known) }),
    })
    navigator.serviceWorker.addEventListener('message', ({ data }) => {
      if (data.type === READ_MESSAGE) void wallet.push.sync()
    })
    navigator.serviceWorker.startMessages()
    return wallet
  }
  const unable = (): string => {
    throw new Error('The account is not asked again')
  }
  const scene = localStorage.getItem('scene')
  let wallet: ReturnType<typeof open> | undefined
  if (scene !== null) {
    const { url, account } = JSON.parse(scene)
    wallet = open(url, account, unable)
    void wallet.push.sync()
  }

  return {
    /** A new wallet with a subscription to the app, and its device; resolves to the account. */
    async enrol(url: string, domain: string, subscription: SubscriptionJson): Promise<string> {
      const { account, sign } = newOwner()
      wallet = open(url, account, sign)
      await wallet.watch()
      await wallet.subscribe(domain)
      await wallet.push.register(subscription)
      await wallet.push.sync()
      localStorage.setItem('state', JSON.stringify(wallet.export()))
      localStorage.setItem('scene', JSON.stringify({ url, account }))
      return account
    },
    /** As when its tab is frozen: the page stays, its connection does not. */
    close: () => wallet?.[Symbol.asyncDispose](),
  }
}
