/** The notify server's accounts, notifications and outbox as records: what of their rows is content. */

import { entriesIn } from '../../notify/store/outbox/find-entries.ts'
import { type Copy, copiesIn, copiesInHead, holderOf } from '../../notify/store/packed/heads.ts'
import { unpackId } from '../../notify/store/packed/ids.ts'
import type { Watcher } from '../../notify/store/records.ts'
import type { Notification } from '../../notify/store/store.ts'
import { collapseDigest } from '../../notify/store/verbs/collapse.ts'
import { placeIn } from '../../notify/store/verbs/deps.ts'
import { MAX_PAGES } from '../../notify/store/verbs/open-rows.ts'
import { hasCopy, receiptsOf } from '../../notify/store/verbs/receipt-chunks.ts'
import { stateOf } from '../../notify/store/verbs/receipts.ts'
import { isCommitted } from '../../notify/store/verbs/requests.ts'
import {
  ACCOUNTS,
  HEADS,
  LAST_OF_KEY,
  LINE,
  NOTIFICATIONS,
  notificationCell,
  PAGES,
  PARTITIONS,
  partitionOf,
  REQUEST_OWNERS,
  referenceOf,
  watcherOwner,
} from '../../notify/store/verbs/tables.ts'
import type { RowSource } from '../kv.ts'
import { read } from '../table.ts'
import { records } from './kv-readers.ts'
import type { Page, Readers, Records, TableReader } from './transfer.ts'

const namesOf = ({ projectId, domain, id, createdAt, expiresAt }: Notification) => ({
  ...{ projectId, domain, notificationId: id, sentAt: createdAt, expiresAt },
})

/** Watchers of the records that another account's record has, too, and by which that one is found. */
const contestedIn = async (source: RowSource, accounts: readonly Records['account'][]) => {
  const watched = accounts.flatMap(({ accountKey, record }) =>
    record.watchers.map(({ identityKey }) => ({ accountKey, identityKey })),
  )
  const owners = await read(
    source,
    watched.map(({ identityKey }) => watcherOwner(identityKey).get()),
  )
  const found: Records['contested'][] = []
  for (const [nth, { accountKey, identityKey }] of watched.entries()) {
    const owner = await ownerOf(source, owners[nth]?.value?.accounts ?? [], identityKey)
    if (owner && owner.accountKey !== accountKey) found.push(owner)
  }
  return found
}

/** The first candidate whose record has the watcher. */
const ownerOf = async (
  source: RowSource,
  candidates: readonly string[],
  identityKey: string,
): Promise<{ accountKey: string; watcher: Watcher } | undefined> => {
  for (const accountKey of candidates) {
    const [{ value }] = await read(source, [ACCOUNTS.in(partitionOf(accountKey), accountKey).get()])
    const watcher = value?.record.watchers.find((one) => one.identityKey === identityKey)
    if (watcher) return { accountKey, watcher }
  }
  return undefined
}

const accountReaders = (source: RowSource): Pick<Readers, 'account' | 'contested' | 'request'> => {
  const accounts = records(source, ACCOUNTS, ({ subject: accountKey, value: { record } }) =>
    record.subscriptions.length + record.watchers.length > 0 ? { accountKey, record } : undefined,
  )
  const requests = records(source, REQUEST_OWNERS, ({ subject: id, value: [accountKey, expiresAt] }, now) =>
    expiresAt > now ? { id, accountKey, expiresAt } : undefined,
  )
  return {
    account: accounts,
    contested: {
      async *read(from) {
        for await (const page of accounts.read(from))
          yield { records: await contestedIn(source, page.records), cursor: page.cursor }
      },
      size: async () => undefined,
    },
    request: {
      // One that its account does not remember was never carried out.
      async *read(from) {
        for await (const page of requests.read(from)) {
          const isDone = await Promise.all(
            page.records.map(
              ({ accountKey, id }) => accountKey === '' || isCommitted(source, accountKey, id, from.now),
            ),
          )
          const found = page.records.filter((_, at) => isDone[at])
          yield { records: found.map(({ id, expiresAt }) => ({ id, expiresAt })), cursor: page.cursor }
        }
      },
      size: requests.size,
    },
  }
}

/** A copy with its subscription. */
interface HeldCopy {
  accountKey: string
  subscriptionId: string
  copy: Copy
}

/** All copies that have not expired, page by page. */
async function* copies(
  source: RowSource,
  { now, after }: { now: number; after?: string | undefined },
): AsyncGenerator<Page<HeldCopy>> {
  const heads = records(source, HEADS, ({ partition, subject, value }) => ({
    ...{ partition, subscriptionId: subject, head: value },
  }))
  for await (const page of heads.read({ now, after })) {
    const pages = await read(
      source,
      page.records.map(({ partition, subscriptionId }) =>
        PAGES.in(partition, subscriptionId).range({ limit: MAX_PAGES }),
      ),
    )
    const found = page.records.flatMap(({ subscriptionId, head }, nth) => {
      const accountKey = holderOf(head)
      const paged = (pages[nth] ?? []).flatMap(({ value }) => copiesIn(value))
      const live = [...copiesInHead(head), ...paged].filter(({ expiresAt }) => expiresAt > now)
      return live.map((copy): HeldCopy => ({ accountKey, subscriptionId, copy }))
    })
    yield { records: found, cursor: page.cursor }
  }
}

