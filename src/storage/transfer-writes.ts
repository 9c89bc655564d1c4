import type { AccountRecord } from '../notify/store.ts'
import type { Stores } from './stores.ts'
import type { Writers } from './transfer.ts'

/** Tables whose records the rooms' own verbs write exactly, whatever the engine. */
type ByVerbs =
  | 'identity'
  | 'invite'
  | 'serverKeys'
  | 'project'
  | 'app'
  | 'notification'
  | 'account'
  | 'contested'

/** All at once: the engines group what is asked for in one turn. Answers nothing: everything has its place. */
const each =
  <R>(write: (record: R) => Promise<unknown>) =>
  async (records: readonly R[]): Promise<R[]> => {
    await Promise.all(records.map(write))
    return []
  }

export const writesByVerbs = ({ keys, notify }: Pick<Stores, 'keys' | 'notify'>): Pick<Writers, ByVerbs> => {
  const become = async (accountKey: string, record: AccountRecord): Promise<void> => {
    for (;;) {
      const { version } = await notify.account(accountKey)
      const outcome = await notify.commit({ accountKey, expectedVersion: version, record, outbox: [] })
      if (outcome !== 'conflict') return
    }
  }
  return {
    identity: { write: each((entry) => keys.registerIdentity(entry)) },
    invite: { write: each(({ accountKey, ...entry }) => keys.registerInvite(accountKey, entry)) },
    serverKeys: { write: each(({ keys: own }) => notify.serverKeys(own)) },
    project: { write: each((project) => notify.createProject(project)) },
    app: { write: each((app) => notify.createApp(app)) },
    notification: { write: each((notification) => notify.putNotification(notification)) },
    account: { write: each(({ accountKey, record }) => become(accountKey, record)) },
    contested: {
      // Whose it became last is found: so it leaves the record and comes back.
      write: each(async ({ accountKey, watcher }) => {
        const { record } = await notify.account(accountKey)
        const { subscriptions, watchers } = record
        const others = watchers.filter(({ identityKey }) => identityKey !== watcher.identityKey)
        const isThere = others.length < watchers.length
        await become(accountKey, { subscriptions, watchers: others })
        await become(accountKey, { subscriptions, watchers: isThere ? watchers : [...watchers, watcher] })
      }),
    },
  }
}
