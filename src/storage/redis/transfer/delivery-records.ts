/**
 * Receipts and clicks, as records, and back. Both lie where nothing lists them, receipts in the partitions of their
 * accounts: so their keys are walked (SCAN), once for all, and no partition is asked about a single notification.
 */
import type { Notification } from '../../../notify/store/store.ts'
import type { Readers, Records, Writers } from '../../transfer/transfer.ts'
import { groupBy } from '../group-by.ts'
import { restoreReceiptsScript } from '../lua/notify/restore/receipts.ts'
import { partitionOf, receiptKeyOf, referenceOf, TTL_MARGIN_MS } from '../notify/rows/layout.ts'
import {
  DIGITS,
  readReceipt,
  SEPARATOR,
  writeForm,
  writeName,
  writeTime,
} from '../notify/rows/receipt-rows.ts'
import { scanKeys } from '../scan.ts'
import { calls, type TransferDeps, ttlOf } from './calls.ts'

type Receipt = Records['receipt']
type Named = Pick<Receipt, 'projectId' | 'domain' | 'notificationId' | 'sentAt'>

/** Keys that are read together, and members of each. */
const PAGE_KEYS = 100
const PAGE_MEMBERS = 500

const KEY_FORM = /^\{p\d+\}([kr]):([-\w]{27}):([0-9a-z]+)$/

const namesOf = ({ projectId, domain, id, createdAt, expiresAt }: Notification) => ({
  projectId,
  domain,
  notificationId: id,
  sentAt: createdAt,
  expiresAt,
})

const referenceOfRecord = ({ projectId, domain, notificationId }: Named) =>
  referenceOf(projectId, domain, notificationId)

interface Found {
  key: string
  isQueued: boolean
  notification: Notification
}

/** What keys are about, without those whose notification has expired. */
const aboutKeys = async (
  deps: TransferDeps,
  keys: readonly string[],
  radix: 10 | 36,
  now: number,
): Promise<Found[]> => {
  const found = await Promise.all(
    keys.map(async (key): Promise<Found[]> => {
      const [, letter, reference, time] = KEY_FORM.exec(key.slice(deps.redis.prefix.length)) ?? []
      if (reference === undefined || time === undefined) return []
      const notification = await deps.notificationOf(reference, Number.parseInt(time, radix))
      if (!notification || notification.expiresAt <= now) return []
      return [{ key, isQueued: letter === 'k', notification }]
    }),
  )
  return found.flat()
}

/** All scores are 0: the last member of a page is where the next one begins. */
const receiptsIn = async (
  deps: TransferDeps,
  { key, isQueued, notification }: Found,
  after: string | undefined,
) => {
  const begin = after === undefined ? '-' : `(${after}`
  const rows = await deps.ask(() => deps.redis.client.zrangebylex(key, begin, '+', 'LIMIT', 0, PAGE_MEMBERS))
  const records = rows.map((row): Receipt => {
    if (!isQueued) return { ...readReceipt(row[0] ?? '', row.slice(1)), ...namesOf(notification) }
    const copyId = row.split(SEPARATOR)[3] ?? ''
    return { ...readReceipt(DIGITS.queued, row), copyId, ...namesOf(notification) }
  })
  return { records, last: rows.length < PAGE_MEMBERS ? undefined : rows.at(-1) }
}

/** Records by whether their notification is kept. */
const sorted = async <R extends Named>(deps: TransferDeps, records: readonly R[]) => {
  const known = await Promise.all(
    records.map((record) => deps.notificationOf(referenceOfRecord(record), record.sentAt)),
  )
  return { placed: records.filter((_, at) => known[at]), left: records.filter((_, at) => !known[at]) }
}

const rowOf = ({ accountKey, account, state, reason, at, copyId }: Receipt): string => {
  const parts = [writeName(accountKey), writeForm(account, accountKey), writeTime(at)]
  if (state === 'queued') return [...parts, copyId ?? ''].join(SEPARATOR)
  return DIGITS[state] + [...parts, ...(reason === undefined ? [] : [reason])].join(SEPARATOR)
}

const readers = (deps: TransferDeps): Pick<Readers, 'receipt'> => ({
  receipt: {
    async *read({ now, after }) {
      const walked = scanKeys(deps.redis, { pattern: '{p*}[kr]:*', type: 'zset' }, after)
      for await (const { keys, from } of walked) {
        for (let at = 0; at < keys.length; at += PAGE_KEYS) {
          const found = await aboutKeys(deps, keys.slice(at, at + PAGE_KEYS), 36, now)
          let open = found.map((one): { one: Found; last: string | undefined } => ({
            one,
            last: undefined,
          }))
          while (open.length > 0) {
            const pages = await Promise.all(
              open.map(async ({ one, last }) => ({ one, ...(await receiptsIn(deps, one, last)) })),
            )
            yield { records: pages.flatMap(({ records }) => records), cursor: from }
            open = pages.filter(({ last }) => last !== undefined)
          }
        }
      }
    },
    size: async () => undefined,
  },
})

/** The receipts of one partition. */
const restoreReceipts = (deps: TransferDeps, { p, some }: { p: number; some: readonly Receipt[] }) => {
  const groups = [...groupBy(some, (record) => receiptKeyOf(referenceOfRecord(record), record.sentAt))]
  const keys = groups.flatMap(([receiptKey]) => [...deps.layout.partition(p).receipts(receiptKey)])
  const args = groups.flatMap(([, own]) => [
    own.length,
    Math.max(...own.map((one) => ttlOf(deps, one.expiresAt, one.sentAt))) -
      TTL_MARGIN_MS.copy +
      TTL_MARGIN_MS.receipt,
    ...own.flatMap((one) => [writeName(one.accountKey), one.state === 'queued' ? '1' : '', rowOf(one)]),
  ])
  return deps.ask(() => deps.redis.script(restoreReceiptsScript, keys, args))
}

const writers = (deps: TransferDeps): Pick<Writers, 'receipt'> => ({
  receipt: {
    async write(records) {
      const { placed, left } = await sorted(deps, records)
      await Promise.all(
        calls(placed, ({ accountKey }) => partitionOf(accountKey)).map((call) => restoreReceipts(deps, call)),
      )
      return left
    },
  },
})

export const createSentTransfer = (deps: TransferDeps) => ({
  read: readers(deps),
  write: writers(deps),
})
