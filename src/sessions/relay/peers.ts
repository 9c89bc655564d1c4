/** Peers of sessions, on whichever process they are connected; and the connections of this process. */
import type { Meter } from '../../platform/telemetry.ts'
import { type Connection, REFUSALS, type Refusal } from './connection.ts'
import type { Endpoint } from './store.ts'

/** Reaches the connections of other processes. */
export interface RemoteConnections {
  emit(socket: string, event: string, ...values: unknown[]): void
  close(socket: string): void
}

export interface Peers {
  /** The name of this process in endpoints. */
  readonly process: string
  /** Of this process, by the id of their peer. */
  readonly connections: Map<string, Connection>
  emit(endpoint: Endpoint, event: string, ...values: unknown[]): void
  disconnect(endpoint: Endpoint): void
}

export const createPeers = (remote: RemoteConnections, process: string): Peers => {
  const connections = new Map<string, Connection>()
  return {
    process,
    connections,
    emit({ process: where, socket }, event, ...values) {
      if (where !== process) remote.emit(socket, event, ...values)
      else connections.get(socket)?.peer.emit(event, ...values)
    },
    disconnect({ process: where, socket }) {
      const connection = where === process ? connections.get(socket) : undefined
      if (connection) {
        connection.isClosed = true
        connection.peer.close()
      } else if (where !== process) remote.close(socket)
    },
  }
}

/** Emits the last event of a connection, and closes it. */
export const closeWithError = (connection: Connection, message: string): void => {
  if (connection.isClosed) return
  connection.isClosed = true
  connection.peer.emit('error', { message })
  connection.peer.close()
}

export const refuse = (meter: Meter, connection: Connection, refusal: Refusal): void => {
  if (connection.isClosed) return
  meter.count('sessions_refused_total', { reason: refusal })
  closeWithError(connection, REFUSALS[refusal])
}
