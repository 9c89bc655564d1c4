/** `#socket` for Node, on ws. See `runtime/socket.ts`. */
import { WebSocket } from 'ws'
import { CLOSED_ABNORMALLY, NOT_LET_IN, type OpenSocket } from './socket.ts'

/** A batch of fetched messages of a foreign relay may be larger than what we send ourselves. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024
const HANDSHAKE_TIMEOUT_MS = 10_000

export const showsPings = true

export const soon = (task: () => void): void => {
  setImmediate(task)
}

export const openSocket: OpenSocket = (url, events) => {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_FRAME_BYTES,
  })
  let refused: { code: number; reason: string } | undefined
  socket.on('open', () => events.opened())
  socket.on('message', (data, isBinary) => {
    if (!isBinary) events.received(data.toString())
  })
  socket.on('ping', () => events.alive())
  socket.on('unexpected-response', (request, response) => {
    // Browsers do not see the status; relays that want them to know close with 3000 instead.
    const status = response.statusCode ?? 0
    const code = status === 401 || status === 403 ? NOT_LET_IN : CLOSED_ABNORMALLY
    refused = { code, reason: `HTTP ${status}` }
    response.resume()
    request.destroy()
    socket.terminate()
  })
  // What the error was shows in the close that follows it.
  socket.on('error', (error) => {
    refused ??= { code: CLOSED_ABNORMALLY, reason: error.message }
  })
  socket.on('close', (code, reason) => {
    if (refused) events.closed(refused.code, refused.reason)
    else events.closed(code, reason.toString())
  })
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    close: (code, reason) => socket.close(code, reason),
    drop: () => socket.terminate(),
  }
}
