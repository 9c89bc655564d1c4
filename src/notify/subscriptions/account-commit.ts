/** Changes one account record by compare-and-swap, together with the outbox entries that the change makes necessary. */
import { createKeyedLock } from '../../platform/concurrency/keyed-lock.ts'
import { invariant } from '../../platform/invariant.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { AccountRecord, NotifyStore, OutboxEntry, VersionedAccount } from '../store/store.ts'
import { type Repeatable, usedBefore } from './repetition.ts'

/** What a request turns a record into. */
export interface Decision {
  record: AccountRecord
  outbox: OutboxEntry[]
}

export interface CommitOptions {
  /** The account as it was just read: it need not be read again, unless it changes meanwhile. */
  known?: VersionedAccount | undefined
  /**
   * A JWT may come twice within one second with another request between (subscribe, delete, subscribe), because published
   * clients sign whole seconds and nothing else that differs. A fresh one counts again if it changes something: `decide` is
   * told that it is repeated, and refuses a mere repetition.
   */
  mayRepeat?: boolean
}

/**
 * Calls `decide` with the present record, once more after each lost race, and commits its decision. Undefined commits
 * nothing. A message that took effect before changes nothing. Throws `jwt_invalid` for a JWT that was used before,
 * `unavailable` when others are always faster.
 */
export type CommitAccount = (
  accountKey: string,
  request: Repeatable | undefined,
  decide: (record: AccountRecord, isRepeated: boolean) => Decision | undefined,
  options?: CommitOptions,
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

  const compareAndSwap: CommitAccount = async (accountKey, request, decide, { known, mayRepeat } = {}) => {
    let requestId = request?.requestId
    let isRepeated = false
    let account = known
    for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt++) {
      const { version, record } = account ?? (await store.account(accountKey))
      account = undefined
      invariant(version >= 0, 'The version of an account is never negative')
      const decision = decide(record, isRepeated)
      if (!decision) return
      const outcome = await store.commit({
        accountKey,
        expectedVersion: version,
        record: decision.record,
        ...(requestId && { requestId }),
        outbox: decision.outbox,
      })
      if (outcome === 'used') {
        if (!(requestId && mayRepeat && request?.isFresh)) throw usedBefore()
        const { token: _, ...withoutToken } = requestId
        requestId = withoutToken
        isRepeated = true
      } else if (outcome !== 'conflict') return
      // The first retry comes at once: the other commit is through already.
      else if (attempt > 1) await pause(clock, jitter() * Math.min(2 ** attempt, MAX_COMMIT_PAUSE_MS))
    }
    throw new ProtocolError('unavailable', 'the account is changing too fast')
  }

  return (accountKey, request, decide, { known, ...options } = {}) => {
    // What had to wait for its turn follows a change of the account.
    let isNext = true
    const committed = inTurn(accountKey, () =>
      compareAndSwap(accountKey, request, decide, { ...options, known: isNext ? known : undefined }),
    )
    isNext = false
    return committed
  }
}
