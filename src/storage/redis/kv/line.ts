/**
 * Rows of the port's lines in Redis: a member is the key and the value of a row, its score when the row is due. A row that was
 * taken or returned has a score beyond all instants, so that what comes back is found before what is new.
 */
import type { Lease, LineRow } from '../../kv.ts'

/** Taken until an instant: this and the instant. */
const LEASED = 1e15
/** Returned until an instant. */
const RETURNED = 2e15
export const KEY_BYTES = 8

export const memberOf = ({ key, value }: LineRow): Buffer => {
  if (key.length !== KEY_BYTES) throw new Error('A line is one set with keys of 8 bytes')
  const member = Buffer.allocUnsafe(KEY_BYTES + value.length)
  member.set(key, 0)
  member.set(value, KEY_BYTES)
  return member
}

export const leasedScore = (until: number): number => LEASED + until
export const returnedScore = (until: number): number => RETURNED + until
export const scoreOf = ({ until, isReturned }: Lease): string =>
  `${isReturned ? returnedScore(until) : leasedScore(until)}`

/** Whether nobody has the row at `now`. */
export const isFreeAt = (score: number, now: number): boolean =>
  score < LEASED || score >= RETURNED || score <= leasedScore(now)
