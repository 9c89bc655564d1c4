/** One socket to the relay, and the signs of life on it. */
import { openSocket, showsPings } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import { CLOSED_ABNORMALLY, type Socket } from '../../platform/runtime/socket.ts'
import type { Log } from '../../platform/telemetry.ts'
import { parseRpc } from '../../protocol/jsonrpc.ts'

const OPEN_TIMEOUT_MS = 15_000
/** Relays ping every 25 s or so. */
const SILENCE_TIMEOUT_MS = 60_000
/** Longer than a relay keeps a client waiting that is over its rate. */
const REQUEST_TIMEOUT_MS = 60_000
const CHECK_EVERY_MS = 10_000

export interface LinkEvents {
  opened(): void
  /** Anything but a heartbeat. */
  received(message: ReturnType<typeof parseRpc>): void
  /** Called once; nothing else is called after it. */
  closed(code: number, reason: string): void
}

/**
 * Opens the socket. It is dropped when it does not open, is silent, or leaves a request unanswered for too long.
 * `oldestRequestAt`: when the oldest unanswered request was sent.
 */
export const openLink = (
  { clock, log }: { clock: Clock; log: Log },
  url: string,
  oldestRequestAt: () => number | undefined,
  events: LinkEvents,
): Socket => {
  let isOpen = false
  let isOver = false
  let lastSeenAt = clock.now()
  // Where pings are not seen, only a relay that sends heartbeats can be found silent.
  let expectsLife = showsPings
  let timer: Disposable | undefined

  const closed = (code: number, reason: string) => {
    if (isOver) return
    isOver = true
    timer?.[Symbol.dispose]()
    events.closed(code, reason)
  }
  const faultAt = (now: number): string | undefined => {
    if (!isOpen && now - lastSeenAt >= OPEN_TIMEOUT_MS) return 'did not open'
    if (isOpen && expectsLife && now - lastSeenAt >= SILENCE_TIMEOUT_MS) return 'silent'
    const sentAt = oldestRequestAt()
    if (sentAt !== undefined && now - sentAt >= REQUEST_TIMEOUT_MS) return 'a request was not answered'
    return undefined
  }
  const check = () => {
    timer = clock.after(CHECK_EVERY_MS, () => {
      const fault = faultAt(clock.now())
      if (fault === undefined) return check()
      socket.drop()
      closed(CLOSED_ABNORMALLY, fault)
    })
  }

  const socket = openSocket(url, {
    opened() {
      if (isOver) return
      isOpen = true
      lastSeenAt = clock.now()
      events.opened()
    },
    received(text) {
      if (isOver) return
      lastSeenAt = clock.now()
      try {
        const message = parseRpc(text)
        if ('method' in message && message.method === 'irn_heartbeat') expectsLife = true
        else events.received(message)
      } catch (error) {
        log.warn({ err: error }, 'The relay sent a frame that could not be read')
      }
    },
    alive() {
      lastSeenAt = clock.now()
    },
    closed,
  })
  check()
  return socket
}
