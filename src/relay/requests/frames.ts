import type { Budgets } from '../../platform/budgets/budgets.ts'
import { frameCost, WORK_COST } from '../../platform/budgets/work-budget.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRpc, rpcFailure, rpcResult } from '../../protocol/jsonrpc.ts'
import type { Connection } from '../delivery/connection.ts'
import type { Presence } from '../presence.ts'
import type { Caller } from './caller.ts'
import type { ConnectionRequests } from './connections.ts'
import type { Outcome, Requests } from './serve.ts'

/** What comes in as text: frames of connections, and single requests over HTTP. */
export interface Frames {
  /** A text frame of the peer: a request, or the answer to a push. */
  receive(connection: Connection, text: string): void
  /** One request without a connection; resolves to the answer. Rejects `bad_json`, `bad_request`, `rate_limited`, `unavailable`. */
  call(caller: Caller, text: string): Promise<string>
}

type RpcMessage = ReturnType<typeof parseRpc>

const failureFrame = (idText: string | null, error: ProtocolError): string =>
  rpcFailure(idText, error.rpc, error.message)

const mayBeRetried = ({ code, retryAfter }: ProtocolError): boolean =>
  code === 'unavailable' || retryAfter !== undefined

export const createFrames = (deps: {
  requests: Requests
  ofConnections: ConnectionRequests
  presence: Pick<Presence, 'note'>
  budgets: Pick<Budgets, 'work'>
}): Frames => {
  const { requests, ofConnections, presence, budgets } = deps

  /** An error or `false` leaves the message in flight: it comes again. Some clients answer other things than `true`. */
  const receiveAnswer = (
    connection: Connection,
    message: RpcMessage & { kind: 'result' | 'failure' },
    size: number,
  ): void => {
    const isTaken = message.kind === 'result' && message.result !== false
    const pushId = Number(message.idText.replaceAll('"', ''))
    const isAcknowledged = isTaken && ofConnections.acknowledge(connection, pushId)
    // An acknowledgement of usual size is free.
    connection.spend(frameCost(size) - (isAcknowledged ? WORK_COST.request : 0))
  }

  return {
    receive(connection, text) {
      if (!connection.open) return
      const size = text.length
      let message: RpcMessage
      try {
        message = parseRpc(text)
      } catch (error) {
        connection.spend(frameCost(size))
        connection.send(failureFrame(null, requests.shownError(error)))
        return
      }
      if (message.kind === 'result' || message.kind === 'failure') {
        receiveAnswer(connection, message, size)
        return
      }
      connection.spend(frameCost(size))
      // A notification has no answer, and no method makes sense as one.
      if (message.kind === 'notification') return
      const { idText } = message
      const outcome: Outcome = {
        answer: (result) => connection.send(rpcResult(idText, result)),
        fail: (error) => void connection.send(failureFrame(idText, error)),
      }
      ofConnections.request(connection, message, outcome, size)
    },

    async call(caller, text) {
      const message = parseRpc(text)
      if (message.kind !== 'request')
        throw new ProtocolError('bad_request', 'it must be one request with an id')
      if (!caller.trusted) budgets.work.charge(caller.address, frameCost(text.length))
      presence.note(caller.clientId)
      return new Promise((resolve, reject) => {
        requests.serve(caller, message, {
          answer(result) {
            resolve(rpcResult(message.idText, result))
            return true
          },
          // What can be asked again later gets an HTTP status that says so.
          fail: (error) =>
            mayBeRetried(error) ? reject(error) : resolve(failureFrame(message.idText, error)),
        })
      })
    },
  }
}
