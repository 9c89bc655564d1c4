/**
 * Who pays for pushes: the address that published the message, before anything is written. What the house itself publishes has no
 * address, and is free.
 */
import type { StateBudget } from '../../platform/budgets/state-budget.ts'
import { WORK_COST, type WorkBudget } from '../../platform/budgets/work-budget.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Meter } from '../../platform/telemetry.ts'
import { DAY_MS } from '../../platform/units.ts'
import type { WaitingMessage } from '../store.ts'

/** What a reference to a message takes in a row. */
const REFERENCE_BYTES = 256
/** A push is paid for as long at most: it is handed over long before. */
const PAID_LIFE_MS = DAY_MS

/** A message, and the address that pays for what follows from it. */
export interface PaidMessage {
  message: WaitingMessage
  address: string
}

/** Charges pushes to so many devices; answers the messages that are paid for. */
export type Payment = (messages: readonly PaidMessage[], devices: number) => Promise<WaitingMessage[]>

export const createPayment = ({
  state,
  work,
  clock,
  meter,
}: {
  state: Pick<StateBudget, 'charge'>
  work: Pick<WorkBudget, 'spend'>
  clock: Pick<Clock, 'now'>
  meter: Meter
}): Payment => {
  const isPaid = async ({ message, address }: PaidMessage, devices: number): Promise<boolean> => {
    const lifeMs = Math.min(message.expiresAt - clock.now(), PAID_LIFE_MS)
    try {
      if (!(await state.charge(address, REFERENCE_BYTES * devices, lifeMs))) return false
    } catch {
      // Where the budget does not answer the store says so itself.
    }
    if (address !== '') work.spend(address, WORK_COST.lookUp * devices)
    return true
  }

  return async (messages, devices) => {
    const paid = await Promise.all(messages.map((one) => isPaid(one, devices)))
    const kept = messages.filter((_, at) => paid[at]).map(({ message }) => message)
    const dropped = messages.length - kept.length
    if (dropped > 0) meter.count('push_dropped_total', { reason: 'budget' }, dropped)
    return kept
  }
}
