import type { DeliveredNotification, Notification, NotifyStore } from '../../notify/store.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { createGather } from './gather.ts'
import { groupBy } from './group-by.ts'
import { type NotifyDeps, parsed, split } from './notify-deps.ts'
import { ALL, MARGIN, partitionOf, referenceOf } from './notify-layout.ts'
import type { Outbox } from './notify-outbox.ts'
import { holding } from './notify-records.ts'
import type { Requests } from './notify-requests.ts'
import { copyScript } from './scripts/notify-copy.ts'
import { handScript } from './scripts/notify-hand.ts'
import { keepScript } from './scripts/notify-keep.ts'
import { markScript } from './scripts/notify-mark.ts'
import { pageScript } from './scripts/notify-page.ts'
import { list, text, whole } from './scripts.ts'
import { createShelf } from './shelf.ts'

type History = Pick<
  NotifyStore,
  | 'putNotification'
  | 'notification'
  | 'hand'
  | 'delivered'
  | 'deliveredById'
  | 'history'
  | 'unreadCounts'
  | 'markRead'
>

/** Targets of one script call: about two milliseconds in which Redis does nothing else. */
const HAND_BATCH = 100
/** Copies that one call looks up. */
const COPIES = 200
/** Targets that are on their way at once. */
const HAND_STEP = 2_000
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const ANSWERS = ['sent', 'repeated', 'gone'] as const

/** Where a copy is. */
interface Whose {
  p: number
  subscriptionId: string
  id: string
}

interface Copy {
  id: string
  sentAt: number
  isRead: boolean
  reference: string
}

const copyOf = (id: unknown, sentAt: unknown, isRead: unknown, row: unknown): Copy => ({
  id: text(id),
  sentAt: whole(sentAt),
  isRead: whole(isRead) === 1,
  reference: split(text(row))[1],
})

/**
 * Notifications and the copies of them that subscribers have. A notification lies in a partition that follows from its
 * id, a copy in that of its account; a copy holds the reference of its notification and the time at which that was
 * sent, so that one which came later under the same id is not taken for it.
 */
