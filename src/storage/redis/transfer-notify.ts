/** What the notify server's store holds beside its projects and apps, as records, and back. */
import type { Notification, OutboxEntry, OutboxTask } from '../../notify/store.ts'
import { systemClock } from '../../platform/clock.ts'
import type { Page, Readers, Records, Writers } from '../transfer.ts'
import type { RedisConnection } from './connection.ts'
import { createAsk } from './gather.ts'
import { groupBy } from './group-by.ts'
import { parsed, split } from './notify-deps.ts'
import { ALL, createLayout, MARGIN, name, partitionOf, referenceOf } from './notify-layout.ts'
import { unpackAccount } from './notify-packing.ts'
import { holding, readRecord } from './notify-records.ts'
import { createRequests } from './notify-requests.ts'
import { scanKeys, scanPairs } from './scan.ts'
import { restoreCopiesScript } from './scripts/notify-restore-copies.ts'
import { restoreEntriesScript } from './scripts/notify-restore-entries.ts'
import { list, whole } from './scripts.ts'
import { createShelf } from './shelf.ts'

type NotifyTables = 'notification' | 'account' | 'contested' | 'copy' | 'request' | 'outbox'
type Account = Records['account']
type Copy = Records['copy']

/** Pairs that a scan of one key looks at in one go. */
const COUNT = 1_000
/** Subscriptions whose copies are read together, and copies of each. */
const SUBSCRIPTIONS = 250
const COPIES = 200
/** What one script call takes. */
const CALL = 200

