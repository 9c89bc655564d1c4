/**
 * What an owner may have stored: bytes for as long as they last. What is written is charged in byte-seconds, its size times
 * its life, before it is written, and nothing is counted back when it ends. A bucket that refills at B byte-seconds a second
 * bounds what the owner holds to B bytes in the long run, and to twice that after a burst, so no row needs a counter.
 *
 * That alone would let through any number of bytes that live for a second. So rows are charged by their term, the shortest
 * that is as long as their life: 15 minutes, a day, 30 days or longer. Each term has a bucket of its own, and a row is
 * charged for a quarter of its term at least. Of one term an owner writes 4 B at once, and then 4 B a term; it never
 * holds more than 5 B of one, 15 B of all.
 *
 * Owners are address blocks (`client-address`); what the operator's own parts write has the owner '' and is free. While the
 * store is nearly full only a little that ends within minutes is taken of an owner: the requests of wallets that are
 * here already live for five minutes. While it is full nothing is taken, whatever they have left: it is `unavailable`, so
 * that nobody takes for kept what is not.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import { createBoundedMap } from '../concurrency/bounded-map.ts'
import { createKeyedLock } from '../concurrency/keyed-lock.ts'
import type { Clock } from '../runtime/clock.ts'
import { type BucketSize, type Buckets, createBuckets } from './token-buckets.ts'
import type { PressureLevel } from './watermark.ts'

export interface StateBudget {
  /**
   * Charges `bytes` that are kept for `lifeMs`. False when the owner has not so much left: then it must not be written. It
   * answers at once where it can, because publishers come by the thousand.
   */
  charge(owner: string, bytes: number, lifeMs: number): boolean | Promise<boolean>
  /** For how long what is to last `lifeMs` can be kept at present: while the store is nearly full, five minutes at most. */
  lifeOf(owner: string, lifeMs: number): number
  /** Whether nothing of the owner is taken now: whoever asks gets `unavailable` and tries again. */
  isClosed(owner: string): boolean
  /**
   * `charge` for requests that get an error: throws `rate_limited`, `store_full` while the store is nearly full, and
   * `unavailable` while it is full.
   */
  demand(owner: string, bytes: number, lifeMs: number): Promise<void>
}

/** What a row costs beside its content: keys, indexes, counters. */
export const ROW_OVERHEAD_BYTES = 256

const MAX_TERM_S = 30 * 86_400
/** Lives that are charged together. What lives for longer than the last one is charged there for all of its life. */
const TERMS_S = [15 * 60, 86_400, MAX_TERM_S]
/** A row is charged as if it lived for this part of its term at least. */
const MIN_CHARGED_TERMS = 1 / 4
/** What is taken while the store is nearly full lives no longer than this. */
const BRIEF_LIFE_MS = 5 * 60_000
/** So much of it one owner may have stored, bytes: about a hundred requests. */
const BRIEF_BYTES = 256 * 1024
const BRIEF: BucketSize = { burst: BRIEF_BYTES, seconds: BRIEF_LIFE_MS / 1000 }
/** Of a bucket this part is taken from the store at a time, and spent here without asking again. */
const LUMPS_PER_BUCKET = 256
/** Lumps that are remembered, one of an owner and a term; what is forgotten is lost to its owner. */
const REMEMBERED_ALLOWANCES = 100_000
/** For so long at most a refusal is repeated without asking the store, ms. */
const REMEMBER_REFUSAL_MS = 5_000

const lifeAt = (level: PressureLevel, owner: string, lifeMs: number): number =>
  owner !== '' && level === 'high' ? Math.min(lifeMs, BRIEF_LIFE_MS) : lifeMs

const termOf = (lifeMs: number): number => TERMS_S.find((termS) => lifeMs <= termS * 1000) ?? MAX_TERM_S
const bucketOf = (owner: string, termS: number): string => `state:${termS}:${owner}`

/** The part of a bucket that this process has taken for an owner. */
interface Allowance {
  /** Byte-seconds that are paid for and not spent. */
  left: number
  refusedUntil: number
}

/** Publishers get this, too: the same as from a store that takes no writes. */
export const storeIsFull = (): ProtocolError => new ProtocolError('unavailable', 'the store is full')

const closedWhileFull =
  (pressure: () => PressureLevel) =>
  (owner: string): boolean =>
    owner !== '' && pressure() === 'full'

interface StateBudgetDeps {
  buckets: Buckets
  clock: Clock
  /** How full the store is. */
  pressure: () => PressureLevel
}

