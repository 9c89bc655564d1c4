/** A wallet in the realm, whose owner, store and ears are outside. */
import { createWallet, type PushedWallet } from '@belfry/wallet'

export interface Outside {
  sign(text: string): string
  /** The state as text, and back: what an application keeps in its secure store. */
  save(text: string): void
  received(text: string): void
}

export const openSession = (url: string, account: string, state: string | undefined, outside: Outside) => {
  const wallet: PushedWallet = createWallet({
    ...{ url, account, domain: 'wallet.example.com', allApps: true },
    sign: async (text) => outside.sign(text),
    save: (next) => outside.save(JSON.stringify(next)),
    ...(state !== undefined && { state: JSON.parse(state) }),
  })
  wallet.on('message', ({ domain, notification }) =>
    outside.received(JSON.stringify({ domain, id: notification.id, title: notification.title })),
  )
  return {
    async enter(domain: string) {
      await wallet.register()
      await wallet.watch()
      const { scope } = await wallet.subscribe(domain)
      return scope.length
    },
    watch: async () => (await wallet.watch()).map(({ domain }) => domain).join(),
    async read(domain: string, id: string) {
      await wallet.markRead(domain, [id])
      const { notifications } = await wallet.history(domain)
      return notifications.map(({ title, isRead }) => `${title} ${isRead}`).join()
    },
    close: () => wallet[Symbol.asyncDispose](),
  }
}
