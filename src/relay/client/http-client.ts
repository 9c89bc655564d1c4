/**
 * A client of the relay without a connection: it publishes and subscribes by `POST /rpc`, and messages come to it as
 * watch events at a webhook; the server of that webhook passes them to `arrived`.
 *
 * What it guarantees:
 * - A message is marked received at the relay only after `onMessage` resolved. `arrived` resolves then, too, and rejects
 *   when it did not. Two arrivals of one message at the same time are handled once. In order within a lane.
 * - It has a watch at the relay, which it renews; and on each topic that it subscribes to it takes what waits there
 *   already, once it is subscribed: what came while there was no watch.
 * - `publish` is as in `createRelayClient`: in the order of the calls, again after a failure, unchanged.
 * - A relay that does not answer is asked again, after 0.5 s, doubling up to 30 s; everything waits meanwhile.
 *
 * A relay other than ours ignores `keep` and counts what it hands out at a fetch as received.
 */
import '../../platform/runtime/dispose-symbols.ts'
import type { FetchDeps } from '../../platform/net/fetch-json.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { HANDLERS_CLOSE_TIMEOUT_MS, waitAtMost } from './closing.ts'
import { createHttpConnection } from './http-connection.ts'
import { createHttpReceiving } from './http-receiving.ts'
import { createConnectionListeners } from './listeners.ts'
import { createPublishing, DEFAULT_MAX_QUEUED, type Publish } from './publishing.ts'
import type { RelayMessage } from './receiving.ts'
import type { RelayRpc } from './rpc.ts'
import { createTopics } from './topics.ts'
import { createWatchKeeper, registrarAt, type WatchWish } from './webhook-registration.ts'

export interface WebhookClient extends AsyncDisposable {
  /** The relay answered last time. */
  readonly connected: boolean
  /** Resolves when the relay has answered and the watch stands; rejects when it is closed before. */
  ready(): Promise<void>
  publish(publish: Publish): Promise<void>
  subscribe(topics: readonly string[], how?: { exclusive?: boolean }): Promise<void>
  unsubscribe(topics: readonly string[]): Promise<void>
  onConnectionChange(listener: (connected: boolean) => void): Disposable
  /** A message came as an event. Resolves when its effect is durable. */
  arrived(message: RelayMessage): Promise<void>
}

/** How long closing waits for the answers of the relay. */
const ANSWERS_CLOSE_TIMEOUT_MS = 1_000

export const createWebhookClient = (
  deps: FetchDeps & { rpc: RelayRpc; log: Log; meter: Meter },
  options: {
    clientId: string
    watch: WatchWish
    onMessage: (message: RelayMessage) => Promise<void>
    /** As in `createRelayClient`. */
    laneOf?: (message: RelayMessage) => string | undefined
    remembers?: boolean
    maxQueued?: number
  },
): WebhookClient => {
  const { clock, rpc, log, meter } = deps
  const { clientId, onMessage, remembers = false, maxQueued = DEFAULT_MAX_QUEUED } = options
  const { laneOf = ({ topic }) => topic } = options
  const listeners = createConnectionListeners()
  const closed = () => new ProtocolError('unavailable', 'the relay client was closed')
  const ending = new AbortController()
  const keeper = createWatchKeeper({ relay: registrarAt(rpc), clock, log }, options.watch)
  const connection = createHttpConnection({ rpc, clock, log, keeper }, ending.signal, {
    opened() {
      topics.opened()
      publishing.opened()
      listeners.resolveWaiting()
      listeners.notify(true)
      receiving.opened()
    },
    lost: () => listeners.notify(false),
    closed,
  })
  const publishing = createPublishing({ clock, connection }, { maxQueued })
  const topics = createTopics({ clock, connection, log }, { clientId, remembers })
  const receiving = createHttpReceiving(
    { connection, clock, log, meter },
    { onMessage, laneOf, signal: ending.signal, closed },
  )
  connection.open()

  return {
    get connected() {
      return connection.connected
    },
    ready() {
      if (ending.signal.aborted) return Promise.reject(closed())
      return connection.connected ? Promise.resolve() : listeners.connected()
    },
    publish: publishing.publish,
    async subscribe(wanted, how) {
      await topics.subscribe(wanted, how)
      receiving.subscribed(wanted)
    },
    unsubscribe: topics.unsubscribe,
    onConnectionChange: listeners.add,
    arrived: receiving.arrived,
    async [Symbol.asyncDispose]() {
      ending.abort()
      keeper[Symbol.dispose]()
      await waitAtMost(clock, HANDLERS_CLOSE_TIMEOUT_MS, receiving.idle())
      await waitAtMost(clock, ANSWERS_CLOSE_TIMEOUT_MS, connection.answered())
      connection.cut()
      publishing.ended(closed())
      topics.ended(closed())
      listeners.rejectWaiting(closed())
      await connection.ended()
    },
  }
}
