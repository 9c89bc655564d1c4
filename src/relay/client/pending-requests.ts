import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { fromRpcFailure, type ProtocolError } from '../../protocol/errors.ts'
import { type parseRpc, payloadIds } from '../../protocol/jsonrpc.ts'

/** What became of a request. `unknown method` is apart because other relays know fewer methods than ours. */
export type Outcome =
  | { kind: 'answered'; result: unknown }
  | { kind: 'refused'; error: ProtocolError; unknownMethod: boolean }
  | { kind: 'lost' }

type Answer = ReturnType<typeof parseRpc> & { kind: 'result' | 'failure' }

/** The requests that the relay has not answered, by their ids. */
export const createPendingRequests = (deps: {
  clock: Clock
  log: Log
  randomBytes: (length: number) => Uint8Array
}) => {
  const { clock, log, randomBytes } = deps
  const nextId = payloadIds(clock.now, randomBytes)
  const pending = new Map<string, { complete: (outcome: Outcome) => void; sentAt: number }>()

  return {
    /** Returns the id of the request. */
    add(complete: (outcome: Outcome) => void): number {
      const id = nextId()
      pending.set(String(id), { complete, sentAt: clock.now() })
      return id
    },
    /** Answers come about in the order of the requests, so the first is the oldest. */
    oldestSentAt(): number | undefined {
      const [oldest] = pending.values()
      return oldest?.sentAt
    },
    /** Completes the request that the answer belongs to, after `known` is called. */
    answered(message: Answer, known: () => void): void {
      const request = pending.get(message.idText)
      if (!request) {
        // Its id is null when it is about something that the relay could not read.
        if (message.kind === 'failure') log.warn({ code: message.code }, 'The relay reported an error')
        return
      }
      pending.delete(message.idText)
      known()
      if (message.kind === 'result') {
        request.complete({ kind: 'answered', result: message.result })
        return
      }
      const error = fromRpcFailure(message.code, message.message)
      request.complete({ kind: 'refused', error, unknownMethod: error.code === 'unknown_method' })
    },
    /** The connection has ended. */
    loseAll(): void {
      const unanswered = [...pending.values()]
      pending.clear()
      for (const { complete } of unanswered) complete({ kind: 'lost' })
    },
  }
}
