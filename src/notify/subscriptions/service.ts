/**
 * What wallets can ask of the notify server, after `requests/handler` has verified who asks and for what.
 *
 * Guarantees: a request that changes something is one commit of the account's next record (`subscriptions/rules`), the
 * outbox entries and the id of the request. So it takes effect once, however often the relay delivers it, and its answer
 * is sent even when the process dies right after. Nothing is sent from here.
 */

import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { accountKey } from '../../protocol/caip.ts'
import { generateSymKey } from '../../protocol/keys.ts'
import type { HistoryItem } from '../../protocol/notify-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Vault } from '../apps/vault.ts'
import { uuidFrom } from '../ids.ts'
import type { Digests } from '../publish/digests.ts'
import { welcomeEntry } from '../publish/welcome.ts'
import type { AccountRecord, NotifyStore, OutboxEntry, Welcome } from '../store/store.ts'
import type { Webhooks } from '../webhooks/service.ts'
import { type CommitAccount, createAccountCommit, type Decision } from './account-commit.ts'
import { type AnswerAction, createAnswerAction } from './action-answers.ts'
import { createSubscriptionEndings, type SubscriptionEndings } from './endings.ts'
import { asksForAnswer, historyPage } from './history-page.ts'
import {
  accountChangedEntries,
  endedEntry,
  eventEntry,
  leaveEntry,
  requesterOf,
  responseEntry,
} from './outbox-entries.ts'
import { createRepetitionCheck, type RepetitionCheck, usedBefore } from './repetition.ts'
import type { SubscriptionRequest, VerifiedRequest } from './request.ts'
import * as rules from './rules.ts'

export interface NotifyService extends SubscriptionEndings {
  watch(request: VerifiedRequest, wish: { domain: string | null }): Promise<void>
  /** `scope`: only ids that the app declares. `welcome`: what a new subscriber gets. */
  subscribe(
    request: VerifiedRequest,
    wish: rules.PreferencesWish & { domain: string; scope: string[]; welcome?: Welcome | null | undefined },
  ): Promise<void>
  update(request: SubscriptionRequest, wish: rules.PreferencesWish & { scope: string[] }): Promise<void>
  remove(request: SubscriptionRequest): Promise<void>
  markRead(request: SubscriptionRequest, wish: { ids: readonly string[] | 'all' }): Promise<void>
  answer: AnswerAction
  /** The caller sends the answer: nothing changes, so nothing is committed. */
  history(
    request: SubscriptionRequest,
    wish: { after: string | null; limit: number; unreadFirst: boolean },
  ): Promise<{ nfs: HistoryItem[]; mre: boolean; mur: boolean }>
}

type Change = Pick<Deps, 'webhooks' | 'clock' | 'digests'> & {
  commitAccount: CommitAccount
  repetition: RepetitionCheck
}

interface Deps {
  store: NotifyStore
  vault: Vault
  webhooks: Pick<Webhooks, 'wants'>
  digests: Pick<Digests, 'plan'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}

/**
 * The answer on a notify topic, and 4012s for the watchers. Whoever holds the topic's key can read the answer, so it
 * lists that app alone. A requester that may see more receives its full view on its watch topic.
 */
const entriesOnTopic = (
  request: SubscriptionRequest,
  record: AccountRecord,
  now: number,
  more: { leave?: string } = {},
): OutboxEntry[] => {
  const { domain, identityKey, account } = request
  const scope = rules.answerScope(record, { identityKey, domain, now })
  const view = { accountKey: accountKey(account), account: account.text, domain }
  const except = scope === domain ? requesterOf(request) : undefined
  return [
    responseEntry(request, domain, now, { view, ...more }),
    ...accountChangedEntries(request, record, { domain, except, now }),
  ]
}

