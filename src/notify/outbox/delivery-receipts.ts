/** Receipts and webhook events for notifications that wallets have, as the relay reports by webhook. */
import * as z from 'zod'
import { invariant } from '../../platform/invariant.ts'
import { openEnvelope, parseEnvelope } from '../../protocol/envelope.ts'
import { parseRpc } from '../../protocol/jsonrpc.ts'
import { decodeJwt } from '../../protocol/jwt.ts'
import type { Vault } from '../apps/vault.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { DeliveredMessage } from '../relay/events.ts'
import type { NotifyStore, OutboxEntry } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import type { SentCopy, SentMessages } from './sent-messages.ts'

const Params = z.object({ messageAuth: z.string() })
const Claims = z.object({ msg: z.object({ id: z.string() }) })

/** `msg.id` of the notification that the message carries; undefined when it is none that this server wrote. */
export const deliveredIdIn = (message: string, key: Uint8Array): string | undefined => {
  try {
    const rpc = parseRpc(openEnvelope(parseEnvelope(message), key))
    if (rpc.kind !== 'request') return undefined
    return Claims.parse(decodeJwt(Params.parse(rpc.params).messageAuth).claims).msg.id
  } catch {
    return undefined
  }
}

/**
 * Marks the notifications of all reported messages as delivered, in one call of the store. Idempotent: a copy that was
 * marked before, or whose subscription is gone, stays as it is. The event is written with the receipt, in one commit. Its
 * id follows from the copy, so it is the same however often the delivery is reported.
 */
export const createDeliveryReceipts = ({
  store,
  vault,
  webhooks,
  sent,
}: {
  store: Pick<NotifyStore, 'account' | 'delivered' | 'markDelivered' | 'topicOwner'>
  vault: Pick<Vault, 'open'>
  webhooks: Pick<Webhooks, 'wants'>
  sent: Pick<SentMessages, 'find'>
}): ((all: readonly DeliveredMessage[]) => Promise<void>) => {
  const event = async (
    { subscriptionId, domain, account, deliveredId }: SentCopy,
    at: number,
  ): Promise<OutboxEntry | undefined> => {
    if (!(await webhooks.wants(domain, 'delivered'))) return undefined
    const copy = await store.delivered(subscriptionId, deliveredId)
    const detail = { message_ids: [deliveredId], notification_ids: copy ? [copy.notification.id] : [] }
    return {
      id: `delivered:${deliveredId}`,
      task: { kind: 'event', event: 'delivered', domain, subscriptionId, account, detail },
      createdAt: at,
      expiresAt: at + NOTIFICATION_TTL_MS,
    }
  }

  /** Of what another process sent, or this one before: as its subscription and its text say. */
  const lookUp = async ({ topic, message }: DeliveredMessage): Promise<SentCopy | undefined> => {
    const owner = await store.topicOwner(topic)
    if (!owner) return undefined
    const { accountKey, subscriptionId } = owner
    const { record } = await store.account(accountKey)
    const subscription = record.subscriptions.find(({ id }) => id === subscriptionId)
    const deliveredId = subscription && deliveredIdIn(message, vault.open(subscription.key))
    if (!subscription || deliveredId === undefined) return undefined
    const { domain, account } = subscription
    return { accountKey, subscriptionId, domain, account, deliveredId }
  }

  const copyOf = async (delivered: DeliveredMessage) => {
    const copy = sent.find(delivered) ?? (await lookUp(delivered))
    if (!copy) return []
    const { accountKey, subscriptionId, deliveredId } = copy
    const { at } = delivered
    const outbox = await event(copy, at)
    return [{ accountKey, subscriptionId, deliveredId, at, ...(outbox && { outbox }) }]
  }

  return async (all) => {
    const copies = (await Promise.all(all.map(copyOf))).flat()
    const marked = await store.markDelivered(copies)
    invariant(marked.length === copies.length, 'Each reported copy has one result')
  }
}
