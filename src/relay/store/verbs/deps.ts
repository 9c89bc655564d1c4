import type { Clock } from '../../../platform/runtime/clock.ts'
import type { Kv } from '../../../storage/kv.ts'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../store.ts'
import type { Wakes } from './wakes.ts'

export interface MailboxDeps {
  kv: Kv
  clock: Pick<Clock, 'now'>
  limits: Required<MailboxLimits>
  /** A number that this process has not given, from `wanted` on. */
  firstSeq(wanted: number): number
  /** Absent where there is one process. */
  wakes: Wakes | undefined
}

export const limitsOf = (limits: MailboxLimits): Required<MailboxLimits> => ({
  members: DEFAULT_MAILBOX_LIMITS.members,
  ...limits,
})

/** Clocks stand still for a millisecond. */
export const createFirstSeq = (): MailboxDeps['firstSeq'] => {
  let last = 0
  return (wanted) => {
    last = Math.max(last + 1, Math.floor(wanted))
    return last
  }
}
