/**
 * What an address may make a process compute: a token bucket an address, charged by cost before the work is done. It is of
 * this process alone, because so is the core that it protects, and it answers at once.
 *
 * One unit is about 0.1 ms of one core. `WORK_COST` has the costs that several rooms share.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { createBoundedMap } from '../concurrency/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import type { BucketSize } from './token-buckets.ts'

/** Units of about 0.1 ms of one core of a small server: the process' own, and Redis' for it. */
export const WORK_COST = {
  /** A frame or a small HTTP request: parsed, carried out, answered. */
  request: 5,
  /** One message, subscription or receipt of a batch. */
  item: 2,
  /** An upgrade to WebSocket, its JWT included. */
  connection: 20,
  /** A JWT that is verified natively. */
  token: 5,
  /** A secp256k1 signature that is recovered, a CACAO. */
  signature: 25,
  /** A request to a foreign host. */
  lookUp: 20,
} as const

/** Parsed, hashed and stored: 20 ms a MiB. */
const FRAME_BYTES_PER_UNIT = 4_096

/** A frame of the relay by its size. */
export const frameCost = (bytes: number): number =>
  WORK_COST.request + Math.floor(bytes / FRAME_BYTES_PER_UNIT)

export interface WorkBudget {
  /**
   * Charges the cost, also beyond what is left: for work that has already come in, where the answer to too much is not to
   * read on. Returns for how many ms the owner is in debt, 0 for none.
   */
  spend(owner: string, cost: number): number
  /** For how many ms the owner is in debt, 0 for none. */
  debtOf(owner: string): number
  /** Charges the cost. Throws `rate_limited` with `retryAfter`, charging nothing, when less is left. */
  charge(owner: string, cost: number): void
  /** Those who have used most of what they may, first: parts of the bucket, above 1 in debt. A walk over all owners. */
  users(limit: number): { owner: string; used: number }[]
}

/** So many addresses are remembered, at least; one that is forgotten has a full bucket again. */
const REMEMBERED_OWNERS = 100_000
/** A debt is never longer than this: what one frame can cost is bounded, and an address has several connections. */
const MAX_DEBT_MS = 10_000

export const createWorkBudget = ({ clock }: { clock: Clock }, { burst, seconds }: BucketSize): WorkBudget => {
  /** When the bucket of an owner is full again, unix ms. */
  const fullAt = createBoundedMap<number>(REMEMBERED_OWNERS)
  const unitMs = (seconds * 1000) / burst
  const wholeMs = seconds * 1000

  const after = (owner: string, cost: number, now: number) =>
    Math.max(fullAt.get(owner) ?? now, now) + cost * unitMs

  return {
    spend(owner, cost) {
      const now = clock.now()
      const at = Math.min(after(owner, cost, now), now + wholeMs + MAX_DEBT_MS)
      if (cost > 0) fullAt.put(owner, at)
      return Math.max(0, Math.ceil(at - now - wholeMs))
    },
    debtOf: (owner) => Math.max(0, Math.ceil((fullAt.get(owner) ?? 0) - clock.now() - wholeMs)),
    charge(owner, cost) {
      const now = clock.now()
      const at = after(owner, cost, now)
      const waitMs = at - now - wholeMs
      if (waitMs > 0) {
        const retryAfter = Math.ceil(waitMs / 1000)
        throw new ProtocolError('rate_limited', `try again in ${retryAfter} s`, { retryAfter })
      }
      fullAt.put(owner, at)
    },
    users(limit) {
      const now = clock.now()
      const found: { owner: string; used: number }[] = []
      for (const [owner, at] of fullAt.entries())
        if (at > now) found.push({ owner, used: (at - now) / wholeMs })
      return found.sort((a, b) => b.used - a.used).slice(0, limit)
    },
  }
}

export const unlimitedWork: WorkBudget = {
  spend: () => 0,
  debtOf: () => 0,
  charge: () => {},
  users: () => [],
}
