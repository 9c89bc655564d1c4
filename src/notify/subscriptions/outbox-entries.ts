/** Outbox entries that changes of an account make necessary. Their ids follow from the cause, so a retry repeats them. */
import { accountKey } from '../../protocol/caip.ts'
import { NOTIFY_METHODS } from '../../protocol/notify-methods.ts'
import { MAX_MESSAGE_TTL_S } from '../lifetimes.ts'
import type { AccountRecord, OutboxEntry, OutboxTask, Subscription } from '../store/store.ts'
import type { WebhookEvent } from '../store/webhooks.ts'
import type { Webhooks } from '../webhooks/service.ts'
import type { VerifiedRequest } from './request.ts'
import { watchersToTell } from './rules.ts'

const ACCOUNT_CHANGED_TTL_S = NOTIFY_METHODS[4012].requestTtl
/**
 * A 4012 waits at least this long. A published client that receives an answer and a 4012 at the same moment confuses
 * them and drops subscriptions.
 */
export const ACCOUNT_CHANGED_DELAY_MS = 400
/** The 4012s of one watcher are due in slots of this length; those of one slot are sent as one message. */
const ACCOUNT_CHANGED_SLOT_MS = 400

type ResponseTask = Extract<OutboxTask, { kind: 'response' }>

const entryOf = (id: string, task: OutboxTask, ttlS: number, now: number): OutboxEntry => ({
  id,
  task,
  createdAt: now,
  expiresAt: now + ttlS * 1000,
})

/** The answer to a request. `signer`: domain of the app whose key signs; null for the server's own. */
export const responseEntry = (
  request: VerifiedRequest,
  signer: string | null,
  now: number,
  more: Partial<Pick<ResponseTask, 'view' | 'join' | 'leave'>> = {},
): OutboxEntry =>
  entryOf(
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
    now,
  )

/** When a 4012 to this watcher is due: its first slot that is far enough away. Watchers have different slots. */
const nextSlot = (now: number, identityKey: string): number => {
  let phase = 0
  for (let at = 0; at < identityKey.length; at++) phase += identityKey.charCodeAt(at)
  phase %= ACCOUNT_CHANGED_SLOT_MS
  return (
    Math.ceil((now + ACCOUNT_CHANGED_DELAY_MS - phase) / ACCOUNT_CHANGED_SLOT_MS) * ACCOUNT_CHANGED_SLOT_MS +
    phase
  )
}

/** A 4012 for one watcher. `cause` names what changed. */
export const accountChangedEntry = (
  cause: string,
  key: string,
  identityKey: string,
  now: number,
): OutboxEntry =>
  entryOf(
    `changed:${cause}:${identityKey}`,
    { kind: 'changed', accountKey: key, identityKey },
    ACCOUNT_CHANGED_TTL_S,
    now,
  )

/** 4012 for the watchers that the change concerns, without `except`, which knows already. */
export const accountChangedEntries = (
  request: VerifiedRequest,
  record: AccountRecord,
  { domain, except, now }: { domain: string; except: string | undefined; now: number },
): OutboxEntry[] => {
  const key = accountKey(request.account)
  return watchersToTell(record, { domain, except, now }).map(({ identityKey }) => ({
    ...accountChangedEntry(request.requestId.id, key, identityKey, now),
    notBefore: nextSlot(now, identityKey),
  }))
}

/** The identity key that gets no 4012 about its own request. Clients of the first protocol version do get one. */
export const requesterOf = (request: VerifiedRequest): string | undefined =>
  request.hearsOwnChanges ? undefined : request.identityKey

export const leaveEntry = (topic: string, now: number): OutboxEntry =>
  entryOf(`leave:${topic}`, { kind: 'leave', topic }, MAX_MESSAGE_TTL_S, now)

/** An event for the project's webhooks. `cause` gives the event one id over all retries. */
export const eventEntry = (
  cause: string,
  event: WebhookEvent,
  { id: subscriptionId, domain, account }: Subscription,
  { detail, ids, now }: { detail: Record<string, unknown>; ids?: readonly string[]; now: number },
): OutboxEntry =>
  entryOf(
    `event:${cause}`,
    { kind: 'event', event, domain, subscriptionId, account, detail, ...(ids && { ids }) },
    MAX_MESSAGE_TTL_S,
    now,
  )

type EndReason = 'expired' | 'erased'

/** The event of a subscription that no wallet ended. */
export const endedEntry = (ended: Subscription, reason: EndReason, now: number): OutboxEntry =>
  eventEntry(`${reason}:${ended.id}`, 'unsubscribed', ended, { detail: { reason }, now })

/** Asks which of the subscriptions' apps have a listening webhook; the result makes the events of those apps. */
export const endedEntriesFor = async (
  webhooks: Pick<Webhooks, 'wants'>,
  subscriptions: readonly Subscription[],
  reason: EndReason,
): Promise<(ended: readonly Subscription[], now: number) => OutboxEntry[]> => {
  const listening = new Set<string>()
  for (const { domain } of subscriptions) {
    if (await webhooks.wants(domain, 'unsubscribed')) listening.add(domain)
  }
  return (ended, now) =>
    ended.filter(({ domain }) => listening.has(domain)).map((one) => endedEntry(one, reason, now))
}
