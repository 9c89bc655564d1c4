/** A wallet in the realm whose state is in an AsyncStorage outside, sealed, and which uses what came later. */
import { type AsyncStorage, asyncStorageStore, openWallet, type PushedWallet } from '@belfry/wallet'

export interface Outside {
  sign(text: string): string
  get(name: string): string | undefined
  set(name: string, value: string): void
}

const storageOf = ({ get, set }: Outside): AsyncStorage => ({
  getItem: async (name) => get(name),
  setItem: async (name, value) => set(name, value),
  removeItem: async (name) => set(name, ''),
})

/** `seed` fills the key. Answers the code of the error where it cannot be opened. */
export const openStored = async (url: string, account: string, seed: number, outside: Outside) => {
  const store = asyncStorageStore(storageOf(outside), { seal: { key: new Uint8Array(32).fill(seed) } })
  const events: string[] = []
  let wallet: PushedWallet
  try {
    wallet = await openWallet({
      ...{ url, account, store, domain: 'wallet.example.com', allApps: true },
      sign: async (text) => outside.sign(text),
    })
  } catch (error) {
    return { code: error instanceof Error && 'code' in error ? String(error.code) : 'none' }
  }
  wallet.on('unread', ({ count, total }) => void events.push(`unread ${count} ${total}`))
  wallet.on('connected', () => void events.push('connected'))
  wallet.on('disconnected', () => void events.push('disconnected'))
  wallet.on('error', ({ during, error }) => void events.push(`${during} ${error}`))
  return {
    events: () => events.join(),
    subscribe: async (domain: string) => (await wallet.subscribe(domain)).scope.length,
    apps: async () => (await wallet.apps()).apps.map(({ name }) => name).join(),
    types: async (domain: string) =>
      (await wallet.typesOf(domain)).map(({ name, isWanted }) => `${name} ${isWanted}`).join(),
    unread: () => wallet.unread(),
    /** A call that is under way when the wallet is closed. */
    async close(domain: string) {
      const waiting = wallet.history(domain).then(
        () => 'answered',
        (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'none'),
      )
      await wallet.close()
      return waiting
    },
  }
}
