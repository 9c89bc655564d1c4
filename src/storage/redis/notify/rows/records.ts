import type { AccountRecord, Subscription, Watcher } from '../../../../notify/store/store.ts'
import { invariant } from '../../../../platform/invariant.ts'
import type { Preferences } from '../../../../protocol/notify/preferences.ts'
import { checkedText, textOfChecked } from '../../checked-text.ts'
import { packForm, packTopic, unpackForm, unpackTopic } from './packing.ts'

/**
 * How records are written: lists instead of objects, and packed what can be. Names of properties would be a quarter of
 * each.
 *
 *     [[["#id", domain, scope, key, topic, createdAt, expiresAt, account, preferences?], …],
 *      [[identityKey, domain, account, key, topic, expiresAt, serverKey?], …]]
 *
 * A checksum stands before them.
 */
type SubscriptionRow = [string, string, string[], string, string, number, number, string, Preferences?]
type WatcherRow = [string, string | null, string, string, string, number, string?]

/**
 * How a record says that it holds this subscription. Nothing else in it can look like that: quotes within a string are
 * escaped, and no id of a notification type begins with `#`.
 */
export const holding = (subscriptionId: string): string => `[${JSON.stringify(`#${subscriptionId}`)},`

const TABLE = 'notify.accounts'

export const writeRecord = (record: AccountRecord, accountKey: string): string =>
  checkedText(TABLE, listsOf(record, accountKey), accountKey)

const listsOf = ({ subscriptions, watchers }: AccountRecord, accountKey: string): string =>
  JSON.stringify([
    subscriptions.map(
      ({ id, domain, scope, key, topic, createdAt, expiresAt, account, preferences }): SubscriptionRow => [
        `#${id}`,
        domain,
        scope,
        key,
        packTopic(topic),
        createdAt,
        expiresAt,
        packForm(account, accountKey),
        ...(preferences === undefined ? ([] as const) : ([preferences] as const)),
      ],
    ),
    watchers.map(
      ({ identityKey, domain, account, key, topic, expiresAt, serverKey }): WatcherRow => [
        identityKey,
        domain,
        packForm(account, accountKey),
        key,
        packTopic(topic),
        expiresAt,
        ...(serverKey === undefined ? ([] as const) : ([serverKey] as const)),
      ],
    ),
  ])

/** Throws `DamagedRow`. */
export const readRecord = (text: string, accountKey: string): AccountRecord => {
  const json = textOfChecked(TABLE, text, accountKey)
  const [subscriptions, watchers]: [SubscriptionRow[], WatcherRow[]] = JSON.parse(json)
  invariant(Array.isArray(subscriptions) && Array.isArray(watchers), 'an account record is two lists')
  return {
    subscriptions: subscriptions.map(
      ([id, domain, scope, key, topic, createdAt, expiresAt, account, preferences]): Subscription => ({
        id: id.slice(1),
        domain,
        scope,
        key,
        topic: unpackTopic(topic),
        createdAt,
        expiresAt,
        account: unpackForm(account, accountKey),
        ...(preferences && { preferences }),
      }),
    ),
    watchers: watchers.map(
      ([identityKey, domain, account, key, topic, expiresAt, serverKey]): Watcher => ({
        identityKey,
        domain,
        account: unpackForm(account, accountKey),
        key,
        topic: unpackTopic(topic),
        expiresAt,
        ...(serverKey !== undefined && { serverKey }),
      }),
    ),
  }
}
