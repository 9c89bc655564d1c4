import type { AccountRecord } from '../../../notify/store/store.ts'
import { ifWhole } from '../../damaged-row.ts'
import { expireCopiesScript } from '../lua/notify/history/expire-copies.ts'
import { expireNotificationsScript } from '../lua/notify/history/expire-notifications.ts'
import { undueScript } from '../lua/notify/outbox/undue.ts'
import { whole } from '../script.ts'
import { GONE } from './accounts.ts'
import { type NotifyDeps, parsed, split } from './deps.ts'
import type { Lookups } from './lookups.ts'
import { ALL, receiptKeyOf, TTL_MARGIN_MS } from './rows/layout.ts'
import { unpackAccount, unpackTopic } from './rows/packing.ts'

/** Rows of one call, and things looked at in one partition: a sweep must not hold up what wallets ask for. */
const SWEEP_BATCH_SIZE = 500

interface SweepDeps extends NotifyDeps {
  lookups: Lookups
}

/** The copies of a subscription that ended, then the note that it did. */
const sweepEnded = async (
  deps: SweepDeps,
  p: number,
  subscriptionId: string,
  limit: number,
): Promise<number> => {
  const at = deps.layout.partition(p)
  const key = at.ended(subscriptionId)
  const ids = await deps.ask(() => deps.redis.client.zrange(key, 0, limit - 1))
  if (ids.length > 0) {
    await deps.ask(() => deps.redis.client.hdel(at.ids, ...ids))
    await deps.ask(() => deps.redis.client.zrem(key, ...ids))
  }
  if (ids.length < limit)
    await deps.ask(() => deps.redis.client.zrem(at.gone, `${GONE.history}${subscriptionId}`))
  return ids.length
}

const sweepGone = async (deps: SweepDeps, p: number, limit: number): Promise<number> => {
  const at = deps.layout.partition(p)
  let swept = 0
  for (const what of await deps.ask(() => deps.redis.client.zrange(at.gone, 0, SWEEP_BATCH_SIZE - 1))) {
    const id = what.slice(1)
    if (what.startsWith(GONE.history)) {
      if (swept < limit) swept += await sweepEnded(deps, p, id, limit - swept)
      continue
    }
    const isTopic = what.startsWith(GONE.topic)
    const topicId = isTopic ? unpackTopic(id) : ''
    const fits = ({ subscriptions, watchers }: AccountRecord) =>
      isTopic
        ? subscriptions.some(({ topic }) => topic === topicId)
        : watchers.some(({ identityKey }) => identityKey === id)
    await deps.lookups.tidy(isTopic ? deps.layout.topicLookup(topicId) : deps.layout.watcherLookup(id), fits)
    await deps.ask(() => deps.redis.client.zrem(at.gone, what))
  }
  return swept
}

const sweepCopies = async (deps: SweepDeps, p: number, now: number, limit: number): Promise<number> => {
  const at = deps.layout.partition(p)
  let swept = 0
  for (const id of await deps.ask(() =>
    deps.redis.client.zrangebyscore(at.expiring, '-inf', now, 'LIMIT', 0, SWEEP_BATCH_SIZE),
  )) {
    if (swept >= limit) break
    const keys = [at.expiring, ...at.copies(id), at.ids]
    const args = [id, now, Math.min(SWEEP_BATCH_SIZE, limit - swept)]
    swept += whole(await deps.ask(() => deps.redis.script(expireCopiesScript, keys, args)))
  }
  return swept
}

