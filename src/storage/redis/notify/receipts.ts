import {
  CANCELLED,
  DELIVERY_STATES,
  type NotificationName,
  type OutboxOutcome,
  type Receipt,
  type ReceiptsStore,
} from '../../../notify/store/receipts.ts'
import { groupBy } from '../group-by.ts'
import { copyScript } from '../lua/notify/history/copy.ts'
import { countsScript } from '../lua/notify/receipts/counts.ts'
import { deliverScript } from '../lua/notify/receipts/deliver.ts'
import { forgetReceiptsScript } from '../lua/notify/receipts/forget.ts'
import { queuedScript } from '../lua/notify/receipts/queued.ts'
import { refuseScript } from '../lua/notify/receipts/refuse.ts'
import { settleScript } from '../lua/notify/receipts/settle.ts'
import { receiptsScript } from '../lua/notify/receipts/state.ts'
import { withdrawScript } from '../lua/notify/receipts/withdraw.ts'
import { inCalls } from '../partition-calls.ts'
import { list, text, whole } from '../script.ts'
import { type NotifyDeps, split } from './deps.ts'
import type { Notifications } from './notifications.ts'
import type { Outbox } from './outbox.ts'
import { ALL, PARTITIONS, type Partition, partitionOf, receiptKeyOf, TTL_MARGIN_MS } from './rows/layout.ts'
import { mergePages } from './rows/pages.ts'
import { DIGITS, readReceipt, SEPARATOR, writeForm, writeName, writeTime } from './rows/receipt-rows.ts'
import { holding } from './rows/records.ts'

/** Copies that one script call looks at, or settles. */
const MAX_CALL_COPIES = 500
/** Copies that one script call marks as delivered. */
const MAX_CALL_DELIVERED = 100

type Done = Parameters<ReceiptsStore['completeOutbox']>[0][number]
type Settled = Done & { receipt: OutboxOutcome }
const isSettled = (one: Done): one is Settled => one.receipt !== undefined
const nameKey = ({ projectId, domain, id }: NotificationName) => [projectId, domain, id].join(SEPARATOR)

interface ReceiptsDeps extends NotifyDeps {
  notifications: Notifications
  outbox: Outbox
}

/** Returns whether the copy was queued. With `now` only if its entry is free. */
const withdraw = async (
  deps: ReceiptsDeps,
  at: Partition,
  receiptKey: string,
  { id, account, subscriptionId }: { id: string; account: string; subscriptionId: string },
  { when, reason, now }: { when: number; reason: string; now?: number },
) => {
  const receipts = at.receipts(receiptKey)
  // Of a subscription that ended only the entry and the receipt are left: then these keys do not exist.
  const copies = at.copies(subscriptionId === '' ? id : subscriptionId).slice(1)
  const keys = [at.entries, at.free, at.held, ...receipts, ...copies]
  const args = [id, account, writeTime(when), reason, now ?? '']
  return whole(await deps.ask(() => deps.redis.script(withdrawScript, keys, args))) === 1
}

const fail = async (deps: ReceiptsDeps, receiptKey: string, { id, receipt }: Settled, when: number) => {
  const { accountKey, subscriptionId, reason = '' } = receipt
  const copy = { id, account: writeName(accountKey), subscriptionId }
  await withdraw(deps, deps.layout.of(accountKey), receiptKey, copy, { when, reason })
}

/** Entries of published copies; `receiptKeys` are those of their notifications. */
const settle = async (
  deps: ReceiptsDeps,
  done: readonly Settled[],
  receiptKeys: ReadonlyMap<string, string>,
  when: number,
) => {
  const partition = ({ id, receipt }: Settled) =>
    deps.outbox.partitionOf(id) ?? partitionOf(receipt.accountKey)
  const shares = [...groupBy(done, partition)].flatMap(([p, own]) =>
    [...groupBy(own, ({ receipt }) => receiptKeys.get(nameKey(receipt.of)) ?? '')].flatMap(
      ([receiptKey, all]) => {
        const chunks: { p: number; receiptKey: string; chunk: readonly Settled[] }[] = []
        for (let at = 0; at < all.length; at += MAX_CALL_COPIES)
          chunks.push({ p, receiptKey, chunk: all.slice(at, at + MAX_CALL_COPIES) })
        return chunks
      },
    ),
  )
  await inCalls(deps.redis, shares, async (some) => {
    const keys = some.flatMap(({ p, receiptKey }) => {
      const at = deps.layout.partition(p)
      return [at.entries, at.free, at.held, ...at.receipts(receiptKey)]
    })
    const args = some.flatMap(({ chunk }) => [
      chunk.length,
      ...chunk.flatMap(({ id, receipt }) => [id, writeName(receipt.accountKey)]),
    ])
    await deps.ask(() => deps.redis.script(settleScript, keys, [DIGITS.published, writeTime(when), ...args]))
    return []
  })
}

