/** The subscriptions of an account at a notify server, shared by its wallets: `sharedSubscriptions` of `belfry/wallet`. */
import { fromHex } from '../protocol/bytes.ts'
import { type SubscriptionItem, subscriptionItem } from '../protocol/notify-methods.ts'
import { topicOf } from '../protocol/topic.ts'
import type { StoreDefinition } from './stores.ts'

export const NOTIFY_SUBSCRIPTIONS: StoreDefinition<SubscriptionItem> = {
  name: 'belfry.notify.subscriptions',
  schema: subscriptionItem,
  keyOf: ({ symKey }) => topicOf(fromHex(symKey)),
}
