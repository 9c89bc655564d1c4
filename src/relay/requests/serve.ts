import type { Budgets } from '../../platform/budgets/budgets.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { rpcFailure, rpcResult } from '../../protocol/jsonrpc.ts'
import { canonicalMethod } from '../../protocol/relay-methods.ts'
import type { Caller, Method, Reply } from './caller.ts'

export interface RpcRequest {
  idText: string
  method: string
  params: unknown
}

export interface Requests {
  /** Serves one request; `send` gets exactly one frame, unless `refuse` is there and gets what can be asked again later. */
  serve(
    caller: Caller,
    request: RpcRequest,
    send: (frame: string) => boolean,
    refuse?: (error: ProtocolError) => void,
  ): void
  /** The frame of a failure. What is unexpected is logged with an id, which the caller gets. */
  failureOf(idText: string | null, error: unknown): string
}

const mayBeRetried = (error: unknown): error is ProtocolError =>
  error instanceof ProtocolError && (error.code === 'unavailable' || error.retryAfter !== undefined)

export const createRequests = (
  deps: {
    budgets: Pick<Budgets, 'work' | 'gate'>
    log: Log
    meter: Meter
    newErrorId: () => string
  },
  methods: Record<string, Method>,
): Requests => {
  const { budgets, log, meter, newErrorId } = deps

  const failureOf = createFailureOf({ log, newErrorId })

  /** Charges the items beyond the first and takes room for all of them; undefined when there is room now. */
  const takeRoom = ({ connection, address }: Caller, items: number): Promise<boolean> | undefined => {
    const cost = Math.max(0, items - 1) * WORK_COST.item
    // Over HTTP nothing can be held back: it is refused.
    if (!connection) budgets.work.charge(address, cost)
    const asked = { items, cost: connection ? cost : 0, isWanted: () => connection?.open ?? true }
    const turn = budgets.gate.enter(address, asked)
    return turn && connection ? connection.awaitTurn(turn) : turn
  }

  const serve: Requests['serve'] = (caller, { idText, method: asked, params }, send, refuse) => {
    const name = canonicalMethod(asked)
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    meter.count('relay_requests_total', { method: method ? name : 'unknown' })
    let inProgress = 0
    let hasEnded = false
    /** False when it has ended before. */
    const finish = (): boolean => {
      if (hasEnded) return false
      hasEnded = true
      if (inProgress > 0) budgets.gate.leave(caller.address, inProgress)
      return true
    }
    const awaitRoom = async (turn: Promise<boolean>, items: number) => {
      if (!(await turn)) throw new ProtocolError('rate_limited', 'its connection is gone')
      inProgress = items
    }
    const reply: Reply = {
      enter(items) {
        if (caller.address === '') return undefined
        const turn = takeRoom(caller, items)
        if (turn) return awaitRoom(turn, items)
        inProgress = items
        return undefined
      },
      answer: (result) => finish() && send(rpcResult(idText, result)),
      fail(error) {
        if (error instanceof ProtocolError && error.code === 'unavailable')
          log.warn({ err: error, method: name }, 'A relay request could not be served now')
        if (!finish()) return
        if (refuse && mayBeRetried(error)) refuse(error)
        else send(failureOf(idText, error))
      },
    }
    try {
      if (!method) throw new ProtocolError('unknown_method')
      const work = method(caller, params, reply)
      if (work) work.catch(reply.fail)
    } catch (error) {
      reply.fail(error)
    }
  }

  return { serve, failureOf }
}

const createFailureOf =
  ({ log, newErrorId }: { log: Log; newErrorId: () => string }): Requests['failureOf'] =>
  (idText, error) => {
    if (error instanceof ProtocolError) return rpcFailure(idText, error.rpc, error.message)
    const id = newErrorId()
    log.error({ err: error, id }, 'A relay request failed unexpectedly')
    const internal = new ProtocolError('internal', id)
    return rpcFailure(idText, internal.rpc, internal.message)
  }
