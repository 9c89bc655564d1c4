/** `#socket` for browsers, on the global WebSocket. See `runtime/socket.ts`. */
import type { OpenSocket } from './socket.ts'

/** Browsers answer pings themselves and raise no event. */
export const showsPings = false

let waiting: (() => void)[] = []
let wake: (() => void) | undefined

const runWaiting = (): void => {
  const tasks = waiting
  waiting = []
  for (const each of tasks) each()
}

/** A message channel: a timer would be slowed to one a second in a background tab. React Native has timers only. */
const createWake = (): (() => void) => {
  if (typeof MessageChannel === 'undefined') return () => void setTimeout(runWaiting, 0)
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = runWaiting
  return () => port2.postMessage(undefined)
}

export const soon = (task: () => void): void => {
  waiting.push(task)
  if (waiting.length > 1) return
  wake ??= createWake()
  wake()
}

export const openSocket: OpenSocket = (url, events) => {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  socket.onopen = () => events.opened()
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (typeof data === 'string') events.received(data)
  }
  // Browsers tell no more of an error than the close that follows; other runtimes throw one that nobody takes.
  socket.onerror = () => {}
  socket.onclose = ({ code, reason }) => events.closed(code, reason)
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text)
    },
    // Browsers allow 1000 and 3000 to 4999 only.
    close: (code, reason) => socket.close(code === 1000 || code >= 3000 ? code : 1000, reason),
    drop: () => socket.close(),
  }
}
