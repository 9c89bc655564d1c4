/**
 * A client of a relay over whatever connects it: a socket, or the hub of the same process. What must be published, and what
 * was received, is kept, ordered and bounded here; see `index.ts` for what that guarantees.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { ProtocolError } from '../../protocol/errors.ts'
import { closeOnce, HANDLERS_CLOSE_TIMEOUT_MS, waitAtMost } from './closing.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { createFetching } from './fetching.ts'
import { createConnectionListeners } from './listeners.ts'
import { createPublishing, DEFAULT_MAX_QUEUED } from './publishing.ts'
import { createReceiving, type RelayMessage } from './receiving.ts'
import { createTopics } from './topics.ts'

/** What handles its messages; as in `RelayClientOptions`. */
export interface ClientOptions {
  /** did:key of the client. */
  clientId: string
  signal?: AbortSignal
  onMessage?: (message: RelayMessage) => void | Promise<void>
  laneOf?: (message: RelayMessage) => string | undefined
  remembers?: boolean
  maxQueued?: number
  concurrency?: number
}

/** As `RelayClient`. */
export type Client = ReturnType<typeof createClient>

const DEFAULT_CONCURRENCY = 64

export const createClient = (
  { clock, log, meter }: { clock: Clock; log: Log; meter: Meter },
  options: ClientOptions,
  connect: (events: ConnectionEvents) => Connection,
) => {
  const { clientId, signal, onMessage, remembers = false, maxQueued = DEFAULT_MAX_QUEUED } = options
  const { laneOf = ({ topic }) => topic, concurrency = DEFAULT_CONCURRENCY } = options
  const listeners = createConnectionListeners()
  let failure: ProtocolError | undefined
  let wasConnected = false

  const notify = (connected: boolean) => {
    if (connected === wasConnected) return
    wasConnected = connected
    listeners.notify(connected)
  }
  const connection = connect({
    opened() {
      topics.opened()
      publishing.opened()
      listeners.resolveWaiting()
      notify(true)
    },
    lost() {
      publishing.lost()
      receiving.lost()
      notify(false)
    },
    pushed: (message, acknowledge, id) => receiving.received(message, acknowledge, id),
    ended(error) {
      failure = error
      topics.ended(error)
      publishing.ended(error)
      listeners.rejectWaiting(error)
    },
  })
  const receiving = createReceiving({ log, meter }, { onMessage, laneOf, concurrency })
  const publishing = createPublishing({ clock, connection }, { maxQueued })
  const topics = createTopics({ clock, connection, log }, { clientId, remembers })

  const ready = (): Promise<void> => {
    if (failure) return Promise.reject(failure)
    return connection.connected ? Promise.resolve() : listeners.connected()
  }

  const dispose = closeOnce(signal, async () => {
    await waitAtMost(clock, HANDLERS_CLOSE_TIMEOUT_MS, receiving.finish())
    await connection.close()
  })

  return {
    clientId,
    get connected() {
      return connection.connected
    },
    ready,
    publish: publishing.publish,
    subscribe: topics.subscribe,
    unsubscribe: topics.unsubscribe,
    fetch: createFetching({ connection, ready, failure: () => failure }),
    onConnectionChange: listeners.add,
    [Symbol.asyncDispose]: dispose,
  }
}
