/** Whether a wallet's request may be carried out: the limits of its requests, and the project's quota of subscribers. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import type { Apps } from '../apps/apps.ts'
import type { LimitName, Limits } from '../apps/limits.ts'
import type { NotifyStore, ProjectSettings } from '../store/store.ts'
import { viewOf } from '../subscriptions/rules.ts'
import type { RequestKey } from './decrypt.ts'

/** Wallets' requests by the limit that they count against. */
const LIMIT_BY_TAG: ReadonlyMap<number, LimitName> = new Map([
  [4000, 'subscribe'],
  [4004, 'delete'],
  [4008, 'update'],
  [4010, 'watch'],
  [4014, 'history'],
  [4016, 'mark'],
  [4018, 'mark'],
])

export interface RequestLimits {
  /** For requests on a notify topic: the account is known once the message is decrypted. Throws `rate_limited`. */
  ofSubject(row: NotifyRow, requestKey: RequestKey): Promise<void>
  /** For other requests: the identity key is known once the JWT is verified. Throws `rate_limited`. */
  ofSigner(row: NotifyRow, requestKey: RequestKey, identityKey: string): Promise<void>
  /** Throws `quota_reached`, but not for an account that subscribes again. Soft, as the quota of apps is. */
  ofSubscriber(requestKey: RequestKey, account: Account): Promise<void>
}

export const createRequestLimits = (deps: {
  store: Pick<NotifyStore, 'account' | 'countSubscribers'>
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
}): RequestLimits => {
  const { store, apps, limits, clock } = deps

  const settingsOf = async ({ app }: RequestKey): Promise<ProjectSettings> =>
    app ? apps.projects.settings(app.record.projectId) : {}

  const take = async (row: NotifyRow, requestKey: RequestKey, key: string): Promise<void> => {
    const name = LIMIT_BY_TAG.get(row.requestTag)
    if (name) await limits.take(name, key, (await settingsOf(requestKey)).limits)
  }

  return {
    async ofSubject(row, requestKey) {
      const { app, subject } = requestKey
      if (app && subject) await take(row, requestKey, `${subject.accountKey} ${app.record.domain}`)
    },

    async ofSigner(row, requestKey, identityKey) {
      if (!requestKey.subject) await take(row, requestKey, identityKey)
    },

    async ofSubscriber(requestKey, account) {
      const quota = (await settingsOf(requestKey)).quotas?.subscribersPerApp
      const domain = requestKey.app?.record.domain
      if (quota === undefined || domain === undefined) return
      const { record } = await store.account(accountKey(account))
      if (viewOf(record, domain, clock.now()).length > 0) return
      if ((await store.countSubscribers(domain, quota)) >= quota) {
        throw new ProtocolError('quota_reached', `it is ${quota} subscribers`)
      }
    },
  }
}
