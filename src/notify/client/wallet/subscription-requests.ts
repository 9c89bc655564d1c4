/** The wallet's requests about one app: subscribe, and those on the notify topic of a subscription. */
import type * as z from '#schema'
import { fromHex } from '../../../protocol/bytes.ts'
import { didWeb } from '../../../protocol/did.ts'
import { sealType0, sealType1 } from '../../../protocol/envelope.ts'
import { deriveSymKey, generateAgreementKey } from '../../../protocol/keys.ts'
import type { Preferences } from '../../../protocol/notify/preferences.ts'
import { NOTIFY_METHODS, type SubscriptionItem } from '../../../protocol/notify-methods.ts'
import { topicOf } from '../../../protocol/topic.ts'
import type { RelayClient } from '../../../relay/client/index.ts'
import type { PublicKeys, ResolveAppKeys } from '../app-keys.ts'
import type { Wallet } from './api.ts'
import type { Device } from './device.ts'
import { shownNotification } from './inbox.ts'
import type { createRequests, Row } from './requests.ts'

const DEFAULT_HISTORY_LIMIT = 50

/** Applies a view of the account made at `iat`, unix s, which is complete for one app or (null) for all. */
export type Take = (
  view: readonly SubscriptionItem[],
  about: { complete: string | null; iat: number },
) => Promise<void>

interface AppRequestDeps {
  device: Device
  requests: ReturnType<typeof createRequests>
  register: () => Promise<void>
  take: Take
  /** A request on the topic of a subscription has its answer, or will have none. */
  onAnswered: (topic: string) => void
  keysUrl: string
  /** Tells of unread counts that changed. */
  unreadChanged: () => void
}

/** The claim that says so; without it they stay as they are. */
const wish = (preferences: Preferences | null | undefined) =>
  preferences === undefined ? {} : { prf: preferences }

/** Asks on the notify topic of the app's subscription. */
const createTopicAsk =
  ({ device, requests, register, onAnswered, keysUrl }: Omit<AppRequestDeps, 'take' | 'unreadChanged'>) =>
  async <S extends z.ZodType, R>(
    row: Row<S>,
    app: string,
    claims: Record<string, unknown>,
    apply: (claims: z.output<S>) => R | Promise<R>,
  ): Promise<R> => {
    await register()
    const { topic, item } = device.subscriptions.of(app)
    const key = fromHex(item.symKey)
    const expected = device.expectAnswer(topic, key)
    try {
      return await requests.ask(row, {
        topic,
        seal: (plaintext) => sealType0({ key, plaintext }),
        responseTopic: topic,
        of: item.appAuthenticationKey,
        claims: { ksu: keysUrl, app: didWeb(app), ...claims },
        apply(answer) {
          // It has come, so a topic that it ends is left at once.
          expected[Symbol.dispose]()
          return apply(answer)
        },
      })
    } finally {
      expected[Symbol.dispose]()
      onAnswered(topic)
    }
  }

/** Requests on the notify topic of a subscription. */
export const createAppRequests = (
  deps: AppRequestDeps,
): Pick<Wallet, 'update' | 'delete' | 'history' | 'markRead' | 'answer'> => {
  const { device, take, unreadChanged } = deps
  const { subscriptions } = device
  const ask = createTopicAsk(deps)

  return {
    update: (app, scope, preferences) =>
      ask(NOTIFY_METHODS[4008], app, { scp: scope.join(' '), ...wish(preferences) }, async ({ sbs, iat }) => {
        await take(sbs, { complete: app, iat })
        return subscriptions.shownOf(app)
      }),

    delete: (app) => ask(NOTIFY_METHODS[4004], app, {}, ({ sbs, iat }) => take(sbs, { complete: app, iat })),

    history: (app, { limit = DEFAULT_HISTORY_LIMIT, after, unreadFirst = false } = {}) =>
      ask(NOTIFY_METHODS[4014], app, { lmt: limit, aft: after ?? null, urf: unreadFirst }, (page) => ({
        notifications: page.nfs.map(shownNotification),
        hasMore: page.mre,
        hasMoreUnread: page.mur,
      })),

    markRead: (app, ids) =>
      ask(
        NOTIFY_METHODS[4016],
        app,
        ids === 'all' ? { all: true, ids: null } : { all: false, ids: [...ids] },
        async () => {
          // An estimate, because some may have been read before; the next view has the exact count.
          const { topic } = subscriptions.of(app)
          subscriptions.setUnread(topic, (count) => (ids === 'all' ? 0 : count - ids.length))
          device.changed()
          await device.save()
          unreadChanged()
        },
      ),

    answer: (app, notificationId, actionId) =>
      ask(NOTIFY_METHODS[4018], app, { nid: notificationId, aid: actionId }, () => {}),
  }
}

/** Subscribes to an app: a request to the app's topic, answered on a topic that is made for the answer. */
export const createSubscribe = (
  { device, requests, register, take, keysUrl }: Omit<AppRequestDeps, 'onAnswered' | 'unreadChanged'>,
  {
    relay,
    inTime,
    resolveAppKeys,
    typesOf,
  }: {
    relay: Pick<RelayClient, 'subscribe' | 'unsubscribe'>
    inTime: <T>(wait: Promise<T>) => Promise<T>
    resolveAppKeys: ResolveAppKeys
    typesOf: (app: string) => Promise<string[]>
  },
): Wallet['subscribe'] => {
  const appKeys = new Map<string, PublicKeys>()
  const keysOf = async (app: string): Promise<PublicKeys> => {
    const found = appKeys.get(app) ?? (await resolveAppKeys(app))
    appKeys.set(app, found)
    return found
  }

  return async (app, scope, preferences) => {
    await register()
    const [to, wanted] = await Promise.all([keysOf(app), scope ?? typesOf(app)])
    const pair = generateAgreementKey()
    const key = deriveSymKey(pair.privateKey, to.subscribe)
    const responseTopic = topicOf(key)
    // No `using`: lowered, it would be a hundredth of the whole wallet.
    const expected = device.expectAnswer(responseTopic, key)
    try {
      await inTime(relay.subscribe([responseTopic]))
      return await requests.ask(NOTIFY_METHODS[4000], {
        topic: topicOf(to.subscribe),
        seal: (plaintext) => sealType1({ key, senderPublicKey: pair.publicKey, plaintext }),
        responseTopic,
        of: to.authentication,
        claims: { ksu: keysUrl, app: didWeb(app), scp: wanted.join(' '), ...wish(preferences) },
        async apply({ sbs, iat }) {
          await take(sbs, { complete: app, iat })
          return device.subscriptions.shownOf(app)
        },
      })
    } finally {
      expected[Symbol.dispose]()
      relay.unsubscribe([responseTopic]).catch(() => {})
    }
  }
}
