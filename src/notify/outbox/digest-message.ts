/** The message (4002) of a digest: how many notifications came, and the titles of the first. */
import type { Clock } from '../../platform/runtime/clock.ts'
import { fromHex, utf8 } from '../../protocol/bytes.ts'
import { didPkh, didWeb } from '../../protocol/did.ts'
import { rpcRequest } from '../../protocol/jsonrpc.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { App } from '../apps/apps.ts'
import type { Vault } from '../apps/vault.ts'
import { uuidFrom } from '../ids.ts'
import type { NotifyStore, OutboxEntryOf } from '../store/store.ts'
import { viewOf } from '../subscriptions/rules.ts'
import { type OutgoingMessage, rpcIdOf, sealed, signed } from './wire.ts'

const MESSAGE = NOTIFY_METHODS[4002]
/** Titles that the text has, for clients that show it as it is. */
const MAX_TITLES = 5

/** The same for each attempt at a slot. */
const digestIdOf = (subscriptionId: string, slot: number): string =>
  uuidFrom(fromHex(topicOf(utf8(`digest\n${subscriptionId}\n${slot}`))), 8)

/** Undefined when nothing of it is unread any more, or the subscription or the app is gone. */
export const createDigestWriter =
  (
    { store, vault, clock }: { store: NotifyStore; vault: Pick<Vault, 'open'>; clock: Clock },
    appOf: (domain: string) => Promise<App | undefined>,
  ) =>
  async ({ task, createdAt, expiresAt }: OutboxEntryOf<'digest'>): Promise<OutgoingMessage | undefined> => {
    const { accountKey, subscriptionId, domain, slot, ids, count } = task
    const now = clock.now()
    const [app, { record }, found] = await Promise.all([
      appOf(domain),
      store.account(accountKey),
      Promise.all(ids.map((id) => store.delivered(subscriptionId, id))),
    ])
    const subscription = viewOf(record, domain, now).find(({ id }) => id === subscriptionId)
    const unread = found.filter((copy) => copy !== undefined && !copy.isRead).filter((copy) => !!copy)
    const [newest] = unread
    if (!app || !subscription || !newest) return undefined
    const left = count - (ids.length - unread.length)
    const titles = unread.slice(0, MAX_TITLES).map(({ notification }) => notification.title)
    const more = left > titles.length ? [`and ${left - titles.length} more`] : []
    const id = digestIdOf(subscriptionId, slot)
    const claims = {
      act: MESSAGE.requestAct,
      sub: didPkh(subscription.account),
      app: didWeb(domain),
      msg: {
        id,
        sent_at: slot,
        type: newest.notification.type,
        title: app.record.name || domain,
        body: [`${left} new`, ...titles, ...more].join('\n'),
        icon: newest.notification.icon ?? '',
        url: app.record.url,
        is_read: false,
        digest: { count: left, ids: unread.map((copy) => copy.id) },
      },
    }
    const jwt = signed(claims, app.authentication, createdAt, MESSAGE.requestTtl)
    const text = rpcRequest(rpcIdOf(id), MESSAGE.method, { [MESSAGE.requestParam]: jwt })
    return {
      topic: subscription.topic,
      message: sealed(vault.open(subscription.key), text),
      tag: MESSAGE.requestTag,
      ttl: Math.max(1, Math.floor((expiresAt - now) / 1000)),
      prompt: true,
    }
  }
