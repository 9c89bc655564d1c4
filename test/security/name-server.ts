/** A name server of a test's own. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** It answers 127.0.0.1 for what begins with `good`, and nothing at all for others. */
export const startNameServer = async ({ host = '127.0.0.1', port = 0 } = {}) => {
  const socket = createSocket('udp4')
  let dropped = 0
  socket.on('message', (query, from) => {
    const isGood = query.subarray(13, 17).toString() === 'good'
    if (!isGood) {
      dropped++
      return
    }
    // The question again, with one answer where an IPv4 address was asked for.
    const question = query.subarray(12, query.indexOf(0, 12) + 5)
    const isV4 = question.readUInt16BE(question.length - 4) === 1
    const head = Buffer.from([query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, isV4 ? 1 : 0, 0, 0, 0, 0])
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1])
    socket.send(Buffer.concat([head, question, ...(isV4 ? [answer] : [])]), from.port, from.address)
  })
  socket.bind(port, host)
  await once(socket, 'listening')
  return {
    server: `${host}:${socket.address().port}`,
    dropped: () => dropped,
    [Symbol.dispose]: () => void socket.close(),
  }
}