/** What belongs to notifications and lies elsewhere: their receipts, their places in the lists of what was sent. */
const forget = async (
  deps: SweepDeps,
  references: readonly string[],
  values: readonly (string | null)[],
  now: number,
) => {
  const gone = references.flatMap((reference, at) => {
    const row = values[at] ? ifWhole(() => parsed('notifications', split(values[at] ?? '')[1])) : undefined
    // Another one may have taken the id meanwhile.
    return row && row.expiresAt <= now ? [{ ...row, receiptKey: receiptKeyOf(reference, row.createdAt) }] : []
  })
  if (gone.length === 0) return
  await Promise.all([
    ...gone.flatMap(({ projectId, domain, receiptKey }) =>
      [deps.layout.sent(projectId), deps.layout.sent(projectId, domain)].map((sent) =>
        deps.ask(() => deps.redis.client.zrem(sent, receiptKey)),
      ),
    ),
    ...ALL.map((p) =>
      deps.ask(() =>
        deps.redis.client.unlink(
          ...gone.flatMap(({ receiptKey }) => deps.layout.partition(p).receipts(receiptKey)),
        ),
      ),
    ),
  ])
}

const sweepNotifications = async (
  deps: SweepDeps,
  p: number,
  now: number,
  limit: number,
): Promise<number> => {
  const { notifications } = deps.layout.partition(p)
  const most = Math.min(SWEEP_BATCH_SIZE, limit)
  const old = await deps.ask(() =>
    deps.redis.client.zrangebyscore(notifications, '-inf', now, 'LIMIT', 0, most),
  )
  if (old.length === 0) return 0
  const keys = old.map((reference) => deps.layout.notification(reference).key)
  await forget(deps, old, await deps.ask(() => deps.redis.client.mget(...keys)), now)
  return whole(
    await deps.ask(() =>
      deps.redis.script(expireNotificationsScript, [notifications, ...keys], [now, ...old]),
    ),
  )
}

/** Accounts whose ttl ended while no server ran: their keys went, their place in the list did not. */
const sweepDue = async (deps: SweepDeps, p: number, now: number): Promise<void> => {
  const at = deps.layout.partition(p)
  const long = now - TTL_MARGIN_MS.account
  for (const packed of await deps.ask(() =>
    deps.redis.client.zrangebyscore(at.due, '-inf', long, 'LIMIT', 0, SWEEP_BATCH_SIZE),
  )) {
    await deps.ask(() =>
      deps.redis.script(undueScript, [at.due, at.account(unpackAccount(packed))], [packed]),
    )
  }
}

/** Which partitions have something to sweep. */
const look = async (deps: SweepDeps, now: number) => {
  const found = await Promise.all(
    ALL.map((p) => {
      const at = deps.layout.partition(p)
      return Promise.all([
        deps.ask(() => deps.redis.client.zcard(at.gone)),
        deps.ask(() => deps.redis.client.zcount(at.expiring, '-inf', now)),
        deps.ask(() => deps.redis.client.zcount(at.notifications, '-inf', now)),
        deps.ask(() => deps.redis.client.zcount(at.due, '-inf', now - TTL_MARGIN_MS.account)),
      ])
    }),
  )
  return ALL.map((p) => {
    const [gone = 0, copies = 0, notifications = 0, due = 0] = found[p] ?? []
    return { p, gone, copies, notifications, due }
  })
}

/**
 * Removes what expired, and what subscriptions and watchers leave that ended. Nothing of it is visible any more when it
 * is swept. Keys with a ttl would go by themselves, but later; members of sorted sets would not.
 *
 * Several may sweep at once: each step bears repetition, and a look-up is removed only if it still is what was looked at.
 */
export const createRedisSweep = (shared: NotifyDeps, lookups: Lookups) => {
  const deps: SweepDeps = { ...shared, lookups }

  return async (now: number, limit: number): Promise<number> => {
    let swept = 0
    for (const { p, gone, copies, notifications, due } of await look(deps, now)) {
      if (due > 0) await sweepDue(deps, p, now)
      if (gone > 0 && swept < limit) swept += await sweepGone(deps, p, limit - swept)
      if (copies > 0 && swept < limit) swept += await sweepCopies(deps, p, now, limit - swept)
      if (notifications > 0 && swept < limit) swept += await sweepNotifications(deps, p, now, limit - swept)
    }
    return swept
  }
}
