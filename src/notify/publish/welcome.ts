/**
 * The welcome notification: what an app says to each new subscriber, once.
 *
 * Its outbox entry is written in the commit that makes the subscription and holds the text of that time. Ids follow from
 * the subscription: made twice (a process died half way), it is one notification, one copy, one message.
 */
import { fromHex, utf8 } from '../../protocol/bytes.ts'
import { topicOf } from '../../protocol/topic.ts'
import { deliveredIdOf, uuidFrom } from '../ids.ts'
import { NOTIFICATION_TTL_MS } from '../lifetimes.ts'
import type { NotifyStore, OutboxEntry, OutboxTask, Subscription, Welcome } from '../store/store.ts'

export type WelcomeTask = Extract<OutboxTask, { kind: 'welcome' }>

/** The entry for the commit of a new subscription; undefined when the app has no welcome for its types. */
export const welcomeEntry = (
  accountKey: string,
  { id, domain, scope }: Subscription,
  welcome: Welcome | null | undefined,
  now: number,
): OutboxEntry | undefined => {
  if (!welcome?.enabled || !scope.includes(welcome.type)) return undefined
  const { type, title, body, url } = welcome
  return {
    id: `welcome:${id}`,
    task: { kind: 'welcome', accountKey, subscriptionId: id, domain, welcome: { type, title, body, url } },
    createdAt: now,
    expiresAt: now + NOTIFICATION_TTL_MS,
  }
}

/** Makes the notification and enqueues it for its one subscriber. */
export const sendWelcome = async (
  store: NotifyStore,
  { task, createdAt, expiresAt }: OutboxEntry & { task: WelcomeTask },
): Promise<void> => {
  const { accountKey, subscriptionId, domain, welcome } = task
  const app = await store.app(domain)
  if (!app) return
  const id = uuidFrom(fromHex(topicOf(utf8(`welcome\n${subscriptionId}`))), 8)
  const deliveredId = deliveredIdOf(subscriptionId, id)
  const { projectId } = app
  const { record } = await store.account(accountKey)
  const account = record.subscriptions.find((one) => one.id === subscriptionId)?.account
  // The subscription ended before.
  if (account === undefined) return
  const notification = {
    id,
    projectId,
    domain,
    ...welcome,
    icon: null,
    createdAt,
    deliverBy: expiresAt,
    expiresAt,
  }
  const outbox: OutboxEntry = {
    id: deliveredId,
    task: { kind: 'notification', accountKey, subscriptionId, projectId, domain, notificationId: id },
    createdAt,
    expiresAt,
  }
  const isLinked = app.links === true && welcome.url !== null
  await store.enqueue(notification, [{ accountKey, account, subscriptionId, deliveredId, outbox }], {
    isLinked,
  })
}
