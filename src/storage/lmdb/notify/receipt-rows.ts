import { DELIVERY_STATES, type DeliveryState, type Receipt } from '../../../notify/store/receipts.ts'
import { behind, endOf, key, name, number } from '../../bytes.ts'
import type { Tables } from './tables.ts'

/**
 * The rows of receipts, by notification, state and account: one state is one range, so that pages and counts of a
 * state cost what they give, and a receipt that moves on is a row that moves. What writes is for use within a
 * transaction.
 */
export interface ReceiptRows {
  /** Begins a receipt where there is none. */
  begin(
    m: number,
    accountKey: string,
    receipt: { account: string; state: DeliveryState; copyId: string | null; at: number; reason?: string },
  ): void
  /** Whether the notification has receipts at all: most that are handed over have none. */
  isUsed(m: number): boolean
  /** Removes the receipt, for another to begin. */
  forget(m: number, accountKey: string): void
  has(m: number, accountKey: string): boolean
  /** Whether the receipt of this copy is queued since then. */
  isQueued(m: number, accountKey: string, copyId: string, at: number): boolean
  /** Moves the receipt of this copy on if it is in one of these states; returns whether it did. */
  move(
    m: number,
    accountKey: string,
    copyId: string,
    from: readonly DeliveryState[],
    to: { state: DeliveryState; at: number; reason?: string },
  ): boolean
  page(m: number, state: DeliveryState, page: { after?: string; limit: number }): Receipt[]
  /** Account and copy of each receipt that is queued. */
  queued(m: number): Iterable<{ accountKey: string; copyId: string }>
  count(m: number, state: DeliveryState): number
}

const CODES: Record<DeliveryState, Buffer> = {
  queued: Buffer.from([1]),
  published: Buffer.from([2]),
  delivered: Buffer.from([3]),
  read: Buffer.from([4]),
  failed: Buffer.from([5]),
}

const prefixOf = (m: number, state: DeliveryState) => key(number(m), CODES[state])
const rowKey = (m: number, state: DeliveryState, accountKey: string) =>
  key(prefixOf(m, state), name(accountKey))
const NAME_AT = 9

/** A row as it is kept. */
export const receiptOf = (
  place: Buffer,
  [at, account, copyId, reason]: [at: number, account: string, copyId: string | null, reason: string | null],
) => ({
  m: place.readDoubleBE(),
  accountKey: place.toString('utf8', NAME_AT),
  account,
  state: DELIVERY_STATES.find((state) => CODES[state][0] === place[8]) ?? 'failed',
  copyId,
  ...(reason !== null && { reason }),
  at,
})

export const createReceiptRows = ({ receipts }: Tables): ReceiptRows => ({
  begin(m, accountKey, { account, state, copyId, at, reason = null }) {
    receipts.put(rowKey(m, state, accountKey), [at, account, copyId, reason])
  },

  isUsed(m) {
    for (const _ of receipts.getKeys({ start: number(m), end: endOf(number(m)), limit: 1 })) return true
    return false
  },

  forget(m, accountKey) {
    for (const state of DELIVERY_STATES) {
      const place = rowKey(m, state, accountKey)
      if (receipts.get(place)) receipts.remove(place)
    }
  },

  has: (m, accountKey) =>
    DELIVERY_STATES.some((state) => receipts.get(rowKey(m, state, accountKey)) !== undefined),

  isQueued(m, accountKey, copyId, at) {
    const row = receipts.get(rowKey(m, 'queued', accountKey))
    return row?.[0] === at && row[2] === copyId
  },

  move(m, accountKey, copyId, from, { state, at, reason = null }) {
    for (const present of from) {
      const place = rowKey(m, present, accountKey)
      const row = receipts.get(place)
      if (row?.[2] !== copyId) continue
      receipts.remove(place)
      receipts.put(rowKey(m, state, accountKey), [at, row[1], copyId, reason])
      return true
    }
    return false
  },

  page(m, state, { after, limit }) {
    const prefix = prefixOf(m, state)
    const start = after === undefined ? prefix : behind(rowKey(m, state, after))
    return [...receipts.getRange({ start, end: endOf(prefix), limit })].map(
      ({ key: place, value: [at, account, , reason] }) => ({
        accountKey: place.toString('utf8', NAME_AT),
        account,
        state,
        ...(reason !== null && { reason }),
        at,
      }),
    )
  },

  *queued(m) {
    const prefix = prefixOf(m, 'queued')
    for (const { key: place, value } of receipts.getRange({ start: prefix, end: endOf(prefix) })) {
      const copyId = value[2]
      if (copyId !== null) yield { accountKey: place.toString('utf8', NAME_AT), copyId }
    }
  },

  count(m, state) {
    const prefix = prefixOf(m, state)
    return receipts.getKeysCount({ start: prefix, end: endOf(prefix) })
  },
})