const openBudget = ({ buckets, clock, pressure }: StateBudgetDeps, capacity: number) => {
  const isClosed = closedWhileFull(pressure)
  const brief = createBuckets(clock)
  const inTurn = createKeyedLock()
  const allowances = createBoundedMap<Allowance>(REMEMBERED_ALLOWANCES)
  return { capacity, buckets, clock, pressure, isClosed, brief, inTurn, allowances }
}
type BudgetState = ReturnType<typeof openBudget>

const allowanceOf = (budget: BudgetState, name: string): Allowance => {
  const allowance = budget.allowances.get(name) ?? { left: 0, refusedUntil: 0 }
  // Anew each time: forgotten are those that were not used for long.
  budget.allowances.put(name, allowance)
  return allowance
}

/** Pays from a new lump, or from the store just what is missing where there is no whole lump any more. */
const refill = async (
  budget: BudgetState,
  name: string,
  size: BucketSize,
  cost: number,
): Promise<boolean> => {
  const allowance = allowanceOf(budget, name)
  const lump = size.burst / LUMPS_PER_BUCKET
  let waitMs = 0
  for (const amount of cost < lump ? [lump, cost] : [cost]) {
    const [wait = 0] = await budget.buckets.take([name], size, amount)
    if (wait === 0) {
      allowance.left += amount - cost
      return true
    }
    waitMs = wait
  }
  allowance.refusedUntil = budget.clock.now() + Math.min(waitMs, REMEMBER_REFUSAL_MS)
  return false
}

const spend = (
  budget: BudgetState,
  owner: string,
  bytes: number,
  lifeMs: number,
): boolean | Promise<boolean> => {
  const termS = termOf(lifeMs)
  const cost = bytes * Math.max(termS * MIN_CHARGED_TERMS, lifeMs / 1000)
  const name = bucketOf(owner, termS)
  /** Undefined when the store must be asked. */
  const known = (): boolean | undefined => {
    const allowance = allowanceOf(budget, name)
    if (allowance.left < cost) return allowance.refusedUntil > budget.clock.now() ? false : undefined
    allowance.left -= cost
    return true
  }
  // One after the other: of a batch that comes at once each would take a lump, and leave none for the rest.
  const ask = () => refill(budget, name, { burst: budget.capacity * termS, seconds: termS }, cost)
  return known() ?? budget.inTurn(name, async () => known() ?? ask())
}

const charge = (
  budget: BudgetState,
  owner: string,
  bytes: number,
  lifeMs: number,
): boolean | Promise<boolean> => {
  if (owner === '') return true
  const level = budget.pressure()
  if (level === 'full' || (level === 'high' && lifeMs > BRIEF_LIFE_MS)) return false
  const rowBytes = bytes + ROW_OVERHEAD_BYTES
  if (level === 'ok') return spend(budget, owner, rowBytes, lifeMs)
  return budget.brief
    .take([owner], BRIEF, rowBytes)
    .then(([wait = 0]) => wait === 0 && spend(budget, owner, rowBytes, lifeMs))
}

export const createStateBudget = (
  deps: StateBudgetDeps,
  /** What one owner may hold in the long run. */
  { bytes: capacity }: { bytes: number },
): StateBudget => {
  const budget = openBudget(deps, capacity)

  return {
    charge: (owner, bytes, lifeMs) => charge(budget, owner, bytes, lifeMs),
    isClosed: budget.isClosed,
    lifeOf: (owner, lifeMs) => lifeAt(budget.pressure(), owner, lifeMs),
    async demand(owner, bytes, lifeMs) {
      if (budget.isClosed(owner)) throw storeIsFull()
      if (await charge(budget, owner, bytes, lifeMs)) return
      if (budget.pressure() !== 'ok') throw new ProtocolError('store_full')
      const waitMs = Math.max(
        1_000,
        allowanceOf(budget, bucketOf(owner, termOf(lifeMs))).refusedUntil - budget.clock.now(),
      )
      const retryAfter = Math.ceil(waitMs / 1000)
      throw new ProtocolError('rate_limited', 'your address keeps too much here', { retryAfter })
    },
  }
}

/** Nothing is counted; a store that is nearly full still takes nothing new that lasts. */
export const uncountedState = ({ pressure }: { pressure: () => PressureLevel }): StateBudget => {
  const isClosed = closedWhileFull(pressure)
  const charge = (owner: string, lifeMs: number): boolean => {
    const level = pressure()
    return owner === '' || level === 'ok' || (level === 'high' && lifeMs <= BRIEF_LIFE_MS)
  }
  return {
    charge: (owner, _bytes, lifeMs) => charge(owner, lifeMs),
    isClosed,
    lifeOf: (owner, lifeMs) => lifeAt(pressure(), owner, lifeMs),
    async demand(owner, _bytes, lifeMs) {
      if (isClosed(owner)) throw storeIsFull()
      if (!charge(owner, lifeMs)) throw new ProtocolError('store_full')
    },
  }
}
