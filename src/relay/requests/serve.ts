import type { Budgets } from '../../platform/budgets/budgets.ts'
import { WORK_COST } from '../../platform/budgets/work-budget.ts'
import type { Log, Meter, Span } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { canonicalMethod } from '../../protocol/relay-methods.ts'
import type { Caller, Method, Reply } from './caller.ts'

export interface Request {
  method: string
  params: unknown
}

/** How a request ends: by one call of one of them. */
export interface Outcome {
  /** False when the answer could not be handed over. */
  answer(result: unknown): boolean
  fail(error: ProtocolError): void
}

export interface Requests {
  /** Serves one request. */
  serve(caller: Caller, request: Request, outcome: Outcome): void
  /** The error that a caller gets. What is unexpected is logged with an id, which the caller gets. */
  shownError(error: unknown): ProtocolError
}

/** What strangers call their requests is in no label and no span. */
const knownName =
  (methods: Record<string, Method>) =>
  (asked: string): string => {
    const name = canonicalMethod(asked)
    return Object.hasOwn(methods, name) ? name : 'unknown'
  }

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

  const shownError = createShownError({ log, newErrorId })
  const nameOf = knownName(methods)

  /** Charges the items beyond the first and takes room for all of them; undefined when there is room now. */
  const takeRoom = ({ connection, address }: Caller, items: number): Promise<boolean> | undefined => {
    const cost = Math.max(0, items - 1) * WORK_COST.item
    // Over HTTP nothing can be held back: it is refused.
    if (!connection) budgets.work.charge(address, cost)
    const asked = { items, cost: connection ? cost : 0, isWanted: () => connection?.open ?? true }
    const turn = budgets.gate.enter(address, asked)
    return turn && connection ? connection.awaitTurn(turn) : turn
  }

  const serve: Requests['serve'] = (caller, { method: asked, params }, outcome) => {
    const name = nameOf(asked)
    const method = methods[name]
    meter.count('relay_requests_total', { method: name })
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
      answer: (result) => finish() && outcome.answer(result),
      fail(error) {
        if (error instanceof ProtocolError && error.code === 'unavailable')
          log.warn({ err: error, method: name }, 'A relay request could not be served now')
        if (finish()) outcome.fail(shownError(error))
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

  return { serve: meter.traces ? traced(serve, meter, nameOf) : serve, shownError }
}

/** The outcome, which ends a span as well. */
const ending = (outcome: Outcome, span: Span, ended: () => void): Outcome => ({
  answer(result) {
    ended()
    return outcome.answer(result)
  },
  fail(error) {
    span.set({ 'error.type': error.code })
    ended()
    outcome.fail(error)
  },
})

/** A span for each request, until it is answered. */
const traced =
  (serve: Requests['serve'], meter: Meter, nameOf: (method: string) => string): Requests['serve'] =>
  (caller, request, outcome) => {
    const work = (span: Span) =>
      new Promise<void>((ended) => serve(caller, request, ending(outcome, span, ended)))
    void meter.span(`relay ${nameOf(request.method)}`, {}, work)
  }

const createShownError =
  ({ log, newErrorId }: { log: Log; newErrorId: () => string }): Requests['shownError'] =>
  (error) => {
    if (error instanceof ProtocolError) return error
    const id = newErrorId()
    log.error({ err: error, id }, 'A relay request failed unexpectedly')
    return new ProtocolError('internal', id)
  }
