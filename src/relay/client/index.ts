/**
 * The relay client, for servers, wallets and dapps; Node and browsers.
 *
 * What it guarantees:
 * - A message is acknowledged to the relay only after `onMessage` resolved; otherwise it comes again.
 *   In order within a topic (except for what comes again), different topics at the same time.
 * - `publish` resolves when the relay has taken the message. Until then it is kept here and sent again after a
 *   reconnect, unchanged, so that the relay sees a duplicate where it already has it. In the order of the calls.
 * - The connection is opened again whenever it ends, at random moments within a growing bound (0.2 s to 30 s), except
 *   after the relay refused this client (close code 3000, or 401 and 403): then everything rejects with
 *   `unauthenticated`. A connection without a sign of life for 60 s is dropped.
 * - Nothing grows without a bound: `publish` rejects with `unavailable` when `maxQueued` messages wait.
 *
 * | sends                  | for                                   | falls back to     |
 * |------------------------|---------------------------------------|-------------------|
 * | irn_batchPublish       | the publishes of a tick, 500 at most  | irn_publish       |
 * | irn_batchSubscribe     | the subscribes of a tick, 500 at most | irn_subscribe     |
 * | irn_batchUnsubscribe   | the same                              | irn_unsubscribe   |
 * | irn_batchFetchMessages | fetch                                 | irn_fetchMessages |
 *
 * It takes irn_subscription (answered `true` once handled) and irn_heartbeat (a sign of life, not answered).
 */

import '../../platform/runtime/dispose-symbols.ts'
import { crypto } from '#crypto'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { createClient, type RelayClientOptions } from './client.ts'
import { createConnection } from './connection.ts'
import type { Publish } from './publishing.ts'
import type { RelayMessage } from './receiving.ts'

export type { RelayClientOptions } from './client.ts'
export type { RelayMessage } from './receiving.ts'

/** What the client is given of its surroundings. */
export interface RelayClientDeps {
  clock: Clock
  log: Log
  meter: Meter
  /** The platform's own when absent. */
  randomBytes?: (length: number) => Uint8Array
}

/** A connection to a relay that opens again whenever it ends. Disposing of it waits at most 5 s for handlers. */
export interface RelayClient extends AsyncDisposable {
  /** did:key of the client. */
  readonly clientId: string
  readonly connected: boolean
  /**
   * Waits for a connection.
   *
   * @returns resolves when there is a connection.
   * @throws ProtocolError `unauthenticated` when the relay refuses this client, `unavailable` when it is closed.
   */
  ready(): Promise<void>
  /**
   * Publishes a message, over reconnects.
   *
   * @param publish topic (64 hex characters), envelope (base64), tag, and TTL in seconds.
   * @returns resolves when the relay has stored the message.
   * @throws ProtocolError `bad_params` (no envelope), `too_large`, `unavailable` (too many wait; the TTL is over;
   *   closed), or what the relay answered.
   * @example await relay.publish({ topic, message: envelope, tag: 4000, ttl: 86_400 })
   */
  publish(publish: Publish): Promise<void>
  /**
   * Subscribes to topics, over reconnects.
   *
   * @param topics 64 hex characters each.
   * @param how `exclusive`: on a relay that trusts this client, other clients may then only publish there.
   * @returns resolves when the relay has acknowledged all of them.
   * @throws ProtocolError with what the relay answered, or why there will be no connection.
   */
  subscribe(topics: readonly string[], how?: { exclusive?: boolean }): Promise<void>
  /**
   * Ends subscriptions.
   *
   * @param topics 64 hex characters each; unknown ones are ignored.
   * @throws as `subscribe`.
   */
  unsubscribe(topics: readonly string[]): Promise<void>
  /**
   * Takes what waits on the topics. The relay counts it as delivered when it answers.
   *
   * @param topics 64 hex characters each.
   * @returns the messages, in publish order of each topic.
   * @throws ProtocolError with what the relay answered, or why there will be no connection.
   */
  fetch(topics: readonly string[]): Promise<RelayMessage[]>
  /**
   * Calls the listener whenever the connection opens or ends.
   *
   * @returns ends the listening when it is disposed of.
   */
  onConnectionChange(listener: (connected: boolean) => void): Disposable
}

/**
 * Connects to a relay, now and again whenever the connection ends.
 *
 * @param deps clock, log and meter; randomness where the platform's own is not wanted.
 * @param options the relay's URL, the key of the client, and what handles messages.
 * @returns the client at once; `ready` waits for its connection.
 * @throws TypeError when `options.url` is no URL.
 * @example
 * await using relay = createRelayClient(deps, {
 *   url: 'wss://relay.example.com',
 *   key,
 *   onMessage: async ({ topic, message }) => inbox.add(topic, message),
 * })
 * await relay.subscribe([topic])
 */
export const createRelayClient = (deps: RelayClientDeps, options: RelayClientOptions): RelayClient => {
  const { randomBytes = crypto.randomBytes } = deps
  return createClient(deps, { ...options, clientId: options.key.did }, (events) =>
    createConnection({ ...deps, randomBytes }, options, events),
  )
}