const createWatch =
  ({
    store,
    commitAccount,
    repetition,
    clock,
  }: Pick<Deps, 'store' | 'clock'> & Pick<Change, 'commitAccount' | 'repetition'>): NotifyService['watch'] =>
  async (request, { domain }) => {
    const key = accountKey(request.account)
    const account = request.account.text
    const watcher = {
      identityKey: request.identityKey,
      domain,
      account,
      key: request.answer.key,
      topic: request.answer.topic,
      serverKey: request.answer.signerKey,
    }
    const owner = await store.watcherOwner(request.identityKey)
    if (owner !== undefined && owner !== key) {
      // Checked first, because the watcher must not be taken away from another account twice.
      if (await repetition.isDone(request)) return
      // A refused watch leaves the old one alone.
      rules.watch((await store.account(key)).record, { ...watcher, now: clock.now() })
      await commitAccount(owner, undefined, (record) => ({
        record: rules.unwatch(record, request.identityKey),
        outbox: [],
      }))
    }
    await repetition.once(request, () =>
      commitAccount(key, request, (record) => {
        const now = clock.now()
        const view = { accountKey: key, account, domain }
        return {
          record: rules.watch(record, { ...watcher, now }),
          outbox: [responseEntry(request, null, now, { view })],
        }
      }),
    )
  }

/** What one subscribe request decides about a record. `isHeard`: which events a webhook of the app listens to. */
const decideSubscribe = (
  before: AccountRecord,
  request: VerifiedRequest,
  wish: rules.PreferencesWish & {
    domain: string
    scope: string[]
    welcome?: Welcome | null | undefined
    fresh: rules.FreshSubscription
    isHeard: { subscribed: boolean; updated: boolean; unsubscribed: boolean }
    now: number
  },
): Decision => {
  const { domain, scope, welcome, fresh, isHeard, now, preferences } = wish
  const key = accountKey(request.account)
  const account = request.account.text
  const { identityKey, requestId } = request
  const { record, subscription, expired } = rules.subscribe(before, {
    ...{ domain, scope, preferences, account, fresh, now },
  })
  const answered = responseEntry(request, domain, now, {
    // The requester made this topic for the answer, so it receives all that it may see.
    view: { accountKey: key, account, domain: rules.answerScope(record, { identityKey, domain, now }) },
    join: subscription.topic,
  })
  const isNew = subscription.id === fresh.id
  const event = isNew ? 'subscribed' : 'updated'
  const greeting = isNew ? welcomeEntry(key, subscription, welcome, now) : undefined
  return {
    record,
    outbox: [
      answered,
      ...accountChangedEntries(request, record, { domain, except: requesterOf(request), now }),
      ...(expired ? [leaveEntry(expired.topic, now)] : []),
      ...(expired && isHeard.unsubscribed ? [endedEntry(expired, 'expired', now)] : []),
      ...(isHeard[event] ? [eventEntry(requestId.id, event, subscription, { detail: { scope }, now })] : []),
      ...(greeting ? [greeting] : []),
    ],
  }
}

const createSubscribe =
  ({
    webhooks,
    digests,
    vault,
    randomBytes,
    commitAccount,
    clock,
  }: Omit<Change, 'repetition'> & Pick<Deps, 'vault' | 'randomBytes'>): NotifyService['subscribe'] =>
  async (request, { domain, scope, preferences, welcome }) => {
    const isHeard = {
      subscribed: await webhooks.wants(domain, 'subscribed'),
      updated: await webhooks.wants(domain, 'updated'),
      unsubscribed: await webhooks.wants(domain, 'unsubscribed'),
    }
    const symKey = generateSymKey()
    const fresh = { id: uuidFrom(randomBytes(16), 4), key: vault.seal(symKey), topic: topicOf(symKey) }
    const decide = (before: AccountRecord, isRepeated: boolean) => {
      const now = clock.now()
      if (isRepeated && rules.isSubscribed(before, { domain, scope, now })) throw usedBefore()
      return decideSubscribe(before, request, {
        ...{ domain, scope, preferences, welcome, fresh, isHeard, now },
      })
    }
    const key = accountKey(request.account)
    if (preferences) await digests.plan({ accountKey: key, domain }, preferences)
    await commitAccount(key, request, decide, { mayRepeat: true })
  }

const createUpdate =
  ({ webhooks, digests, commitAccount, repetition, clock }: Change): NotifyService['update'] =>
  async (request, { scope, preferences }) => {
    const { domain, subscriptionId, account, known } = request
    const isHeard = await webhooks.wants(domain, 'updated')
    const decide = (before: AccountRecord, isRepeated: boolean) => {
      const now = clock.now()
      if (isRepeated && rules.isSubscribed(before, { domain, scope, now })) throw usedBefore()
      const record = rules.update(before, { subscriptionId, scope, preferences, account: account.text, now })
      const updated = rules.subscriptionOf(record, subscriptionId, now)
      const events = isHeard
        ? [eventEntry(request.requestId.id, 'updated', updated, { detail: { scope }, now })]
        : []
      return { record, outbox: [...entriesOnTopic(request, record, now), ...events] }
    }
    const key = accountKey(account)
    const commit = async () => {
      if (preferences) await digests.plan({ accountKey: key, domain }, preferences)
      await commitAccount(key, request, decide, { known, mayRepeat: true })
    }
    // A fresh JWT may count again, so it is no fault that it did.
    await (request.isFresh ? commit() : repetition.once(request, commit))
  }

