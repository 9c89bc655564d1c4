import type { createDapp } from '../../src/sdk/dapp.ts'
import type { createWallet, fromNotifyServer, Notification, systemClock } from '../../src/sdk/wallet.ts'
import { newOwner } from '../support/owner.ts'

/** What the package offers a page; types only, so that the page runs what was built. */
export interface Offered {
  createWallet: typeof createWallet
  createDapp: typeof createDapp
  fromNotifyServer: typeof fromNotifyServer
  systemClock: typeof systemClock
}

export interface Scene {
  url: string
  projectId: string
  secret: string
  domain: string
  type: string
}

/** What is bundled: the package by its name, as an application imports it. */
export const STORY_PAGE = `
  import * as wallet from 'belfry/wallet'
  import * as dapp from 'belfry/dapp'
  import { openStory } from './test/sdk/story.ts'
  export const open = (scene) => openStory({ ...wallet, ...dapp }, scene)
`

/**
 * A wallet and a dapp in one page. Runs in a browser: nothing of Node, and what it answers is JSON.
 *
 * @public STORY_PAGE imports it by its path.
 */
export const openStory = (offered: Offered, { url, projectId, secret, domain, type }: Scene) => {
  const { createWallet, createDapp, fromNotifyServer, systemClock } = offered
  const { account, sign } = newOwner()
  const dapp = createDapp({ url, projectId, secret, domain })
  const wallet = createWallet({
    url,
    account,
    domain: 'wallet.example.com',
    allApps: true,
    sign: async (text) => sign(text),
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
  })

  const received: Notification[] = []
  const waiting = new Map<string, (notification: Notification) => void>()
  wallet.on('message', ({ notification }) => {
    received.push(notification)
    waiting.get(notification.title)?.(notification)
  })
  const arrival = (title: string) => new Promise<Notification>((resolve) => waiting.set(title, resolve))
  /** The dapp sends, and the wallet of the same page receives; answers the body that arrived. */
  const send = async (title: string) => {
    const arrived = arrival(title)
    const { sent } = await dapp.notify({ type, title, body: `${title}, body` }, [account])
    if (sent.length !== 1) throw new Error(`“${title}” was not sent`)
    return (await arrived).body
  }

  return {
    /** The whole journey but its end. */
    async live() {
      await wallet.register()
      const before = await wallet.watch()
      const subscription = await wallet.subscribe(domain)
      const first = await send('First')
      const second = await send('Second')
      const [newest] = received.slice(-1)
      if (newest) await wallet.markRead(domain, [newest.id])
      const { notifications } = await wallet.history(domain)
      return {
        before: before.length,
        scope: [...subscription.scope],
        first,
        second,
        history: notifications.map(({ title, isRead }) => ({ title, isRead })),
        account,
      }
    },
    send,
    async leave() {
      await wallet.delete(domain)
      const nobody = await dapp.notify({ type, title: 'Anyone?', body: 'There?' }, [account])
      await wallet.unregister()
      await wallet[Symbol.asyncDispose]()
      return {
        left: wallet.subscriptions().length,
        notFound: nobody.notFound.length,
        received: received.map(({ title }) => title),
      }
    },
  }
}
