/** A wallet answers an action of a notification. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { NotifyStore, OutboxEntry, Subscription } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { accountChangedEntries, eventEntry, responseEntry } from './outbox-entries.ts'
import { type RepetitionCheck, usedBefore } from './repetition.ts'
import type { SubscriptionRequest } from './request.ts'
import * as rules from './rules.ts'

/** Published JWTs have a quarter of it. It is kept as long as the notification. */
const MAX_JWT_LENGTH = 4_096

export interface AnswerWish {
  /** Of the copy: `msg.id`. */
  id: string
  /** Of the action. */
  action: string
  /** The request, and JSON of the CACAO behind its key: the proof that the dapp gets. */
  jwt: string
  cacao: string
}

/**
 * Keeps the answer with its proof, marks the notification as read and tells the project. The first answer of an account
 * counts. The same one again changes nothing (`repeated`), and the caller answers the request; another one is refused.
 *
 * The answer is kept before the commit of the request. A process that dies in between leaves an answer that nobody was told
 * of; the relay delivers the request again, and its JWT is the one that is kept.
 */
export type AnswerAction = (
  request: SubscriptionRequest,
  wish: AnswerWish,
) => Promise<'committed' | 'repeated'>

/** Throws `unknown_action` unless the notification has this action and it asks for an answer. */
const checkAction = (actions: readonly { id: string }[], id: string): void => {
  const action = actions.find((one) => one.id === id)
  if (!action) throw new ProtocolError('unknown_action')
  if (!('answer' in action)) throw new ProtocolError('unknown_action', 'the action is a link')
}

export const createAnswerAction = ({
  store,
  webhooks,
  repetition,
  clock,
}: {
  store: Pick<NotifyStore, 'delivered' | 'keepAnswer' | 'markRead'>
  webhooks: Pick<Webhooks, 'wants'>
  repetition: RepetitionCheck
  clock: Clock
}): AnswerAction => {
  /** The subscription and the notification that is answered. */
  const lookUp = async ({ known, subscriptionId }: SubscriptionRequest, { id, action, jwt }: AnswerWish) => {
    const now = clock.now()
    if (jwt.length > MAX_JWT_LENGTH) throw new ProtocolError('too_large')
    const subscription = rules.subscriptionOf(known.record, subscriptionId, now)
    const copy = await store.delivered(subscriptionId, id)
    if (!copy || copy.notification.expiresAt <= now) throw new ProtocolError('unknown_notification')
    const { notification } = copy
    checkAction(notification.extras?.actions ?? [], action)
    return { subscription, notification }
  }

  const answeredEvent = async (
    subscription: Subscription,
    { id, action, jwt, cacao }: AnswerWish,
    { notificationId, now }: { notificationId: string; now: number },
  ): Promise<OutboxEntry[]> => {
    if (!(await webhooks.wants(subscription.domain, 'answered'))) return []
    const ids = { message_ids: [id], notification_ids: [notificationId] }
    const proof = { jwt, cacao: JSON.parse(cacao), subscription_id: subscription.id }
    return [
      eventEntry(`answered:${id}`, 'answered', subscription, { detail: { ...ids, action, ...proof }, now }),
    ]
  }

  return async (request, wish) => {
    const { domain, subscriptionId, requestId, account, known } = request
    const key = accountKey(account)
    const { subscription, notification } = await repetition.once(request, () => lookUp(request, wish))
    const now = clock.now()
    const { action, jwt, cacao } = wish
    const kept = await store.keepAnswer(notification, key, { action, at: now, jwt, cacao, subscriptionId })
    if (kept.action !== action) throw new ProtocolError('already_answered')
    if (kept.jwt !== jwt) return 'repeated'
    const isHeard = await webhooks.wants(domain, 'read')
    const read = { detail: { by: 'wallet' }, ids: [wish.id], now }
    const { outcome } = await store.markRead({
      accountKey: key,
      subscriptionId,
      ids: [wish.id],
      at: now,
      requestId,
      outbox: [
        responseEntry(request, domain, now),
        ...(await answeredEvent(subscription, wish, { notificationId: notification.id, now })),
      ],
      outboxIfChanged: [
        // The requester, too: it cannot know whether the notification was unread.
        ...accountChangedEntries(request, known.record, { domain, except: undefined, now }),
        ...(isHeard ? [eventEntry(requestId.id, 'read', subscription, read)] : []),
      ],
    })
    if (outcome === 'used') throw usedBefore()
    return 'committed'
  }
}