export const createNotifyTransfer = (redis: RedisConnection) => {
  const { client, prefix } = redis
  const ask = createAsk(redis)
  const layout = createLayout(prefix)
  const requests = createRequests({ redis, ask, layout, clock: systemClock })
  /** Many copies, few notifications. */
  const notifications = createShelf<Promise<Notification | undefined>>(2_000)

  const fetch = async (reference: string): Promise<Notification | undefined> => {
    const value = await ask(() => client.get(layout.notification(reference).key))
    return value === null ? undefined : parsed<Notification>(split(value)[1])
  }
  /** The notification of a copy, unless another one has taken its id since. */
  const notificationOf = async (reference: string, sentAt: number): Promise<Notification | undefined> => {
    const shelved = `${reference} ${sentAt}`
    const found = notifications.get(shelved) ?? fetch(reference)
    notifications.put(shelved, found)
    const notification = await found.catch((error: unknown) => {
      notifications.remove(shelved)
      throw error
    })
    if (notification?.createdAt === sentAt) return notification
    notifications.remove(shelved)
    return undefined
  }

  /** One partition after the other; one that was not finished is begun again. */
  const byPartition = <R>(read: (p: number, now: number) => AsyncIterable<R[]>) =>
    async function* ({ now, after }: { now: number; after?: string | undefined }): AsyncIterable<Page<R>> {
      for (const p of ALL) {
        if (after !== undefined && p <= Number(after)) continue
        const cursor = p === 0 ? undefined : `${p - 1}`
        for await (const records of read(p, now)) yield { records, cursor }
      }
    }
  const sum = async (sizeOf: (p: number) => Promise<number>): Promise<number> =>
    (await Promise.all(ALL.map((p) => ask(() => sizeOf(p))))).reduce((all, size) => all + size, 0)

  const members = (key: string) => scanPairs((cursor) => ask(() => client.zscan(key, cursor, 'COUNT', COUNT)))
  const fields = (key: string) => scanPairs((cursor) => ask(() => client.hscan(key, cursor, 'COUNT', COUNT)))

  const accountOf = async (accountKey: string): Promise<Account | undefined> => {
    const value = await ask(() => client.get(layout.of(accountKey).account(accountKey)))
    return value === null ? undefined : { accountKey, record: readRecord(split(value)[1], accountKey) }
  }
  async function* accounts(p: number): AsyncIterable<Account[]> {
    for await (const pairs of members(layout.partition(p).due)) {
      const found = await Promise.all(pairs.map(([packed]) => accountOf(unpackAccount(packed))))
      yield found.filter((one) => one !== undefined)
    }
  }

  /** The record that is found for a watcher of this account, where that is another one. */
  const contested = async (accountKey: string, identityKey: string) => {
    const value = await ask(() => client.get(layout.watcherLookup(identityKey)))
    const candidates = value?.split('\0').slice(1).map(unpackAccount) ?? []
    if (candidates.length < 2) return undefined
    for (const candidate of candidates) {
      const account = await accountOf(candidate)
      const watcher = account?.record.watchers.find((one) => one.identityKey === identityKey)
      if (watcher) return candidate === accountKey ? undefined : { accountKey: candidate, watcher }
    }
    return undefined
  }

  type Held = { accountKey: string; p: number; id: string }
  /** Newest first, so that what expires or comes meanwhile makes nothing be passed over. */
  const copiesOf = async ({ accountKey, p, id: subscriptionId }: Held, from: number, now: number) => {
    const [copies, unread, rows] = layout.partition(p).copies(subscriptionId)
    const flat = await ask(() => client.zrevrange(copies, from, from + COPIES - 1, 'WITHSCORES'))
    const ids = flat.filter((_, at) => at % 2 === 0)
    if (ids.length === 0) return { found: [], isOver: true }
    const [marks, texts] = await Promise.all([
      ask(() => client.zmscore(unread, ids)),
      ask(() => client.hmget(rows, ...ids)),
    ])
    const read = async (id: string, at: number): Promise<Copy[]> => {
      const [expires = '', reference = '', withdrawn] = texts[at]?.split(' ') ?? []
      const [sentAt, expiresAt] = [Number(flat[2 * at + 1]), Number(expires)]
      if (reference === '' || withdrawn !== undefined || expiresAt <= now) return []
      const notification = await notificationOf(reference, sentAt)
      if (!notification) return []
      const { projectId, domain, id: notificationId } = notification
      const isRead = marks[at] === null
      const named = { projectId, domain, notificationId }
      return [{ accountKey, subscriptionId, id, ...named, sentAt, expiresAt, isRead }]
    }
    return { found: (await Promise.all(ids.map(read))).flat(), isOver: ids.length < COPIES }
  }
  async function* copies(p: number, now: number): AsyncIterable<Copy[]> {
    for await (const some of accounts(p)) {
      const held = some.flatMap(({ accountKey, record }) =>
        record.subscriptions.map(({ id }): Held => ({ accountKey, p, id })),
      )
      for (let at = 0; at < held.length; at += SUBSCRIPTIONS) {
        const seen = new Set<string>()
        let open = held.slice(at, at + SUBSCRIPTIONS)
        for (let from = 0; open.length > 0; from += COPIES) {
          const pages = await Promise.all(open.map((one) => copiesOf(one, from, now)))
          yield pages.flatMap(({ found }) => found).filter(({ id }) => !seen.has(id) && seen.add(id))
          open = open.filter((_, which) => !pages[which]?.isOver)
        }
      }
    }
  }

  const read: Pick<Readers, NotifyTables> = {
    notification: {
      read: byPartition(async function* (p, now) {
        for await (const pairs of members(layout.partition(p).notifications)) {
          const live = pairs.filter(([, expiresAt]) => Number(expiresAt) > now)
          const found = await Promise.all(live.map(([reference]) => fetch(reference)))
          yield found.filter((one) => one !== undefined)
        }
      }),
      size: () => sum((p) => client.zcard(layout.partition(p).notifications)),
    },
    account: {
      read: byPartition(accounts),
      size: () => sum((p) => client.zcard(layout.partition(p).due)),
    },
    contested: {
      read: byPartition(async function* (p) {
        for await (const some of accounts(p)) {
          const found = await Promise.all(
            some.flatMap(({ accountKey, record }) =>
              record.watchers.map(({ identityKey }) => contested(accountKey, identityKey)),
            ),
          )
          yield found.filter((one) => one !== undefined)
        }
      }),
      size: async () => undefined,
    },
    copy: { read: byPartition(copies), size: () => sum((p) => client.hlen(layout.partition(p).ids)) },
    request: {
      async *read({ now, after }) {
        const begin = layout.requestLookup('-').slice(prefix.length, -1)
        for await (const { keys, from } of scanKeys(redis, { begin }, after)) {
          const ids = keys.map((key) => key.slice(prefix.length + begin.length))
          const found = await Promise.all(
            ids.map(async (id) => ({ id, expiresAt: (await requests.expiryOf(id)) ?? 0 })),
          )
          yield { records: found.filter(({ expiresAt }) => expiresAt > now), cursor: from }
        }
      },
      size: async () => undefined,
    },
    outbox: {
      read: byPartition(async function* (p, now) {
        for await (const pairs of fields(layout.partition(p).entries)) {
          yield pairs.flatMap(([, value]) => {
            const [place, json] = split(value)
            const entry = parsed<OutboxEntry>(json)
            return entry && entry.expiresAt > now ? [{ place: Number(place), entry }] : []
          })
        }
      }),
      size: () => sum((p) => client.hlen(layout.partition(p).entries)),
    },
  }

  /** Calls of at most `CALL` records, each of one partition. */
  const calls = <R>(records: readonly R[], partition: (record: R) => number): { p: number; some: R[] }[] =>
    [...groupBy(records, partition)].flatMap(([p, all]) => {
      const parts: { p: number; some: R[] }[] = []
      for (let at = 0; at < all.length; at += CALL) parts.push({ p, some: all.slice(at, at + CALL) })
      return parts
    })

  const ttlOf = (expiresAt: number, createdAt: number) =>
    Math.max(expiresAt - createdAt, expiresAt - Date.now(), 0) + MARGIN.copy

  const restoreCopies = async (p: number, some: readonly Copy[]): Promise<Copy[]> => {
    const at = layout.partition(p)
    const keys = some.flatMap(({ accountKey, subscriptionId }) => [
      at.account(accountKey),
      ...at.copies(subscriptionId),
    ])
    const ttls = some.map(({ expiresAt, sentAt }) => ttlOf(expiresAt, sentAt))
    const args = some.flatMap((copy, which) => [
      ...[
        name(copy.subscriptionId),
        name(copy.id),
        holding(copy.subscriptionId),
        copy.sentAt,
        copy.expiresAt,
      ],
      ...[referenceOf(copy.projectId, copy.domain, copy.notificationId), copy.isRead ? '' : '1'],
      ttls[which] ?? 0,
    ])
    const shared = [at.entries, at.free, at.order, at.expiring, at.ids]
    const answers = list(
      await ask(() => redis.script(restoreCopiesScript, [...shared, ...keys], [Math.max(...ttls), ...args])),
    )
    return some.filter((_, which) => whole(answers[which]) !== 1)
  }

  /** Where a commit of its account would have put it; any place does for one that names none. */
  const partitionOfEntry = ({ id, task }: { id: string; task: OutboxTask }): number => {
    if (task.kind === 'leave' || task.kind === 'event') return partitionOf(id)
    return partitionOf(task.kind === 'response' ? (task.view?.accountKey ?? id) : task.accountKey)
  }

  const write: Pick<Writers, 'copy' | 'request' | 'outbox'> = {
    copy: {
      async write(records) {
        const known = await Promise.all(
          records.map(({ projectId, domain, notificationId, sentAt }) =>
            notificationOf(referenceOf(projectId, domain, notificationId), sentAt),
          ),
        )
        const placed = records.filter((_, at) => known[at])
        const left = await Promise.all(
          calls(placed, ({ accountKey }) => partitionOf(accountKey)).map(({ p, some }) =>
            restoreCopies(p, some),
          ),
        )
        return [...records.filter((_, at) => !known[at]), ...left.flat()]
      },
    },
    request: {
      // Another store does not say whose requests they are. Whoever asks is led to where they are.
      async write(records) {
        await Promise.all(
          records.map(async (request) => {
            const p = partitionOf(request.id)
            const [expiresAt, ttl] = requests.args(request)
            await ask(() => client.set(layout.partition(p).request(request.id), expiresAt, 'PX', ttl))
            await requests.point(p, request)
          }),
        )
        return []
      },
    },
    outbox: {
      async write(records) {
        await Promise.all(
          calls(records, ({ entry }) => partitionOfEntry(entry)).map(({ p, some }) => {
            const at = layout.partition(p)
            const ttl = Math.max(...some.map(({ entry }) => ttlOf(entry.expiresAt, Date.now())))
            const args = some.flatMap(({ place, entry }) => [name(entry.id), place, JSON.stringify(entry)])
            return ask(() =>
              redis.script(restoreEntriesScript, [at.entries, at.free, at.order], [ttl, ...args]),
            )
          }),
        )
        return []
      },
    },
  }
  return { read, write }
}
