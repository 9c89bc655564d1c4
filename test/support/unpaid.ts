import { type Budgets, createBudgets, NO_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { type BucketSize, createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'

/** For hubs and sockets of tests that are not about who pays: nobody does. */
export const unpaid = {
  budgets: createBudgets({ buckets: { take: async () => [0] }, clock: systemClock }, NO_BUDGETS),
  payerOf: () => '',
  addressOf: () => '',
}

/** For those that are about what an address may compute: everything else is free. */
export const paidWork = (clock: Clock, work: BucketSize): Budgets =>
  createBudgets({ buckets: createBuckets(clock), clock }, { ...NO_BUDGETS, work })
