/**
 * What push providers were handed for notifications, or refused, as push tells it: kept beside the receipt, and told to the
 * project's webhooks. Idempotent: told once more it changes nothing, and its event has the same id.
 */
import type { Vault } from '../apps/vault.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { Pushed } from '../store/pushes.ts'
import type { NotifyStore } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { deliveredIdIn } from './delivery-receipts.ts'

/** One message of a notification, and what became of it for one device of the account. */
export interface PushedMessage {
  topic: string
  message: string
  push: Pushed
}

export const createPushReceipts = ({
  store,
  vault,
  webhooks,
}: {
  store: Pick<NotifyStore, 'account' | 'delivered' | 'topicOwner' | 'notePush'>
  vault: Pick<Vault, 'open'>
  webhooks: Pick<Webhooks, 'wants' | 'expand'>
}): ((one: PushedMessage) => Promise<void>) => {
  return async ({ topic, message, push }) => {
    const owner = await store.topicOwner(topic)
    if (!owner) return
    const { accountKey, subscriptionId } = owner
    const { record } = await store.account(accountKey)
    const subscription = record.subscriptions.find(({ id }) => id === subscriptionId)
    const deliveredId = subscription && deliveredIdIn(message, vault.open(subscription.key))
    if (!subscription || deliveredId === undefined) return
    const copy = await store.delivered(subscriptionId, deliveredId)
    if (!copy) return
    await store.notePush(copy.notification, accountKey, push)
    const { domain, account } = subscription
    if (!(await webhooks.wants(domain, push.state))) return
    await webhooks.expand({
      id: `${push.state}:${deliveredId}`,
      task: {
        ...{ kind: 'event', event: push.state, domain, subscriptionId, account },
        detail: {
          message_ids: [deliveredId],
          notification_ids: [copy.notification.id],
          provider: push.provider,
          ...(push.reason !== undefined && { reason: push.reason }),
        },
      },
      createdAt: push.at,
      expiresAt: push.at + NOTIFICATION_TTL_MS,
    })
  }
}