export const createRedisHistory = (deps: NotifyDeps, requests: Requests, outbox: Outbox): History => {
  const { redis, ask, layout, clock, whereabouts } = deps
  const { client } = redis
  /** Delivery looks up the same notification for each of its receivers. */
  const lately = createShelf<Promise<Notification | undefined>>(200)

  const lifetime = ({ createdAt, expiresAt }: Notification) =>
    Math.max(expiresAt - createdAt, expiresAt - clock.now(), 0) + MARGIN.copy

  /** Answers what is kept. */
  const keep = async (notification: Notification): Promise<{ reference: string; kept: Notification }> => {
    const reference = referenceOf(notification.projectId, notification.domain, notification.id)
    const { at, key } = layout.notification(reference)
    const { createdAt, expiresAt } = notification
    const args = [createdAt, expiresAt, lifetime(notification), reference, JSON.stringify(notification)]
    const json = text(await ask(() => redis.script(keepScript, [key, at.notifications], args)))
    return { reference, kept: parsed<Notification>(json) ?? notification }
  }

  const fetch = async (reference: string): Promise<Notification | undefined> => {
    const value = await ask(() => client.get(layout.notification(reference).key))
    return value === null ? undefined : parsed<Notification>(split(value)[1])
  }

  const withNotification = async (copy: Copy): Promise<DeliveredNotification | undefined> => {
    const { id, sentAt, isRead, reference } = copy
    // What is kept under a reference and was sent at an instant never changes.
    const shelved = `${reference} ${sentAt}`
    const known = lately.get(shelved) ?? fetch(reference)
    lately.put(shelved, known)
    const notification = await known.catch((error) => {
      lately.remove(shelved)
      throw error
    })
    if (notification?.createdAt === sentAt) return { id, sentAt, isRead, notification }
    lately.remove(shelved)
    return undefined
  }

  /** Delivery looks up those of a batch at once. */
  const copyRow = createGather(
    { groupOf: ({ p }: Whose) => (redis.spansSlots ? 0 : p), most: COPIES },
    async (whose) => {
      const keys = whose.flatMap(({ p, subscriptionId }) => layout.partition(p).copies(subscriptionId))
      const ids = whose.map(({ id }) => id)
      return list(await ask(() => redis.script(copyScript, keys, ids)))
    },
  )
  const copyIn = async (p: number, subscriptionId: string, id: string) => {
    const answer = await copyRow({ p, subscriptionId, id })
    if (answer === null) return undefined
    const [sentAt, isRead, row] = list(answer)
    return withNotification(copyOf(id, sentAt, isRead, row))
  }

  type Target = Parameters<NotifyStore['hand']>[1][number]
  /** With its outbox entry as the script is told it, its place in the answer, and its partition. */
  type Placed = Target & { args: (string | number)[]; place: number; p: number }

  /** One script call: targets in the order of their partitions. */
  const handBatch = async (
    targets: readonly Placed[],
    { now, reference, kept }: { now: number; reference: string; kept: Notification },
  ) => {
    const keys: string[] = []
    const args: (string | number)[] = []
    for (const [p, own] of groupBy(targets, (target) => target.p)) {
      const at = layout.partition(p)
      keys.push(at.entries, at.free, at.order, at.expiring, at.ids)
      args.push(own.length)
      for (const { accountKey, subscriptionId, deliveredId, args: entry } of own) {
        keys.push(at.account(accountKey), ...at.copies(subscriptionId))
        args.push(subscriptionId, deliveredId, holding(subscriptionId), ...entry)
      }
    }
    const ttl = outbox.ttlOf(targets.map((target) => target.outbox))
    const head = [now, kept.createdAt, kept.expiresAt, reference, lifetime(kept), ttl]
    const answers = list(await ask(() => redis.script(handScript, keys, [...head, ...args])))
    return answers.map((answer) => ANSWERS[whole(answer)] ?? 'gone')
  }

  const handStep = async (notification: Notification, targets: readonly Target[]) => {
    const { reference, kept } = await keep(notification)
    const placed = targets
      .map((target, place): Placed => {
        const args = outbox.args([target.outbox])
        return { ...target, args, place, p: partitionOf(target.accountKey) }
      })
      .sort((a, b) => a.p - b.p || a.place - b.place)
    const results = new Array<(typeof ANSWERS)[number]>(targets.length).fill('gone')
    const handAll = async (batch: readonly Placed[]) => {
      const answers = await handBatch(batch, { now: notification.createdAt, reference, kept })
      for (const [at, { place, p, subscriptionId }] of batch.entries()) {
        const answer = answers[at] ?? 'gone'
        results[place] = answer
        if (answer !== 'gone') whereabouts.put(subscriptionId, p)
      }
    }
    const handing: Promise<void>[] = []
    let ready = 0
    for (const group of redis.spansSlots ? [placed] : groupBy(placed, ({ p }) => p).values()) {
      for (let from = 0; from < group.length; from += HAND_BATCH) {
        const batch = group.slice(from, from + HAND_BATCH)
        const one = handAll(batch)
        // It may fail before anybody waits for it; then waiting says so.
        one.catch(() => {})
        handing.push(one)
        // What is ready leaves: Redis works on it while the next ones are written.
        ready += batch.length
        if (ready < HAND_BATCH) continue
        ready = 0
        await turn()
      }
    }
    await Promise.all(handing)
    return results
  }

  return {
    async putNotification(notification) {
      return (await keep(notification)).kept
    },

    async notification(projectId, domain, id) {
      return fetch(referenceOf(projectId, domain, id))
    },

    async hand(notification, targets) {
      const results: (typeof ANSWERS)[number][] = []
      for (let from = 0; from < targets.length; from += HAND_STEP) {
        const step = await handStep(notification, targets.slice(from, from + HAND_STEP))
        results.push(...step)
        if (step.includes('sent')) outbox.ring()
      }
      return results
    },

    async delivered(subscriptionId, deliveredId) {
      const p = await whereabouts.find(subscriptionId)
      return p === undefined ? undefined : copyIn(p, subscriptionId, deliveredId)
    },

    async deliveredById(deliveredId) {
      // A link that somebody clicked: rare enough to ask all partitions, which spares a key for every copy.
      const owners = await Promise.all(
        ALL.map((p) => ask(() => client.hget(layout.partition(p).ids, deliveredId))),
      )
      const p = owners.findIndex((owner) => owner !== null)
      const subscriptionId = owners[p]
      return subscriptionId ? copyIn(p, subscriptionId, deliveredId) : undefined
    },

    async history(subscriptionId, { after, limit, unreadFirst, now }) {
      const p = await whereabouts.find(subscriptionId)
      if (after === '' || (p === undefined && after !== null)) throw new ProtocolError('unknown_notification')
      const page: DeliveredNotification[] = []
      let hasMore = p !== undefined
      let hasMoreUnread = false
      for (let from = after ?? ''; p !== undefined && hasMore && page.length < limit; ) {
        const keys = layout.partition(p).copies(subscriptionId)
        const args = [now, limit - page.length, from, unreadFirst ? '1' : '']
        const answer = await ask(() => redis.script(pageScript, keys, args))
        if (answer === 'unknown') {
          if (from === after) throw new ProtocolError('unknown_notification')
          break
        }
        const [more, moreUnread, ...rest] = list(answer)
        hasMore = whole(more) === 1
        hasMoreUnread = whole(moreUnread) === 1
        const copies: Copy[] = []
        for (let at = 0; at < rest.length; at += 4) {
          copies.push(copyOf(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]))
        }
        // A notification that was swept between the two looks leaves a gap; the next round fills it.
        for (const item of await Promise.all(copies.map(withNotification))) if (item) page.push(item)
        from = copies.at(-1)?.id ?? from
      }
      return { notifications: page, hasMore, hasMoreUnread }
    },

    async unreadCounts(subscriptionIds) {
      return Promise.all(
        subscriptionIds.map(async (id) => {
          const p = await whereabouts.find(id)
          return p === undefined ? 0 : ask(() => client.zcard(layout.partition(p).copies(id)[1]))
        }),
      )
    },

    async markRead({ accountKey, subscriptionId, ids, requestId, outbox: always, outboxIfChanged }) {
      const p = partitionOf(accountKey)
      const at = layout.partition(p)
      const entries = [...always, ...outboxIfChanged]
      const script = () =>
        redis.script(
          markScript,
          [
            ...[at.entries, at.free, at.order, at.account(accountKey), at.copies(subscriptionId)[1]],
            requestId ? at.request(requestId.id) : at.order,
          ],
          [
            holding(subscriptionId),
            ...requests.args(requestId),
            outbox.ttlOf(entries),
            ids === 'all' ? 'all' : ids.length,
            always.length,
            ...(ids === 'all' ? [] : ids),
            ...outbox.args(entries),
          ],
        )
      const [answer] = await Promise.all([ask(script), requests.point(p, requestId)])
      const changed = whole(answer)
      if (changed < 0) return { outcome: 'repeated' }
      if (always.length + (changed > 0 ? outboxIfChanged.length : 0) > 0) outbox.ring()
      return { outcome: 'committed', changed }
    },
  }
}
