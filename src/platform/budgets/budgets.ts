/**
 * Who may cost us what: one mechanism that every room uses. Whoever asks has an owner who pays, the address block that a
 * request came from (`client-address`), and each cost has a budget that is charged before the work is done.
 *
 * | budget | bounds | of | over it |
 * |---|---|---|---|
 * | `work` | computing, units of about 0.1 ms | one process | sockets are not read from, HTTP gets 429 |
 * | `state` | what is stored, byte-seconds | the store, all processes | publishes are dropped, requests get 429, 507 or 503 |
 * | `connections` | open sockets and polls | one process | refused at the upgrade |
 * | `probes` | what is asked of `/health`, `/ready`, `/metrics`, units of work | one process | HTTP gets 429 |
 * | `refusals` | requests that are refused before a room sees them | one process | the connection is cut |
 * | `memory` | bytes that answers and unacknowledged pushes hold | one process | smaller windows, HTTP gets 429 |
 *
 * Rate limits by project, key and account (`rate-limits`) come on top.
 */

import type { Clock } from '../runtime/clock.ts'
import { MIB_BYTES } from '../units.ts'
import { createShares, type ShareSizes, type Shares } from './shares.ts'
import { createStateBudget, type StateBudget, uncountedState } from './state-budget.ts'
import type { BucketSize, Buckets } from './token-buckets.ts'
import type { PressureLevel } from './watermark.ts'
import { createWorkBudget, unlimitedWork, type WorkBudget } from './work-budget.ts'
import { createWorkGate, openGate, type WorkGate } from './work-gate.ts'

export interface Budgets {
  work: WorkBudget
  /** When work of the relay begins; open where work is not counted. */
  gate: WorkGate
  /** Beside `work`, so that probes go on for an address that has none left. */
  probes: WorkBudget
  /** One unit each: a refusal costs little, and some ten thousand a second cost a core. */
  refusals: WorkBudget
  state: StateBudget
  connections: Shares
  memory: Shares
}

export interface BudgetSizes {
  /** Of one address, units of about 0.1 ms; null: not counted. */
  work: BucketSize | null
  /** Bytes that one address may have stored in the long run; null: not counted. */
  state: number | null
  connections: ShareSizes
  /** Bytes. */
  memory: ShareSizes
}

/**
 * No real wallet or dapp comes near these. An address may be an office: a thousand wallets that sign a hundred requests of
 * 2 KB a day, each kept for five minutes, hold 1 MB and compute for two minutes of a day.
 */
export const DEFAULT_BUDGETS: BudgetSizes = {
  // A sixth of a core for good, and 1 s of one at once: an office of a hundred wallets that all reconnect.
  work: { burst: 10_000, seconds: 10_000 / 1_500 },
  state: 64 * MIB_BYTES,
  connections: { each: 256, all: 50_000 },
  memory: { each: 16 * MIB_BYTES, all: 256 * MIB_BYTES },
}

/** 200 requests at once, then 20 a second: a fleet of balancers asks less. */
const PROBES: BucketSize = { burst: 1_000, seconds: 10 }
/** 1,000 at once, then 200 a second: an office that is refused tries again less often. */
const REFUSALS: BucketSize = { burst: 1_000, seconds: 5 }

const EVERYTHING: ShareSizes = { each: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY }

export const NO_BUDGETS: BudgetSizes = {
  work: null,
  state: null,
  connections: EVERYTHING,
  memory: EVERYTHING,
}

export const createBudgets = (
  deps: { buckets: Buckets; clock: Clock; pressure?: () => PressureLevel },
  sizes: BudgetSizes = DEFAULT_BUDGETS,
): Budgets => {
  const { buckets, clock, pressure = () => 'ok' } = deps
  const work = sizes.work ? createWorkBudget({ clock }, sizes.work) : unlimitedWork
  return {
    work,
    probes: sizes.work ? createWorkBudget({ clock }, PROBES) : unlimitedWork,
    refusals: sizes.work ? createWorkBudget({ clock }, REFUSALS) : unlimitedWork,
    gate: sizes.work ? createWorkGate({ work, clock }) : openGate,
    state:
      sizes.state === null
        ? uncountedState({ pressure })
        : createStateBudget({ buckets, clock, pressure }, { bytes: sizes.state }),
    connections: createShares(sizes.connections),
    memory: createShares(sizes.memory),
  }
}
