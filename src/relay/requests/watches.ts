import type { Budgets } from '../../platform/budgets/budgets.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { RELAY_METHODS } from '../../protocol/relay-methods.ts'
import type { Charge, Watches } from '../webhooks/registrations.ts'
import type { Caller, Method } from './caller.ts'

/** `irn_watchRegister` and `irn_watchUnregister`; without `watches` they are unknown methods. */
export const createWatchMethods = ({
  budgets,
  watches,
}: {
  budgets: Pick<Budgets, 'state' | 'work'>
  watches: Watches | undefined
}): { register: Method; unregister: Method } => {
  /** Charges what a request costs beyond its frame. Over HTTP, where nothing can be held back, it may throw. */
  const spend = (caller: Caller, units: number): void => {
    if (units <= 0 || caller.trusted) return
    if (caller.connection) caller.connection.spend(units)
    else budgets.work.charge(caller.address, units)
  }

  const chargeTo =
    ({ address }: Caller): Charge =>
    (bytes, lifeMs) =>
      budgets.state.demand(address, bytes, lifeMs)

  return {
    async register(caller, params, reply) {
      if (!watches) throw new ProtocolError('unknown_method')
      const { registerAuth } = checked(RELAY_METHODS.irn_watchRegister.params, params)
      spend(caller, WORK_COST.token + WORK_COST.lookUp)
      reply.answer(await watches.register(registerAuth, chargeTo(caller)))
    },

    async unregister(caller, params, reply) {
      if (!watches) throw new ProtocolError('unknown_method')
      const { unregisterAuth } = checked(RELAY_METHODS.irn_watchUnregister.params, params)
      spend(caller, WORK_COST.token)
      await watches.unregister(unregisterAuth, chargeTo(caller))
      reply.answer(true)
    },
  }
}
