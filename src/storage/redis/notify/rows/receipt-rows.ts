import type { DeliveryState, Receipt } from '../../../../notify/store/receipts.ts'
import { packAccount, packForm, unpackAccount, unpackForm } from './packing.ts'

/**
 * How receipts are written. In each partition a notification has two sorted sets, whose members all have the score 0
 * and so stand in the order of their letters: one range is one state, in the order of the accounts.
 *
 *     queued   account · form · at · copy          (a sorted set of its own: the copy makes it long, and is not needed later)
 *     others   digit of the state, account · form · at [· reason]
 *
 * The dots are zero bytes. With 64 bytes or less, Redis keeps small sets in their compact form.
 */
export const SEPARATOR = '\0'

export const DIGITS: Record<DeliveryState, string> = {
  queued: '1',
  published: '2',
  delivered: '3',
  read: '4',
  failed: '5',
}
const STATES: Record<string, DeliveryState> = {
  1: 'queued',
  2: 'published',
  3: 'delivered',
  4: 'read',
  5: 'failed',
}

const PACKED = 'eip155:0X'
/** Addresses are packed further than elsewhere, and stand before all other accounts. */
export const writeName = (accountKey: string): string => {
  const packed = packAccount(accountKey)
  return packed.startsWith(PACKED) ? `0${packed.slice(PACKED.length)}` : `~${packed}`
}
const readName = (written: string): string =>
  written.startsWith('~') ? written.slice(1) : unpackAccount(`${PACKED}${written.slice(1)}`)

export const writeForm = packForm
export const writeTime = (at: number): string => at.toString(36)

/** A row without the digit of its state. */
export const readReceipt = (digit: string, row: string): Receipt => {
  const [written = '', form = '', at = '', rest] = row.split(SEPARATOR)
  const state = STATES[digit] ?? 'failed'
  const accountKey = readName(written)
  return {
    accountKey,
    account: unpackForm(form, accountKey),
    state,
    ...(state === 'failed' && rest !== undefined && { reason: rest }),
    at: Number.parseInt(at, 36),
  }
}
