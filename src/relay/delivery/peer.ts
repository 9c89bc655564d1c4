import type { DeliveredMessage } from './outgoing.ts'

interface AnyPeer {
  /** Bytes that are not yet handed to the kernel. The transport calls `hub.drained` when they have become few. */
  buffered(): number
  /** Stop and go on reading what the other end sends. */
  pause(): void
  resume(): void
  close(code: number, reason: string): void
}

/** At the end of a socket. */
export interface FramePeer extends AnyPeer {
  send(frame: string): void
}

/** In this process. It is handed no more than the window of its connection holds. */
export interface ValuePeer extends AnyPeer {
  push(push: ValuePush): void
}

export interface ValuePush {
  /** What `hub.acknowledge` is told. */
  pushId: number
  /** Message id. */
  id: string
  message: DeliveredMessage
}

/** The other end of a connection, as its transport shows it to the hub. No member may throw. */
export type Peer = FramePeer | ValuePeer
