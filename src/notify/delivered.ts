/** What the relay tells about messages that wallets have: which notification it was, and that it was delivered. */
import { z } from 'zod'
import { openEnvelope, parseEnvelope } from '../protocol/envelope.ts'
import { parseRpc } from '../protocol/jsonrpc.ts'
import { decodeJwt } from '../protocol/jwt.ts'
import type { Delivered } from './relay-events.ts'
import type { NotifyStore } from './store.ts'
import type { NotificationName } from './store-receipts.ts'
import type { Vault } from './vault.ts'

/** A notification that came to be delivered to an account. */
export interface DeliveredTo {
  of: NotificationName
  accountKey: string
  /** `msg.id`. */
  deliveredId: string
  /** CAIP-10 as the subscriber wrote it. */
  account: string
}

const Params = z.object({ messageAuth: z.string() })
const Claims = z.object({ msg: z.object({ id: z.string() }) })

/**
 * Marks the notification that a message carried as delivered. Answers which it was when it became so by this call;
 * undefined when it was before, or when the subscription is gone. The message is one that this server wrote.
 */
export const createDelivered =
  ({
    store,
    vault,
  }: {
    store: Pick<NotifyStore, 'account' | 'markDelivered' | 'topicOwner'>
    vault: Pick<Vault, 'open'>
  }) =>
  async ({ topic, message, at }: Delivered): Promise<DeliveredTo | undefined> => {
    const owner = await store.topicOwner(topic)
    if (!owner) return undefined
    const { accountKey, subscriptionId } = owner
    const { record } = await store.account(accountKey)
    const subscription = record.subscriptions.find(({ id }) => id === subscriptionId)
    if (!subscription) return undefined
    const rpc = parseRpc(openEnvelope(parseEnvelope(message), vault.open(subscription.key)))
    if (rpc.kind !== 'request') return undefined
    const { msg } = Claims.parse(decodeJwt(Params.parse(rpc.params).messageAuth).claims)
    const [of] = await store.markDelivered([{ accountKey, subscriptionId, deliveredId: msg.id }], at)
    return of && { of, accountKey, deliveredId: msg.id, account: subscription.account }
  }
