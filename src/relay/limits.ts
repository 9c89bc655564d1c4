/** What one client may ask of a relay, and how long the relay waits. Sizes are bytes. */
import { MIB_BYTES } from '../platform/units.ts'
export interface RelayLimits {
  /** Messages that may be unacknowledged on one connection; more wait in the mailbox. */
  inFlightMessages: number
  /** The same in bytes. One message always fits. */
  inFlightBytes: number
  /** A push that is not acknowledged for this long is pushed again. A claim of a shared subscription lasts as long. */
  redeliverAfterMs: number
  /** Between the answer to a subscribe and the first push on that topic: clients set up their listeners after the answer. */
  holdAfterSubscribeMs: number
  /** A new connection that neither subscribes nor fetches for this long gets what waits for it. */
  connectGraceMs: number
  /** A connection that goes on subscribing or fetching gets the rest after this long at the latest. */
  maxConnectGraceMs: number
  /** A connection with more than this waiting for the kernel is pushed nothing more, and not read from. */
  bufferedBytes: number
  /** A connection that stays over `bufferedBytes` for this long is closed with 4008. */
  closeBlockedAfterMs: number
  /** Requests of one connection that may be in progress; above it the connection is not read from. */
  requestsInProgress: number
  /** The same in bytes. */
  bytesInProgress: number
  /**
   * Topics that one client may be subscribed to. A wallet has two for a session and one for each dapp that notifies it;
   * 10,000 are more than any keeps, and are subscribed to again at a start in 20 calls.
   */
  topicsPerClient: number
  /**
   * How long a message waits where only its publisher is subscribed. The proposal of a pairing waits so until its QR
   * code is scanned.
   */
  unattendedTtlMs: number
  /** Messages and bytes of one answer to a fetch. */
  fetchMessages: number
  fetchBytes: number
  /** How often the store is asked for messages whose wake-up was lost; undefined for an engine that serves one process. */
  catchUpEveryMs: number | undefined
}

export const RELAY_LIMITS: RelayLimits = {
  inFlightMessages: 256,
  inFlightBytes: 4 * MIB_BYTES,
  redeliverAfterMs: 30_000,
  holdAfterSubscribeMs: 100,
  connectGraceMs: 250,
  maxConnectGraceMs: 5_000,
  bufferedBytes: MIB_BYTES,
  closeBlockedAfterMs: 30_000,
  requestsInProgress: 512,
  bytesInProgress: 8 * MIB_BYTES,
  topicsPerClient: 10_000,
  unattendedTtlMs: 15 * 60_000,
  fetchMessages: 500,
  fetchBytes: 900 * 1024,
  catchUpEveryMs: undefined,
}
