/** Whether there is room for what a wallet asks: the limits of its requests, and the project's quota of subscribers. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyRow } from '../../protocol/notify-methods.ts'
import type { Apps } from '../apps/apps.ts'
import type { LimitName, Limits } from '../apps/limits.ts'
import type { NotifyStore, ProjectSettings } from '../store/store.ts'
import { viewOf } from '../subscriptions/rules.ts'
import type { Channel } from './decrypt.ts'

/** Wallets' requests by the limit that they count for. */
const LIMIT_OF: ReadonlyMap<number, LimitName> = new Map([
  [4000, 'subscribe'],
  [4004, 'delete'],
  [4008, 'update'],
  [4010, 'watch'],
  [4014, 'history'],
  [4016, 'mark'],
])

export interface RequestLimits {
  /** On a notify topic the account is known as soon as the message is open. Throws `rate_limited`. */
  ofSubject(row: NotifyRow, channel: Channel): Promise<void>
  /** Elsewhere the key that signed is known once the JWT is verified, before anybody else is asked. The same. */
  ofSigner(row: NotifyRow, channel: Channel, identityKey: string): Promise<void>
  /** Throws `quota_reached`, but not for who subscribes again. Soft, as the quota of apps is. */
  ofSubscriber(channel: Channel, account: Account): Promise<void>
}

export const createRequestLimits = (deps: {
  store: Pick<NotifyStore, 'account' | 'countSubscribers'>
  apps: Pick<Apps, 'projects'>
  limits: Limits
  clock: Clock
}): RequestLimits => {
  const { store, apps, limits, clock } = deps

  const settingsOf = async ({ app }: Channel): Promise<ProjectSettings> =>
    app ? apps.projects.settings(app.record.projectId) : {}

  const take = async (row: NotifyRow, channel: Channel, key: string): Promise<void> => {
    const name = LIMIT_OF.get(row.requestTag)
    if (name) await limits.take(name, key, (await settingsOf(channel)).limits)
  }

  return {
    async ofSubject(row, channel) {
      const { app, subject } = channel
      if (app && subject) await take(row, channel, `${subject.accountKey} ${app.record.domain}`)
    },

    async ofSigner(row, channel, identityKey) {
      if (!channel.subject) await take(row, channel, identityKey)
    },

    async ofSubscriber(channel, account) {
      const quota = (await settingsOf(channel)).quotas?.subscribersPerApp
      const domain = channel.app?.record.domain
      if (quota === undefined || domain === undefined) return
      const { record } = await store.account(accountKey(account))
      if (viewOf(record, domain, clock.now()).length > 0) return
      if ((await store.countSubscribers(domain, quota)) >= quota) {
        throw new ProtocolError('quota_reached', `it is ${quota} subscribers`)
      }
    },
  }
}
