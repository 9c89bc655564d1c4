import { createBudgets, NO_BUDGETS } from '../../src/platform/budgets.ts'
import { systemClock } from '../../src/platform/clock.ts'

/** For hubs and sockets of tests that are not about who pays: nobody does. */
export const unpaid = {
  budgets: createBudgets({ buckets: { take: async () => [0] }, clock: systemClock }, NO_BUDGETS),
  payerOf: () => '',
  addressOf: () => '',
}
