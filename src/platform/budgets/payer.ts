/**
 * Who pays for one request, as services see it: they charge what they are about to do or keep, and know no address.
 */

import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Budgets } from './budgets.ts'
import { WORK_COST } from './work-budget.ts'

export interface Payer {
  /** Charges units of work (`WORK_COST`); what costs as much as a signature waits for its turn. Throws `rate_limited`. */
  work(cost: number): Promise<void>
  /** Charges bytes that are kept for so long. Throws `rate_limited`, `store_full`, `unavailable`. */
  keep(bytes: number, lifeMs: number): Promise<void>
}

/** The operator's own parts: nothing is charged. */
export const HOUSE: Payer = { work: async () => {}, keep: async () => {} }

/** `owner`: what `ClientAddress` answers. */
export const createPayers =
  ({ budgets, queue }: { budgets: Pick<Budgets, 'work' | 'state'>; queue: FairQueue }) =>
  (owner: string): Payer => ({
    async work(cost) {
      if (owner !== '') budgets.work.charge(owner, cost)
      if (cost >= WORK_COST.signature) await queue.next(owner)
    },
    keep: (bytes, lifeMs) => budgets.state.demand(owner, bytes, lifeMs),
  })
