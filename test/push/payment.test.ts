/** Pushes are paid for by the address that published the message. */
import { expect, it } from 'vitest'
import { createBudgets, DEFAULT_BUDGETS } from '../../src/platform/budgets/budgets.ts'
import { createBuckets } from '../../src/platform/budgets/token-buckets.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { createPayment } from '../../src/push/delivery/payment.ts'
import { manualClock } from '../support/clock.ts'

const DAY = 86_400_000
const STRANGER = '192.0.2.1'

const start = () => {
  const clock = manualClock()
  const budgets = createBudgets({ buckets: createBuckets(clock), clock }, DEFAULT_BUDGETS)
  const counted: number[] = []
  const meter = { ...unmeasured, count: (_: string, _labels?: object, by = 1) => void counted.push(by) }
  const pay = createPayment({ ...budgets, clock, meter })
  const paid = (address: string, count: number) =>
    Array.from({ length: count }, (_, at) => ({
      address,
      message: {
        ...{ topic: 'ab'.repeat(32), id: `${at}`, tag: 4002, rank: 2 },
        ...{ at: clock.now(), expiresAt: clock.now() + 30 * DAY },
      },
    }))
  return { clock, budgets, counted, pay, paid }
}

it('charges work for each device, so that an address that has many pushed to is in debt', async () => {
  const { budgets, pay, paid } = start()
  await pay(paid(STRANGER, 10), 8)
  expect(budgets.work.debtOf(STRANGER)).toBe(0)
  await pay(paid(STRANGER, 500), 8)
  expect(budgets.work.debtOf(STRANGER)).toBeGreaterThan(1_000)
})

it('drops and counts what an address may not keep, and takes all of the house', async () => {
  const { budgets, counted, pay, paid } = start()
  let kept = 0
  for (let round = 0; round < 300; round++) kept += (await pay(paid(STRANGER, 1_000), 8)).length
  expect(kept).toBeLessThan(300_000)
  expect(kept + counted.reduce((sum, one) => sum + one, 0)).toBe(300_000)
  expect(await pay(paid('', 1_000), 8)).toHaveLength(1_000)
  expect(budgets.work.debtOf('')).toBe(0)
})