const createRemove =
  ({ webhooks, commitAccount, repetition, clock }: Omit<Change, 'digests'>): NotifyService['remove'] =>
  async (request) => {
    const { domain, subscriptionId, requestId, known } = request
    const isHeard = await webhooks.wants(domain, 'unsubscribed')
    const decide = (before: AccountRecord) => {
      const now = clock.now()
      const removed = rules.subscriptionOf(before, subscriptionId, now)
      const record = rules.remove(before, subscriptionId, now)
      const answered = entriesOnTopic(request, record, now, { leave: request.answer.topic })
      const detail = { reason: 'deleted' }
      const events = isHeard ? [eventEntry(requestId.id, 'unsubscribed', removed, { detail, now })] : []
      return { record, outbox: [...answered, ...events] }
    }
    await repetition.once(request, () =>
      commitAccount(accountKey(request.account), request, decide, { known }),
    )
  }

const createMarkRead =
  ({
    store,
    webhooks,
    repetition,
    clock,
  }: Pick<Deps, 'store' | 'webhooks' | 'clock'> & Pick<Change, 'repetition'>): NotifyService['markRead'] =>
  async (request, { ids }) => {
    const { domain, subscriptionId, requestId, known } = request
    const key = accountKey(request.account)
    const { record } = known
    const subscription = await repetition.once(request, async () =>
      rules.subscriptionOf(record, subscriptionId, clock.now()),
    )
    const isHeard = await webhooks.wants(domain, 'read')
    const now = clock.now()
    const about =
      ids === 'all' ? { detail: { by: 'wallet', all: true }, now } : { detail: { by: 'wallet' }, ids, now }
    const { outcome } = await store.markRead({
      accountKey: key,
      subscriptionId,
      ids,
      at: now,
      requestId,
      outbox: [responseEntry(request, domain, now)],
      outboxIfChanged: [
        ...accountChangedEntries(request, record, { domain, except: requesterOf(request), now }),
        ...(isHeard ? [eventEntry(requestId.id, 'read', subscription, about)] : []),
      ],
    })
    if (outcome === 'used') throw usedBefore()
  }

const createHistory =
  ({ store, clock }: Pick<Deps, 'store' | 'clock'>): NotifyService['history'] =>
  async (request, { after, limit, unreadFirst }) => {
    const now = clock.now()
    rules.subscriptionOf(request.known.record, request.subscriptionId, now)
    const page = await store.history(request.subscriptionId, { after, limit, unreadFirst, now })
    invariant(page.notifications.length <= limit, 'A page of a history is never longer than its limit')
    const asking = page.notifications.filter(({ notification }) => asksForAnswer(notification))
    const found = await store.answersBy(
      accountKey(request.account),
      asking.map(({ notification }) => notification),
    )
    const answers = asking.flatMap(({ id }, at) => {
      const answer = found[at]
      return answer ? [[id, answer.action] as const] : []
    })
    return historyPage(page, new Map(answers))
  }

export const createNotifyService = (deps: Deps): NotifyService => {
  const { store, vault, webhooks, digests, clock, randomBytes } = deps
  const commitAccount = createAccountCommit({ store, clock, randomBytes })
  const repetition = createRepetitionCheck({ store, clock })
  return {
    watch: createWatch({ store, clock, commitAccount, repetition }),
    subscribe: createSubscribe({ webhooks, digests, vault, clock, randomBytes, commitAccount }),
    update: createUpdate({ webhooks, digests, clock, commitAccount, repetition }),
    remove: createRemove({ webhooks, clock, commitAccount, repetition }),
    markRead: createMarkRead({ store, webhooks, clock, repetition }),
    answer: createAnswerAction({ store, webhooks, clock, repetition }),
    history: createHistory({ store, clock }),
    ...createSubscriptionEndings({ store, webhooks, clock, randomBytes, commitAccount }),
  }
}