/** Copies as records: those whose notification is kept. */
const namedCopies = async (source: RowSource, held: readonly HeldCopy[]): Promise<Records['copy'][]> => {
  const kept = new Map<string, Notification | undefined>()
  for (const { copy } of held) kept.set(copy.reference.toString('hex'), undefined)
  const names = [...kept.keys()]
  const found = await read(
    source,
    names.map((name) => notificationCell(Buffer.from(name, 'hex')).get()),
  )
  for (const [nth, name] of names.entries()) kept.set(name, found[nth]?.value)
  const known = held.flatMap((one) => {
    const notification = kept.get(one.copy.reference.toString('hex'))
    return notification?.createdAt === one.copy.sentAt ? [{ ...one, notification }] : []
  })
  const keyed = known.filter(({ notification }) => notification.collapseKey !== undefined)
  const last = await read(
    source,
    keyed.map(({ accountKey, subscriptionId, notification: { collapseKey = '' } }) =>
      LAST_OF_KEY.in(partitionOf(accountKey), subscriptionId).get(collapseDigest(collapseKey)),
    ),
  )
  const lastIds = new Map(keyed.map((one, nth) => [one, last[nth]?.value?.copyId]))
  return known.map((one) => {
    const { accountKey, subscriptionId, copy, notification } = one
    const { sentAt, expiresAt, isRead } = copy
    const id = unpackId(copy.id, 0)
    const mark = lastIds.get(one) === id && { isLastOfKey: true as const }
    return {
      ...{ accountKey, subscriptionId, id, ...namesOf(notification), sentAt, expiresAt, isRead },
      ...mark,
    }
  })
}

const copyReaders = (source: RowSource): Pick<Readers, 'copy' | 'withdrawn'> => ({
  copy: {
    async *read(from) {
      for await (const page of copies(source, from)) {
        const shown = page.records.filter(({ copy }) => !copy.isWithdrawn)
        yield { records: await namedCopies(source, shown), cursor: page.cursor }
      }
    },
    size: async () => undefined,
  },
  withdrawn: {
    async *read(from) {
      for await (const page of copies(source, from)) {
        const found = page.records.filter(({ copy }) => copy.isWithdrawn)
        yield {
          records: found.map(({ accountKey, subscriptionId, copy: { id, sentAt, expiresAt } }) => ({
            ...{ accountKey, subscriptionId, id: unpackId(id, 0), sentAt, expiresAt },
          })),
          cursor: page.cursor,
        }
      }
    },
    size: async () => undefined,
  },
})

/** Of one notification in one partition. */
const receiptRecords = async (
  source: RowSource,
  partition: string,
  notification: Notification,
): Promise<Records['receipt'][]> => {
  const found = await receiptsOf(source, partition, referenceOf(notification), notification.createdAt)
  return [...found.values()].map((receipt) => {
    const { accountKey, account, at, reason } = receipt
    const state = stateOf(receipt.state)
    return {
      ...{ accountKey, account, state, at },
      ...(state === 'failed' && reason !== '' && { reason }),
      ...(state === 'queued' && hasCopy(receipt) && { copyId: unpackId(receipt.copyId, 0) }),
      ...namesOf(notification),
    }
  })
}

const outboxReader = (source: RowSource): TableReader<Records['outbox']> => ({
  async *read({ now }) {
    for await (const found of entriesIn(source, PARTITIONS)) {
      const live = found.filter(({ entry }) => entry.expiresAt > now)
      yield { records: live.map(({ place, entry }) => ({ place: placeIn(place), entry })), cursor: undefined }
    }
  },
  size: () => source.size(LINE.table),
})

type DeliveryTables =
  | 'notification'
  | 'account'
  | 'contested'
  | 'copy'
  | 'withdrawn'
  | 'receipt'
  | 'request'
  | 'outbox'

export const deliveryReaders = (source: RowSource): Pick<Readers, DeliveryTables> => {
  const notifications = records(source, NOTIFICATIONS, ({ value }, now) =>
    value.expiresAt > now ? value : undefined,
  )
  return {
    notification: notifications,
    ...accountReaders(source),
    ...copyReaders(source),
    receipt: {
      async *read(from) {
        let begun = from.after
        for await (const { records: found, cursor } of notifications.read(from)) {
          for (const partition of PARTITIONS) {
            const all = await Promise.all(
              found.map((notification) => receiptRecords(source, partition, notification)),
            )
            yield { records: all.flat(), cursor: begun }
          }
          begun = cursor
          yield { records: [], cursor }
        }
      },
      size: async () => undefined,
    },
    outbox: outboxReader(source),
  }
}