const deliver = async (deps: ReceiptsDeps, copies: Parameters<ReceiptsStore['markDelivered']>[0]) => {
  const became: (NotificationName | undefined)[] = copies.map(() => undefined)
  const asked = copies.map((copy, index) => ({ ...copy, index, p: partitionOf(copy.accountKey) }))
  const shares = [...groupBy(asked, ({ p }) => p).values()]
  const found = await inCalls(deps.redis, shares, async (some) => {
    const all = some.flat()
    const keys = all.flatMap(({ p, subscriptionId }) => deps.layout.partition(p).copies(subscriptionId))
    const ids = all.map(({ deliveredId }) => deliveredId)
    const answers = list(await deps.ask(() => deps.redis.script(copyScript, keys, ids)))
    return all.flatMap((one, at) => {
      if (answers[at] === null) return []
      const [sentAt, , row] = list(answers[at])
      return [{ ...one, sentAt: whole(sentAt), row: text(row), reference: split(text(row))[1] }]
    })
  })
  await inCalls(deps.redis, [...groupBy(found, ({ p }) => p).values()], async (some) => {
    const all = some.flat()
    const keys = all.flatMap(({ p, accountKey, subscriptionId, reference, sentAt }) => {
      const at = deps.layout.partition(p)
      const [, , rows] = at.copies(subscriptionId)
      const receipts = at.receipts(receiptKeyOf(reference, sentAt))
      return [at.entries, at.free, at.order, at.account(accountKey), rows, ...receipts]
    })
    const args = all.flatMap(({ accountKey, subscriptionId, deliveredId, row, at, outbox: entry }) => [
      ...[holding(subscriptionId), deliveredId, row, writeName(accountKey), writeTime(at)],
      ...(entry ? [deps.outbox.ttlOf([entry]), ...deps.outbox.args([entry])] : [0, '', 0, '']),
    ])
    const answers = list(await deps.ask(() => deps.redis.script(deliverScript, keys, args)))
    const moved = all.filter((_, at) => whole(answers[at]) === 1)
    if (moved.some((one) => one.outbox)) deps.outbox.ring()
    await Promise.all(
      moved.map(async ({ index, reference, sentAt }) => {
        const of = await deps.notifications.sent(reference, sentAt)
        became[index] = of && { projectId: of.projectId, domain: of.domain, id: of.id }
      }),
    )
    return []
  })
  return became
}

/** The rows of one partition: the script returns a list for each of the digits. */
const rowsOf = (answer: unknown, digits: string): string[] =>
  list(answer).flatMap((own, state) => list(own).map((row) => inOrder(text(row), digits[state] ?? '')))

const page = async (
  deps: ReceiptsDeps,
  receiptKey: string,
  digits: string,
  after: string | undefined,
  limit: number,
) => {
  const rows = await mergePages({ after, limit }, async (parts) => {
    const lists = await inCalls(deps.redis, parts, async (some) => {
      const keys = some.flatMap(({ p }) => deps.layout.partition(p).receipts(receiptKey))
      const args = some.flatMap((part) => [part.after === undefined ? '' : inSet(part.after), part.limit])
      return list(await deps.ask(() => deps.redis.script(receiptsScript, keys, [digits, ...args])))
    })
    return parts.map((part, at) => rowsOf(lists[at], digits).sort().slice(0, part.limit))
  })
  return rows.map((row): Receipt => {
    const at = row.indexOf(SEPARATOR) + 1
    return readReceipt(row[at] ?? '', row.slice(0, at) + row.slice(at + 1))
  })
}

const outcomeVerbs = (
  deps: ReceiptsDeps,
): Pick<ReceiptsStore, 'refuse' | 'completeOutbox' | 'markDelivered'> => ({
  async refuse(of, failures, when) {
    const found = await deps.notifications.receiptKeyOf(of)
    if (!found) return
    const ttl = deps.notifications.lifetime(found.notification) - TTL_MARGIN_MS.copy + TTL_MARGIN_MS.receipt
    await Promise.all(
      [...groupBy(failures, ({ accountKey }) => partitionOf(accountKey))].map(([p, own]) => {
        const args = own.flatMap(({ accountKey, account, reason }) => [
          writeName(accountKey),
          writeForm(account, accountKey),
          reason,
        ])
        const keys = deps.layout.partition(p).receipts(found.receiptKey)
        return deps.ask(() => deps.redis.script(refuseScript, keys, [ttl, writeTime(when), ...args]))
      }),
    )
  },

  async completeOutbox(done, when) {
    const names = new Map(done.filter(isSettled).map(({ receipt }) => [nameKey(receipt.of), receipt.of]))
    const receiptKeys = new Map<string, string>()
    await Promise.all(
      [...names].map(async ([key, of]) => {
        const found = await deps.notifications.receiptKeyOf(of)
        if (found) receiptKeys.set(key, found.receiptKey)
      }),
    )
    const settled = done.filter(isSettled).filter(({ receipt }) => receiptKeys.has(nameKey(receipt.of)))
    const failed = settled.filter(({ receipt }) => receipt.became === 'failed')
    const published = settled.filter(({ receipt }) => receipt.became === 'published')
    const handled = new Set<Done>(settled)
    const others = done.filter((one) => !handled.has(one)).map(({ id }) => id)
    await Promise.all([
      settle(deps, published, receiptKeys, when),
      ...failed.map((one) => fail(deps, receiptKeys.get(nameKey(one.receipt.of)) ?? '', one, when)),
      deps.outbox.remove(others),
    ])
    deps.outbox.forget(settled.map(({ id }) => id))
  },

  async markDelivered(copies) {
    const became: (NotificationName | undefined)[] = []
    for (let from = 0; from < copies.length; from += MAX_CALL_DELIVERED) {
      became.push(...(await deliver(deps, copies.slice(from, from + MAX_CALL_DELIVERED))))
    }
    return became
  },
})

