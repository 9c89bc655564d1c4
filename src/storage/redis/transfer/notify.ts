/** What the notify server's store holds beside its projects and apps, as records, and back. */
import type { Notification, OutboxTask } from '../../../notify/store/store.ts'
import { type BoundedMap, createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Page, Readers, Records, Writers } from '../../transfer/transfer.ts'
import { type Ask, createAsk } from '../call-batcher.ts'
import type { RedisConnection } from '../connection.ts'
import { restoreEntriesScript } from '../lua/notify/restore/entries.ts'
import { parsed, split, written } from '../notify/deps.ts'
import { withDefaults } from '../notify/notifications.ts'
import { createRequests, type Requests } from '../notify/requests.ts'
import { ALL, createLayout, type Layout, name, partitionOf } from '../notify/rows/layout.ts'
import { unpackAccount } from '../notify/rows/packing.ts'
import { readRecord } from '../notify/rows/records.ts'
import { scanKeys, scanPairs } from '../scan.ts'
import { calls, type TransferDeps, ttlOf } from './calls.ts'
import { createCopiesTransfer } from './copies.ts'
import { createSentTransfer } from './delivery-records.ts'

type NotifyTables =
  | 'notification'
  | 'account'
  | 'contested'
  | 'copy'
  | 'withdrawn'
  | 'receipt'
  | 'request'
  | 'outbox'
type Account = Records['account']

/** Pairs that a scan of one key looks at in one go. */
const SCAN_COUNT = 1_000
const MAX_CACHED_NOTIFICATIONS = 2_000

interface NotifyTransferDeps {
  redis: RedisConnection
  ask: Ask
  layout: Layout
  clock: Pick<Clock, 'now'>
  requests: Requests
  /** Many copies have few notifications. */
  notifications: BoundedMap<Promise<Notification | undefined>>
}
type Copies = ReturnType<typeof createCopiesTransfer>
type Sent = ReturnType<typeof createSentTransfer>

const fetch = async (deps: NotifyTransferDeps, reference: string): Promise<Notification | undefined> => {
  const value = await deps.ask(() => deps.redis.client.get(deps.layout.notification(reference).key))
  const row = value === null ? undefined : parsed('notifications', split(value)[1])
  return row && withDefaults(row)
}

