/**
 * What wallets can ask of the notify server, after `requests/handler` has established who asks and what exactly.
 *
 * Every request that changes something is one commit: the account's next record (worked out by `subscriptions/rules.ts`), the
 * answer and what other devices must hear (the outbox), and the id of the request. So it happens once, however often
 * the relay delivers it, and its answer is sent even when the process dies right after. Nothing is sent from here.
 */

import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import { type Account, accountKey } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { generateSymKey } from '../../protocol/keys.ts'
import type { HistoryItem } from '../../protocol/notify-methods.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { Vault } from '../apps/vault.ts'
import { uuidFrom } from '../ids.ts'
import { welcomeEntry } from '../publish/welcome.ts'
import type {
  AccountRecord,
  NotifyStore,
  OutboxEntry,
  OutboxTask,
  RequestId,
  Sealed,
  Subscription,
  Welcome,
} from '../store/store.ts'
import type { WebhookEvent } from '../store/webhooks.ts'
import type { Webhooks } from '../webhooks/service.ts'
import * as rules from './rules.ts'

/** A verified request, and where its answer goes. */
export interface VerifiedRequest {
  /** The relay message that carried it and its JWT, and until when they could come again. */
  requestId: RequestId
  /** The JWT was made within the last second or so. */
  isFresh: boolean
  /** The JSON-RPC id, as raw JSON text. */
  rpcId: string
  account: Account
  /** did:key of the client's identity key. */
  identityKey: string
  /** Clients of the first protocol version learn of their own changes through 4012, like everyone else. */
  hearsOwnChanges: boolean
  answer: {
    topic: string
    key: Sealed
    tag: number
    /** Seconds. */
    ttl: number
    /** did:key that the request was addressed to. */
    signerKey: string
    /** Claims that follow from the request alone: `act`, and what is echoed. */
    claims: Record<string, unknown>
  }
}

/** A request about one subscription: it came on the notify topic. */
export interface SubscriptionRequest extends VerifiedRequest {
  subscriptionId: string
  domain: string
}

export interface NotifyService {
  watch(request: VerifiedRequest, wish: { domain: string | null }): Promise<void>
  /** `scope`: only ids that the app declares. `welcome`: what a new subscriber gets. */
  subscribe(
    request: VerifiedRequest,
    wish: { domain: string; scope: string[]; welcome?: Welcome | null | undefined },
  ): Promise<void>
  update(request: SubscriptionRequest, wish: { scope: string[] }): Promise<void>
  remove(request: SubscriptionRequest): Promise<void>
  markRead(request: SubscriptionRequest, wish: { ids: readonly string[] | 'all' }): Promise<void>
  /** Answered by the caller: it changes nothing, so nothing is committed. */
  history(
    request: SubscriptionRequest,
    wish: { after: string | null; limit: number; unreadFirst: boolean },
  ): Promise<{ nfs: HistoryItem[]; mre: boolean; mur: boolean }>
  /** Ends what has expired on this account; the relay is told to forget the topics. */
  expire(accountKey: string): Promise<void>
  /** Ends all subscriptions of the account, as its wallet could one by one; every watcher hears of it. */
  clear(accountKey: string): Promise<void>
  /** Drops what is left of the account, its watchers. */
  forget(accountKey: string): Promise<void>
}

/** What a request turns a record into. */
interface Decision {
  record: AccountRecord
  outbox: OutboxEntry[]
}

/** Another process changed the same account: how often to start over before giving up. */
const ATTEMPTS = 12
const LONGEST_PAUSE = 200

/** TTL of 4012, s. */
const NEWS_TTL = 300
/**
 * How long a 4012 is held back at least, ms. A published client that gets an answer and a 4012 at the same moment mixes
 * them up and drops subscriptions.
 */
const NEWS_HOLD_MS = 400
/** The 4012s of one watcher are due at instants so far apart, ms: what is due together is sent as one. */
const NEWS_SLOT_MS = 400
/** How long leaving a topic is tried, s: as long as a message may wait there. */
const LEAVE_TTL = 2_592_000
/** How long an event may wait until it is handed to the project's webhooks, s. */
const EVENT_TTL = 2_592_000

