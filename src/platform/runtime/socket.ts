/**
 * A client's WebSocket, reduced to what the relay client needs. `runtime/socket-node.ts` (on ws) and `runtime/socket-browser.ts` (on the
 * global WebSocket) have the same exports; the `#socket` entry of package.json chooses, never a test at run time.
 *
 *     openSocket: OpenSocket     opens a connection; events come later, never from inside the call
 *     showsPings: boolean        whether `alive` reports the other end's pings
 *     soon(task)                 runs the task when everything that is due now has run, before any timer
 */
interface SocketEvents {
  opened(): void
  /** A text frame. Binary frames have no meaning here and are left out. */
  received(text: string): void
  /** A sign of life that is not a frame: a ping. */
  alive(): void
  /** Exactly once, also when the connection was never opened. A refusal to let us in is code 3000. */
  closed(code: number, reason: string): void
}

export interface Socket {
  /** Does nothing on a socket that is not open. */
  send(text: string): void
  /** Says goodbye and waits for the other end's. */
  close(code: number, reason: string): void
  /** Ends at once, for an other end that does not answer. */
  drop(): void
}

export type OpenSocket = (url: string, events: SocketEvents) => Socket

/** Close code that clients take as final: they are not let in, and trying again is of no use. */
export const NOT_LET_IN = 3000
/** Close code for a connection that ended without a close frame (RFC 6455). */
export const CLOSED_ABNORMALLY = 1006