/** The notification of a copy, unless another one has taken its id since. */
const notificationOf = async (
  deps: NotifyTransferDeps,
  reference: string,
  sentAt: number,
): Promise<Notification | undefined> => {
  const shelved = `${reference} ${sentAt}`
  const found = deps.notifications.get(shelved) ?? fetch(deps, reference)
  deps.notifications.put(shelved, found)
  const notification = await found.catch((error: unknown) => {
    deps.notifications.remove(shelved)
    throw error
  })
  if (notification?.createdAt === sentAt) return notification
  deps.notifications.remove(shelved)
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

const sum = async (deps: NotifyTransferDeps, sizeOf: (p: number) => Promise<number>): Promise<number> =>
  (await Promise.all(ALL.map((p) => deps.ask(() => sizeOf(p))))).reduce((all, size) => all + size, 0)

const members = (deps: NotifyTransferDeps, key: string) =>
  scanPairs((cursor) => deps.ask(() => deps.redis.client.zscan(key, cursor, 'COUNT', SCAN_COUNT)))

const fields = (deps: NotifyTransferDeps, key: string) =>
  scanPairs((cursor) => deps.ask(() => deps.redis.client.hscan(key, cursor, 'COUNT', SCAN_COUNT)))

const accountOf = async (deps: NotifyTransferDeps, accountKey: string): Promise<Account | undefined> => {
  const value = await deps.ask(() => deps.redis.client.get(deps.layout.of(accountKey).account(accountKey)))
  return value === null ? undefined : { accountKey, record: readRecord(split(value)[1], accountKey) }
}

async function* accounts(deps: NotifyTransferDeps, p: number): AsyncIterable<Account[]> {
  for await (const pairs of members(deps, deps.layout.partition(p).due)) {
    const found = await Promise.all(pairs.map(([packed]) => accountOf(deps, unpackAccount(packed))))
    yield found.filter((one) => one !== undefined)
  }
}

/** The record that is found for a watcher of this account, where that is another one. */
const contested = async (deps: NotifyTransferDeps, accountKey: string, identityKey: string) => {
  const value = await deps.ask(() => deps.redis.client.get(deps.layout.watcherLookup(identityKey)))
  const candidates = value?.split('\0').slice(1).map(unpackAccount) ?? []
  if (candidates.length < 2) return undefined
  for (const candidate of candidates) {
    const account = await accountOf(deps, candidate)
    const watcher = account?.record.watchers.find((one) => one.identityKey === identityKey)
    if (watcher) return candidate === accountKey ? undefined : { accountKey: candidate, watcher }
  }
  return undefined
}

/** Where a commit of its account would have put it; any place does for one that names none. */
const partitionOfEntry = ({ id, task }: { id: string; task: OutboxTask }): number => {
  if (task.kind === 'leave' || task.kind === 'event') return partitionOf(id)
  if (task.kind === 'notifications') return partitionOf(task.targets[0]?.accountKey ?? id)
  return partitionOf(task.kind === 'response' ? (task.view?.accountKey ?? id) : task.accountKey)
}

const readers = (deps: NotifyTransferDeps, copies: Copies, sent: Sent): Pick<Readers, NotifyTables> => ({
  notification: {
    read: byPartition(async function* (p, now) {
      for await (const pairs of members(deps, deps.layout.partition(p).notifications)) {
        const live = pairs.filter(([, expiresAt]) => Number(expiresAt) > now)
        const found = await Promise.all(live.map(([reference]) => fetch(deps, reference)))
        yield found.filter((one) => one !== undefined)
      }
    }),
    size: () => sum(deps, (p) => deps.redis.client.zcard(deps.layout.partition(p).notifications)),
  },
  account: {
    read: byPartition((p) => accounts(deps, p)),
    size: () => sum(deps, (p) => deps.redis.client.zcard(deps.layout.partition(p).due)),
  },
  contested: {
    read: byPartition(async function* (p) {
      for await (const some of accounts(deps, p)) {
        const found = await Promise.all(
          some.flatMap(({ accountKey, record }) =>
            record.watchers.map(({ identityKey }) => contested(deps, accountKey, identityKey)),
          ),
        )
        yield found.filter((one) => one !== undefined)
      }
    }),
    size: async () => undefined,
  },
  copy: {
    read: copies.read.copy,
    size: () => sum(deps, (p) => deps.redis.client.hlen(deps.layout.partition(p).ids)),
  },
  withdrawn: { read: copies.read.withdrawn, size: async () => undefined },
  ...sent.read,
  request: {
    async *read({ now, after }) {
      const begin = deps.layout.requestLookup('-').slice(deps.redis.prefix.length, -1)
      for await (const { keys, from } of scanKeys(deps.redis, { pattern: `${begin}*` }, after)) {
        const ids = keys.map((key) => key.slice(deps.redis.prefix.length + begin.length))
        const found = await Promise.all(
          ids.map(async (id) => ({ id, expiresAt: (await deps.requests.expiryOf(id)) ?? 0 })),
        )
        yield { records: found.filter(({ expiresAt }) => expiresAt > now), cursor: from }
      }
    },
    size: async () => undefined,
  },
  outbox: {
    read: byPartition(async function* (p, now) {
      for await (const pairs of fields(deps, deps.layout.partition(p).entries)) {
        yield pairs.flatMap(([, value]) => {
          const [place, json] = split(value)
          const entry = parsed('outbox', json)
          return entry && entry.expiresAt > now ? [{ place: Number(place), entry }] : []
        })
      }
    }),
    size: () => sum(deps, (p) => deps.redis.client.hlen(deps.layout.partition(p).entries)),
  },
})

const writers = (
  deps: NotifyTransferDeps,
  copies: Copies,
  sent: Sent,
): Pick<Writers, 'copy' | 'withdrawn' | 'receipt' | 'request' | 'outbox'> => ({
  ...copies.write,
  ...sent.write,
  request: {
    // Another store does not say whose requests they are; the look-up leads to their partition.
    async write(records) {
      await Promise.all(
        records.map(async (request) => {
          const p = partitionOf(request.id)
          const [expiresAt, ttl] = deps.requests.args(request)
          await deps.ask(() =>
            deps.redis.client.set(deps.layout.partition(p).request(request.id), expiresAt, 'PX', ttl),
          )
          await deps.requests.point(p, request)
        }),
      )
      return []
    },
  },
  outbox: {
    async write(records) {
      await Promise.all(
        calls(records, ({ entry }) => partitionOfEntry(entry)).map(({ p, some }) => {
          const at = deps.layout.partition(p)
          const now = deps.clock.now()
          const ttl = Math.max(...some.map(({ entry }) => ttlOf(deps, entry.expiresAt, now)))
          const args = some.flatMap(({ place, entry }) => [name(entry.id), place, written('outbox', entry)])
          return deps.ask(() =>
            deps.redis.script(restoreEntriesScript, [at.entries, at.free, at.order], [ttl, ...args]),
          )
        }),
      )
      return []
    },
  },
})

export const createNotifyTransfer = ({ redis, clock }: { redis: RedisConnection; clock: Clock }) => {
  const ask = createAsk(redis)
  const layout = createLayout(redis.prefix)
  const deps: NotifyTransferDeps = {
    ...{ redis, ask, layout, clock },
    requests: createRequests({ redis, ask, layout, clock }),
    notifications: createBoundedMap(MAX_CACHED_NOTIFICATIONS),
  }
  const shared: TransferDeps = {
    ...{ redis, ask, layout, clock },
    notificationOf: (reference, sentAt) => notificationOf(deps, reference, sentAt),
  }
  const copies = createCopiesTransfer({ ...shared, byPartition, accounts: (p) => accounts(deps, p) })
  const sent = createSentTransfer(shared)
  return { read: readers(deps, copies, sent), write: writers(deps, copies, sent) }
}
