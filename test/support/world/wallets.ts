/** A whole server in this process, and wallets and dapps on it, for the clients' tests. */
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { createDapp } from '../../../src/sdk/dapp.ts'
import {
  type CreateWalletOptions,
  createWallet,
  fromNotifyServer,
  type Notification,
} from '../../../src/sdk/wallet.ts'
import type { Config } from '../../../src/server/config/config.ts'
import { alsoCaptured } from '../capture/log.ts'
import { newOwner, type Owner } from '../owner.ts'
import { startWorld } from '../world.ts'

export const netDeps = { clock: systemClock, fetch }

export const startClientWorld = async (config: Partial<Config> = {}) => {
  const world = await startWorld({ config })
  const { url, project } = world
  const wallets: AsyncDisposable[] = []

  return {
    url,
    project,
    adminToken: world.adminToken,
    restart: world.restart,
    get stores() {
      return world.stores
    },
    dapp: (domain?: string) =>
      createDapp({
        url,
        projectId: project.id,
        secret: project.secret,
        ...(domain !== undefined && { domain }),
      }),
    /** Enrols an app with types of these names; answers the types' ids. */
    async app(domain: string, names: readonly string[] = ['News']): Promise<string[]> {
      const dapp = this.dapp(domain)
      await dapp.enrol(domain)
      const { types } = await dapp.describe(domain, { types: names.map((name) => ({ name })) })
      return types.map(({ id }) => id)
    },
    /** A device of the owner; closed with the world. */
    device(owner: Pick<Owner, 'account' | 'sign'>, options: Partial<CreateWalletOptions> = {}) {
      const received: Notification[] = []
      const signed: string[] = []
      const warnings: string[] = []
      const log = alsoCaptured({
        debug: () => {},
        info: () => {},
        warn: (fields) => void warnings.push(String(new Map(Object.entries(fields)).get('err'))),
        error: () => {},
      })
      const wallet = createWallet(
        {
          account: owner.account,
          sign: async (text) => {
            signed.push(text)
            return owner.sign(text)
          },
          domain: 'wallet.test',
          allApps: true,
          resolveAppKeys: fromNotifyServer(netDeps, url),
          ...options,
          url,
        },
        { log },
      )
      wallet.on('message', ({ notification }) => void received.push(notification))
      wallets.push(wallet)
      return {
        wallet,
        received,
        titles: () => received.map(({ title }) => title),
        signed,
        warnings,
      }
    },
    newOwner,
    async [Symbol.asyncDispose]() {
      for (const wallet of wallets) await wallet[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}
export type ClientWorld = Awaited<ReturnType<typeof startClientWorld>>