export const createNotifyService = (deps: {
  store: NotifyStore
  vault: Vault
  webhooks: Pick<Webhooks, 'wants'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): NotifyService => {
  const { store, vault, webhooks, clock, randomBytes } = deps
  /** Spares the devices of an account the race that compare-and-swap would decide. */
  const inTurn = createKeyedLock()

  /** 0 to 1. */
  const jitter = () => (randomBytes(1)[0] ?? 0) / 255

  const change = (
    key: string,
    requestId: VerifiedRequest['requestId'] | undefined,
    decide: (record: AccountRecord) => Decision | undefined,
  ): Promise<void> => inTurn(key, () => compareAndSwap(key, requestId, decide))

  /** Reads, decides, compares and swaps, until nobody was faster. */
  const compareAndSwap = async (
    key: string,
    requestId: VerifiedRequest['requestId'] | undefined,
    decide: (record: AccountRecord) => Decision | undefined,
  ): Promise<void> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, record } = await store.account(key)
      const decision = decide(record)
      if (!decision) return
      const outcome = await store.commit({
        accountKey: key,
        expectedVersion: version,
        record: decision.record,
        ...(requestId && { requestId }),
        outbox: decision.outbox,
      })
      if (outcome === 'used') throw usedBefore()
      if (outcome !== 'conflict') return
      // The first retries at once: the other one is through already.
      if (attempt > 1) await pause(clock, jitter() * Math.min(2 ** attempt, LONGEST_PAUSE))
    }
    throw new ProtocolError('unavailable', 'the account is changing too fast')
  }

  const entry = (id: string, task: OutboxTask, ttl: number): OutboxEntry => {
    const now = clock.now()
    return { id, task, createdAt: now, expiresAt: now + ttl * 1000 }
  }

  const answer = (
    request: VerifiedRequest,
    signer: string | null,
    more: Partial<Pick<Extract<OutboxTask, { kind: 'response' }>, 'view' | 'join' | 'leave'>> = {},
  ): OutboxEntry =>
    entry(
      `response:${request.requestId.id}`,
      {
        kind: 'response',
        topic: request.answer.topic,
        key: request.answer.key,
        tag: request.answer.tag,
        rpcId: request.rpcId,
        signer,
        signerKey: request.answer.signerKey,
        claims: request.answer.claims,
        ...more,
      },
      request.answer.ttl,
    )

  /** 4012 for the devices that the change concerns; `except` knows already. */
  const news = (
    request: VerifiedRequest,
    record: AccountRecord,
    domain: string,
    except: string | undefined,
  ): OutboxEntry[] =>
    rules.watchersToTell(record, { domain, except, now: clock.now() }).map(({ identityKey }) => ({
      ...entry(
        `changed:${request.requestId.id}:${identityKey}`,
        { kind: 'changed', accountKey: accountKey(request.account), identityKey },
        NEWS_TTL,
      ),
      notBefore: nextSlot(clock.now(), identityKey),
    }))

  /** Who gets no 4012 about its own request: it knows, unless it speaks the first version of the protocol. */
  const requester = (request: VerifiedRequest) => (request.hearsOwnChanges ? undefined : request.identityKey)

  /**
   * The answer on a notify topic: everybody who holds the topic's key can read it, so it lists that app alone. A
   * requester that may see more gets its full view on its watch topic.
   */
  const answerOnTopic = (
    request: SubscriptionRequest,
    record: AccountRecord,
    more: { leave?: string } = {},
  ): OutboxEntry[] => {
    const { domain, identityKey } = request
    const scope = rules.answerScope(record, { identityKey, domain, now: clock.now() })
    const view = { accountKey: accountKey(request.account), account: request.account.text, domain }
    const except = scope === domain ? requester(request) : undefined
    return [answer(request, domain, { view, ...more }), ...news(request, record, domain, except)]
  }

  const leave = (topic: string): OutboxEntry => entry(`leave:${topic}`, { kind: 'leave', topic }, LEAVE_TTL)

  /** What the project's webhooks hear. `id` follows from the cause: an event has it over all retries. */
  const event = (
    id: string,
    kind: WebhookEvent,
    { id: subscriptionId, domain, account }: Subscription,
    detail: Record<string, unknown>,
    ids?: readonly string[],
  ): OutboxEntry =>
    entry(
      `event:${id}`,
      { kind: 'event', event: kind, domain, subscriptionId, account, detail, ...(ids && { ids }) },
      EVENT_TTL,
    )
  const gone = (ended: Subscription, reason: 'expired' | 'erased') =>
    event(`${reason}:${ended.id}`, 'unsubscribed', ended, { reason })
  /** What the webhooks hear of subscriptions that no wallet ended; of several domains, who listens is asked first. */
  const endsOf = async (subscriptions: readonly Subscription[], reason: 'expired' | 'erased') => {
    const heard = new Set<string>()
    for (const { domain } of subscriptions) {
      if (await webhooks.wants(domain, 'unsubscribed')) heard.add(domain)
    }
    return (ended: readonly Subscription[]): OutboxEntry[] =>
      ended.filter(({ domain }) => heard.has(domain)).map((one) => gone(one, reason))
  }

  /** What of the request was carried out before: this very message, its JWT in another message, or neither. */
  const repeatedPart = async ({
    requestId: { id, token },
  }: VerifiedRequest): Promise<'message' | 'token' | undefined> => {
    if (await store.wasCommitted(id, clock.now())) return 'message'
    return token !== undefined && (await store.wasCommitted(token, clock.now())) ? 'token' : undefined
  }

  /** True when the relay delivers again what was done already. */
  const isDone = async (request: VerifiedRequest): Promise<boolean> => {
    const repeated = await repeatedPart(request)
    if (repeated === 'token') throw usedBefore()
    return repeated === 'message'
  }

  /**
   * As `isDone`, for what somebody may ask twice within one second, with something else between (subscribe, delete,
   * subscribe). Published clients sign whole seconds and nothing else that differs, so both requests carry one JWT. It
   * counts again while it is fresh, provided that it changes something: `assertChange` refuses a mere repetition.
   */
  const checkRepetition = async (request: VerifiedRequest) => {
    const repeated = await repeatedPart(request)
    if (repeated === 'token' && !request.isFresh) throw usedBefore()
    const { token: _, ...withoutToken } = request.requestId
    return {
      isDone: repeated === 'message',
      requestId: repeated === 'token' ? withoutToken : request.requestId,
      assertChange(changes: boolean) {
        if (repeated === 'token' && !changes) throw usedBefore()
      },
    }
  }

  return {
    async watch(request, { domain }) {
      // VerifiedRequest first, because taking the watcher away from another account must not be done twice.
      if (await isDone(request)) return
      const key = accountKey(request.account)
      const watcher = {
        identityKey: request.identityKey,
        domain,
        account: request.account.text,
        key: request.answer.key,
        topic: request.answer.topic,
        serverKey: request.answer.signerKey,
      }
      const owner = await store.watcherOwner(request.identityKey)
      if (owner !== undefined && owner !== key) {
        // A refused watch leaves the old one alone.
        rules.watch((await store.account(key)).record, { ...watcher, now: clock.now() })
        await change(owner, undefined, (record) => ({
          record: rules.unwatch(record, request.identityKey),
          outbox: [],
        }))
      }
      await change(key, request.requestId, (record) => ({
        record: rules.watch(record, { ...watcher, now: clock.now() }),
        outbox: [answer(request, null, { view: { accountKey: key, account: request.account.text, domain } })],
      }))
    },

    async subscribe(request, { domain, scope, welcome }) {
      const { isDone: isRepeated, requestId, assertChange } = await checkRepetition(request)
      if (isRepeated) return
      const key = accountKey(request.account)
      const isHeard = {
        subscribed: await webhooks.wants(domain, 'subscribed'),
        updated: await webhooks.wants(domain, 'updated'),
        unsubscribed: await webhooks.wants(domain, 'unsubscribed'),
      }
      const symKey = generateSymKey()
      const fresh = { id: uuidFrom(randomBytes(16), 4), key: vault.seal(symKey), topic: topicOf(symKey) }
      await change(key, requestId, (before) => {
        assertChange(!rules.isSubscribed(before, { domain, scope, now: clock.now() }))
        const { record, subscription, ended } = rules.subscribe(before, {
          domain,
          scope,
          account: request.account.text,
          fresh,
          now: clock.now(),
        })
        const { identityKey } = request
        const answered = answer(request, domain, {
          // On a topic that the requester made for this answer: what it may see, it gets here.
          view: {
            accountKey: key,
            account: request.account.text,
            domain: rules.answerScope(record, { identityKey, domain, now: clock.now() }),
          },
          join: subscription.topic,
        })
        const isNew = subscription.id === fresh.id
        const happened = isNew ? 'subscribed' : 'updated'
        const greeting = isNew ? welcomeEntry(key, subscription, welcome, clock.now()) : undefined
        return {
          record,
          outbox: [
            answered,
            ...news(request, record, domain, requester(request)),
            ...(ended ? [leave(ended.topic)] : []),
            ...(ended && isHeard.unsubscribed ? [gone(ended, 'expired')] : []),
            ...(isHeard[happened] ? [event(request.requestId.id, happened, subscription, { scope })] : []),
            ...(greeting ? [greeting] : []),
          ],
        }
      })
    },

    async update(request, { scope }) {
      const { isDone: isRepeated, requestId, assertChange } = await checkRepetition(request)
      if (isRepeated) return
      const { domain, subscriptionId } = request
      const isHeard = await webhooks.wants(domain, 'updated')
      await change(accountKey(request.account), requestId, (before) => {
        assertChange(!rules.isSubscribed(before, { domain, scope, now: clock.now() }))
        const record = rules.update(before, {
          subscriptionId,
          scope,
          account: request.account.text,
          now: clock.now(),
        })
        const held = rules.subscriptionOf(record, subscriptionId, clock.now())
        const told = isHeard ? [event(request.requestId.id, 'updated', held, { scope })] : []
        return { record, outbox: [...answerOnTopic(request, record), ...told] }
      })
    },

    async remove(request) {
      if (await isDone(request)) return
      const { domain, subscriptionId } = request
      const isHeard = await webhooks.wants(domain, 'unsubscribed')
      await change(accountKey(request.account), request.requestId, (before) => {
        const held = rules.subscriptionOf(before, subscriptionId, clock.now())
        const record = rules.remove(before, subscriptionId, clock.now())
        const answered = answerOnTopic(request, record, { leave: request.answer.topic })
        const told = isHeard ? [event(request.requestId.id, 'unsubscribed', held, { reason: 'deleted' })] : []
        return { record, outbox: [...answered, ...told] }
      })
    },

    async markRead(request, { ids }) {
      if (await isDone(request)) return
      const key = accountKey(request.account)
      const { record } = await store.account(key)
      const held = rules.subscriptionOf(record, request.subscriptionId, clock.now())
      const told = (await webhooks.wants(request.domain, 'read'))
        ? [
            ids === 'all'
              ? event(request.requestId.id, 'read', held, { by: 'wallet', all: true })
              : event(request.requestId.id, 'read', held, { by: 'wallet' }, ids),
          ]
        : []
      const { outcome } = await store.markRead({
        accountKey: key,
        subscriptionId: request.subscriptionId,
        ids,
        at: clock.now(),
        requestId: request.requestId,
        outbox: [answer(request, request.domain)],
        outboxIfChanged: [...news(request, record, request.domain, requester(request)), ...told],
      })
      if (outcome === 'used') throw usedBefore()
    },

    async history(request, { after, limit, unreadFirst }) {
      const now = clock.now()
      const { record } = await store.account(accountKey(request.account))
      rules.subscriptionOf(record, request.subscriptionId, now)
      const page = await store.history(request.subscriptionId, { after, limit, unreadFirst, now })
      const nfs = page.notifications.map(({ id, sentAt, isRead, notification }) => ({
        id,
        sent_at: sentAt,
        type: notification.type,
        title: notification.title,
        body: notification.body,
        icon: notification.icon,
        url: notification.url,
        is_read: isRead,
      }))
      return { nfs, mre: page.hasMore, mur: page.hasMoreUnread }
    },

    async expire(key) {
      const { ended: ending } = rules.expire((await store.account(key)).record, clock.now())
      const told = await endsOf(ending, 'expired')
      await change(key, undefined, (before) => {
        const { record, ended, changed } = rules.expire(before, clock.now())
        if (!changed) return undefined
        return { record, outbox: [...ended.map(({ topic }) => leave(topic)), ...told(ended)] }
      })
    },

    async clear(key) {
      const id = uuidFrom(randomBytes(16), 4)
      const hearing = await endsOf((await store.account(key)).record.subscriptions, 'erased')
      await change(key, undefined, (before) => {
        const { subscriptions: ended } = before
        if (ended.length === 0) return undefined
        const now = clock.now()
        const toTell = ended.flatMap(({ domain }) =>
          rules.watchersToTell(before, { domain, except: undefined, now }),
        )
        const told = [...new Set(toTell.map(({ identityKey }) => identityKey))].map((identityKey) =>
          entry(`changed:${id}:${identityKey}`, { kind: 'changed', accountKey: key, identityKey }, NEWS_TTL),
        )
        return {
          record: { ...before, subscriptions: [] },
          outbox: [...told, ...ended.map(({ topic }) => leave(topic)), ...hearing(ended)],
        }
      })
    },

    async forget(key) {
      await change(key, undefined, ({ subscriptions, watchers }) =>
        subscriptions.length + watchers.length === 0
          ? undefined
          : {
              record: { subscriptions: [], watchers: [] },
              outbox: subscriptions.map(({ topic }) => leave(topic)),
            },
      )
    },
  }
}

/** A JWT counts once: somebody who has read it could have it carried out again, and be answered. */
const usedBefore = () => new ProtocolError('jwt_invalid', 'it was used before')

/** When a 4012 to this watcher is due: the first of its instants that is far enough away. Watchers have different ones. */
const nextSlot = (now: number, identityKey: string): number => {
  let phase = 0
  for (let at = 0; at < identityKey.length; at++) phase += identityKey.charCodeAt(at)
  phase %= NEWS_SLOT_MS
  return Math.ceil((now + NEWS_HOLD_MS - phase) / NEWS_SLOT_MS) * NEWS_SLOT_MS + phase
}
