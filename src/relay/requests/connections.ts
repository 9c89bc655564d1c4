import type { ConnectedClients } from '../connected-clients.ts'
import type { Seen } from '../delivery/ack-batcher.ts'
import type { Connection } from '../delivery/connection.ts'
import type { Outcome, Request, Requests } from './serve.ts'

/** What connections ask and answer, as values: those of frames, which are parsed before, and those of this process. */
export interface ConnectionRequests {
  /**
   * Serves a request. `outcome` hears nothing once the connection is gone. `bytes`: what the request takes of memory until
   * it is answered; values of this process are in memory already, bounded by who asks.
   */
  request(connection: Connection, request: Request, outcome: Outcome, bytes?: number): void
  /** The client has the message of the push. False for an unknown or earlier push. */
  acknowledge(connection: Connection, pushId: number): boolean
}

export const createConnectionRequests = (deps: {
  requests: Pick<Requests, 'serve'>
  clients: Pick<ConnectedClients, 'connections'>
  /** Acknowledges for the client on all its connections. */
  acknowledged(clientId: string, topic: string, id: string, seen?: Seen): void
}): ConnectionRequests => {
  const { requests, clients, acknowledged } = deps
  return {
    request(connection, request, outcome, bytes = 0) {
      if (!connection.takesRequests) return
      connection.began(bytes)
      const { clientId, trusted, address, payer } = connection
      const delivery = clients.connections.get(connection)
      requests.serve({ clientId, trusted, address, payer, connection, delivery }, request, {
        // Ended once it is answered: a connection that finishes is closed then.
        answer(result) {
          const isTaken = connection.open && outcome.answer(result)
          connection.ended(bytes)
          return isTaken
        },
        fail(error) {
          if (connection.open) outcome.fail(error)
          connection.ended(bytes)
        },
      })
    },

    acknowledge(connection, pushId) {
      const entry = connection.answered(pushId)
      if (!entry) return false
      acknowledged(connection.clientId, entry.message.topic, entry.message.id, entry.message)
      clients.connections.get(connection)?.resume()
      return true
    },
  }
}
