/**
 * What a peer that does not read makes us hold: the bytes of every packet from when it is made until the transport has
 * handed it to the system. They are a share of the peer's address; a connection that gets none is cut.
 */
import { WebSocket } from 'ws'
import type { Shares } from '../../platform/budgets/shares.ts'

/** Of Engine.IO's connection and transport, what is used here. */
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

/** Without the farewell, which a peer that does not read would not read either. */
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
  /** Bytes that are paid for: all of them, and those that no transport has. */
  let held = 0
  let waiting = 0
  let isOver = false

  const give = (bytes: number): void => {
    if (isOver) return
    held -= bytes
    memory.give(address, bytes)
  }

  connection.on('packetCreate', ({ data }) => {
    const bytes = bytesOf(data)
    if (isOver || bytes === 0) return
    if (memory.take(address, bytes)) {
      held += bytes
      waiting += bytes
      return
    }
    full()
    // Not in the middle of the write that made the packet.
    setImmediate(() => cut(connection))
  })
  connection.on('flush', () => {
    const sending = waiting
    waiting = 0
    connection.transport.once('drain', () => give(sending))
  })
  connection.once('close', () => {
    if (held > 0) give(held)
    isOver = true
  })
}