const readVerbs = (deps: ReceiptsDeps): Pick<ReceiptsStore, 'receipts' | 'receiptCounts'> => ({
  async receipts(of, { state, after, limit }) {
    const found = await deps.notifications.receiptKeyOf(of)
    if (!found) return []
    const digits = state ? DIGITS[state] : DELIVERY_STATES.map((each) => DIGITS[each]).join('')
    // Behind every row of that account.
    const from = after === undefined ? undefined : `${writeName(after)}\u0001`
    return page(deps, found.receiptKey, digits, from, limit)
  },

  async receiptCounts(of) {
    const found = await deps.notifications.receiptKeyOf(of)
    const counts = { queued: 0, published: 0, delivered: 0, read: 0, failed: 0 }
    if (!found) return counts
    const parts = await inCalls(deps.redis, ALL, async (some) => {
      const keys = some.flatMap((p) => deps.layout.partition(p).receipts(found.receiptKey))
      return [list(await deps.ask(() => deps.redis.script(countsScript, keys, [])))]
    })
    for (const part of parts) {
      for (const [at, state] of DELIVERY_STATES.entries()) counts[state] += whole(part[at])
    }
    return counts
  },
})

const cancelVerbs = (deps: ReceiptsDeps): Pick<ReceiptsStore, 'forgetReceipts' | 'cancelQueued'> => ({
  async forgetReceipts(accountKey) {
    const at = deps.layout.of(accountKey)
    for await (const receiptKeys of deps.notifications.receiptKeys()) {
      const keys = receiptKeys.flatMap((receiptKey) => [...at.receipts(receiptKey)])
      await deps.ask(() => deps.redis.script(forgetReceiptsScript, keys, [writeName(accountKey)]))
    }
  },

  async cancelQueued(of, limit, when) {
    const found = await deps.notifications.receiptKeyOf(of)
    let cancelled = 0
    for (let p = 0; found && p < PARTITIONS; p++) {
      const at = deps.layout.partition(p)
      const [queued] = at.receipts(found.receiptKey)
      for (let behind: string | undefined = ''; behind !== undefined; ) {
        if (cancelled >= limit) return { cancelled, more: true }
        const keys = [queued, at.free, at.held, at.ids]
        const args = [when, Math.min(MAX_CALL_COPIES, limit - cancelled), behind, MAX_CALL_COPIES]
        const [next, ...rest]: unknown[] = list(
          await deps.ask(() => deps.redis.script(queuedScript, keys, args)),
        )
        const copies: { id: string; account: string; subscriptionId: string }[] = []
        for (let n = 0; n < rest.length; n += 3) {
          const [id, account, subscriptionId] = [rest[n], rest[n + 1], rest[n + 2]].map(text)
          copies.push({ id: id ?? '', account: account ?? '', subscriptionId: subscriptionId ?? '' })
        }
        const about = { when, reason: CANCELLED, now: when }
        const done = await Promise.all(
          copies.map((copy) => withdraw(deps, at, found.receiptKey, copy, about)),
        )
        cancelled += done.filter(Boolean).length
        behind = text(next) || undefined
      }
    }
    return { cancelled, more: false }
  },
})

/** What became of notifications. */
export const createRedisReceipts = (
  shared: NotifyDeps,
  notifications: Notifications,
  outbox: Outbox,
): Omit<ReceiptsStore, 'notifications'> => {
  const deps: ReceiptsDeps = { ...shared, notifications, outbox }

  return {
    ...outcomeVerbs(deps),
    ...readVerbs(deps),
    ...cancelVerbs(deps),
  }
}

/** With the digit behind the account, rows of all states stand in one order. */
const inOrder = (row: string, digit: string): string => {
  const bare = digit === DIGITS.queued ? row : row.slice(1)
  const at = bare.indexOf(SEPARATOR) + 1
  return `${bare.slice(0, at)}${digit}${bare.slice(at)}`
}
/** Where a list goes on that has come to this place: behind the account, whose receipt there may have moved on. */
const inSet = (receiptKey: string): string =>
  receiptKey.includes(SEPARATOR) ? `${receiptKey.slice(0, receiptKey.indexOf(SEPARATOR))}\u0001` : receiptKey
