/**
 * Memory that a peer occupies when it does not read: the bytes of every packet, from when it is made until the transport
 * has handed it to the system. They are charged to the peer's address; a connection that gets no share is cut.
 */
import { WebSocket } from 'ws'
import type { Shares } from '../../platform/budgets/shares.ts'

/** The members of Engine.IO's connection and transport that are used here. */
export interface EngineConnection {
  readonly transport: { once(event: string, listener: () => void): unknown }
  on(event: 'packetCreate', listener: (packet: { data?: unknown }) => void): unknown
  on(event: 'flush', listener: () => void): unknown
  once(event: 'close', listener: () => void): unknown
  close(discard?: boolean): void
}

const bytesOf = (data: unknown): number => {
  if (typeof data === 'string') return Buffer.byteLength(data)
  return ArrayBuffer.isView(data) ? data.byteLength : 0
}

/** Closes without a last packet, which a peer that does not read would not read. */
const cut = (connection: EngineConnection): void => {
  const { transport } = connection
  connection.close(true)
  const socket: unknown = Reflect.get(transport, 'socket')
  if (socket instanceof WebSocket) socket.terminate()
}

/** `full`: called once, when the connection is cut. */
export const chargeUnread = (
  connection: EngineConnection,
  { memory, address, full }: { memory: Shares; address: string; full: () => void },
): void => {
  let chargedBytes = 0
  /** Charged bytes that no transport has. */
  let unsentBytes = 0
  let isOver = false

  const give = (bytes: number): void => {
    if (isOver) return
    chargedBytes -= bytes
    memory.give(address, bytes)
  }

  connection.on('packetCreate', ({ data }) => {
    const bytes = bytesOf(data)
    if (isOver || bytes === 0) return
    if (memory.take(address, bytes)) {
      chargedBytes += bytes
      unsentBytes += bytes
      return
    }
    full()
    // Not in the middle of the write that made the packet.
    setImmediate(() => cut(connection))
  })
  connection.on('flush', () => {
    const sending = unsentBytes
    unsentBytes = 0
    connection.transport.once('drain', () => give(sending))
  })
  connection.once('close', () => {
    if (chargedBytes > 0) give(chargedBytes)
    isOver = true
  })
}
