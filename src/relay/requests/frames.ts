import type { Budgets } from '../../platform/budgets/budgets.ts'
import { frameCost, WORK_COST } from '../../platform/budgets/work-budget.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { parseRpc } from '../../protocol/jsonrpc.ts'
import type { ConnectedClients } from '../connected-clients.ts'
import type { Seen } from '../delivery/ack-batcher.ts'
import type { Connection } from '../delivery/connection.ts'
import type { Presence } from '../presence.ts'
import type { Caller } from './caller.ts'
import type { Requests } from './serve.ts'

/** What comes in: text frames of connections, and single requests over HTTP. */
export interface Frames {
  /** A text frame of the peer: a request, or the answer to a push. */
  receive(connection: Connection, text: string): void
  /** One request without a connection; resolves to the answer. Rejects `bad_json`, `bad_request`, `rate_limited`, `unavailable`. */
  call(caller: Caller, text: string): Promise<string>
}

type RpcMessage = ReturnType<typeof parseRpc>

export const createFrames = (deps: {
  requests: Requests
  clients: Pick<ConnectedClients, 'connections'>
  presence: Pick<Presence, 'note'>
  budgets: Pick<Budgets, 'work'>
  /** Acknowledges for the client on all its connections. */
  acknowledged(clientId: string, topic: string, id: string, seen?: Seen): void
}): Frames => {
  const { requests, clients, presence, budgets, acknowledged } = deps

  /** An error or `false` leaves the message in flight: it comes again. Some clients answer other things than `true`. */
  const receiveAnswer = (
    connection: Connection,
    message: RpcMessage & { kind: 'result' | 'failure' },
    size: number,
  ): void => {
    const isTaken = message.kind === 'result' && message.result !== false
    const entry = isTaken ? connection.answered(Number(message.idText.replaceAll('"', ''))) : undefined
    // An acknowledgement of usual size is free.
    connection.spend(frameCost(size) - (entry ? WORK_COST.request : 0))
    if (!entry) return
    acknowledged(connection.clientId, entry.message.topic, entry.message.id, entry.message)
    clients.connections.get(connection)?.resume()
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
        connection.send(requests.failureOf(null, error))
        return
      }
      if (message.kind === 'result' || message.kind === 'failure') {
        receiveAnswer(connection, message, size)
        return
      }
      connection.spend(frameCost(size))
      // A notification has no answer, and no method makes sense as one.
      if (message.kind === 'notification') return
      connection.began(size)
      const { clientId, trusted, address, payer } = connection
      const delivery = clients.connections.get(connection)
      requests.serve({ clientId, trusted, address, payer, connection, delivery }, message, (frame) => {
        connection.ended(size)
        return connection.send(frame)
      })
    },

    async call(caller, text) {
      const message = parseRpc(text)
      if (message.kind !== 'request')
        throw new ProtocolError('bad_request', 'it must be one request with an id')
      if (!caller.trusted) budgets.work.charge(caller.address, frameCost(text.length))
      presence.note(caller.clientId)
      return new Promise((resolve, reject) => {
        const send = (frame: string) => {
          resolve(frame)
          return true
        }
        requests.serve(caller, message, send, reject)
      })
    },
  }
}
