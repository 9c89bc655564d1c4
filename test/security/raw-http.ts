import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { capture } from '../support/capture/record.mjs'

/** What the server says to bytes that no client library would send; resolves when it has closed, or after `answers` of them. */
export const sayRaw = async (
  port: number,
  bytes: string | Uint8Array,
  { end = false, answers }: { end?: boolean; answers?: number } = {},
): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  // A server that cuts off a sender in the middle is within its rights.
  socket.on('error', () => {})
  socket.setEncoding('latin1')
  let said = ''
  const enough = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      said += chunk
      if (answers !== undefined && statusesIn(said).length >= answers) resolve()
    })
  })
  await once(socket, 'connect')
  socket.write(bytes)
  if (end) socket.end()
  await Promise.race([once(socket, 'close'), enough])
  socket.destroy()
  if (statusesIn(said).some((status) => status >= 400)) capture('errors', said)
  return said
}

/** Statuses in what was said, in order. */
export const statusesIn = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

/** A connection that says this and then nothing, until it is let go of. */
export const halfOpen = async (port: number, bytes: string): Promise<Socket> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes)
  return socket
}
