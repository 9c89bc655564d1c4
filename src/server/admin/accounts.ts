/**
 * What is kept about one account, for its operator; the account is a CAIP-10 on whatever chain.
 *
 * | method, path                    | answer                                                              |
 * |---------------------------------|---------------------------------------------------------------------|
 * | GET    /admin/accounts/:account | all of it, in one document without any secret                       |
 * | DELETE /admin/accounts/:account | how much of each kind was erased; again: nothing, and it is no fault |
 */
import { Hono } from 'hono'
import { accountHash } from '../../contacts/account-key.ts'
import type { ContactsStore, Installation } from '../../contacts/store.ts'
import { type AccountKeys, eraseKeys, exportKeys } from '../../keys/account.ts'
import type { KeysStore } from '../../keys/store.ts'
import type { AccountData, ErasedAccount, ExportedAccount } from '../../notify/subscriptions/export.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey, parseAccount } from '../../protocol/caip.ts'

export interface Accounts {
  export(
    account: string,
  ): Promise<
    { account: string; exportedAt: string; installations: Installation[] } & AccountKeys & ExportedAccount
  >
  erase(
    account: string,
  ): Promise<ErasedAccount & { identityKeys: number; inviteKeys: number; installations: number }>
}

export const createAccounts = (deps: {
  keys: KeysStore
  contacts: ContactsStore
  notify: AccountData
  clock: Clock
}): Accounts => {
  const { keys, contacts, notify, clock } = deps
  return {
    async export(account) {
      const key = accountKey(parseAccount(account))
      const now = clock.now()
      const exportedAt = new Date(now).toISOString()
      const installations = await contacts.installations(accountHash(key), now)
      const own = { account, exportedAt, installations }
      return { ...own, ...(await exportKeys(keys, key)), ...(await notify.export(key)) }
    },
    async erase(account) {
      const key = accountKey(parseAccount(account))
      // The keys first: what their owner asks for meanwhile is refused.
      const erasedKeys = await eraseKeys(keys, key, clock.now())
      // What an account signed stays spent, or whoever kept it could bring all of them back.
      const installations = await contacts.clear(accountHash(key))
      return { ...erasedKeys, installations, ...(await notify.erase(key)) }
    },
  }
}

export const adminAccounts = (accounts: () => Accounts): Hono => {
  const app = new Hono()
  app.get('/admin/accounts/:account', async (c) => c.json(await accounts().export(c.req.param('account'))))
  app.delete('/admin/accounts/:account', async (c) => c.json(await accounts().erase(c.req.param('account'))))
  return app
}
