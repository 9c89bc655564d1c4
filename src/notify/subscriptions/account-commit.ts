/** Changes one account record by compare-and-swap, together with the outbox entries that the change makes necessary. */
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { invariant } from '../../platform/invariant.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { AccountRecord, NotifyStore, OutboxEntry, RequestId } from '../store/store.ts'
import { usedBefore } from './repetition.ts'

/** What a request turns a record into. */
export interface Decision {
  record: AccountRecord
  outbox: OutboxEntry[]
}

/**
 * Calls `decide` with the present record, once more after each lost race, and commits its decision. Undefined commits
 * nothing. Throws `jwt_invalid` for a JWT that was used before, `unavailable` when others are always faster.
 */
export type CommitAccount = (
  accountKey: string,
  requestId: RequestId | undefined,
  decide: (record: AccountRecord) => Decision | undefined,
) => Promise<void>

/** Another process changed the same account: how often to start over. */
const MAX_COMMIT_ATTEMPTS = 12
const MAX_COMMIT_PAUSE_MS = 200

export const createAccountCommit = ({
  store,
  clock,
  randomBytes,
}: {
  store: Pick<NotifyStore, 'account' | 'commit'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): CommitAccount => {
  /** Spares the devices of one account the race that compare-and-swap would decide. */
  const inTurn = createKeyedLock()

  /** 0 to 1. */
  const jitter = () => (randomBytes(1)[0] ?? 0) / 255

  const compareAndSwap: CommitAccount = async (accountKey, requestId, decide) => {
    for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt++) {
      const { version, record } = await store.account(accountKey)
      invariant(version >= 0, 'The version of an account is never negative')
      const decision = decide(record)
      if (!decision) return
      const outcome = await store.commit({
        accountKey,
        expectedVersion: version,
        record: decision.record,
        ...(requestId && { requestId }),
        outbox: decision.outbox,
      })
      if (outcome === 'used') throw usedBefore()
      if (outcome !== 'conflict') return
      // The first retry comes at once: the other commit is through already.
      if (attempt > 1) await pause(clock, jitter() * Math.min(2 ** attempt, MAX_COMMIT_PAUSE_MS))
    }
    throw new ProtocolError('unavailable', 'the account is changing too fast')
  }

  return (accountKey, requestId, decide) =>
    inTurn(accountKey, () => compareAndSwap(accountKey, requestId, decide))
}
