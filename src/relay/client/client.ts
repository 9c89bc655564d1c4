/**
 * A client of a relay over whatever connects it: a socket, or the hub of the same process. What must be published, and what
 * was received, is kept, ordered and bounded here; see `index.ts` for what that guarantees.
 */

import { closeOnce } from '../../platform/concurrency/close-once.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { ProtocolError } from '../../protocol/errors.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { HANDLERS_CLOSE_TIMEOUT_MS, waitAtMost } from './closing.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { createFetching } from './fetching.ts'
import { createConnectionListeners } from './listeners.ts'
import { createPublishing, DEFAULT_MAX_QUEUED } from './publishing.ts'
import { createReceiving, type RelayMessage } from './receiving.ts'
import { createTopics } from './topics.ts'

/** Which relay, who connects, and what handles its messages. */
export interface RelayClientOptions {
  /** `ws:`, `wss:`, `http:` or `https:`; the latter two mean the former. */
  url: string
  /** The client id is its did:key. */
  key: SigningKey
  projectId?: string
  /** Joins the other connections of this client id: each message goes to one of them. */
  share?: boolean
  /** Closes the client, as disposing of it does. */
  signal?: AbortSignal
  /** A message is acknowledged when this resolves; when it rejects, the relay delivers the message again. */
  onMessage?: (message: RelayMessage) => void | Promise<void>
  /**
   * Makes durable what `onMessage` did: a message is acknowledged when the call after it resolves, and comes again when
   * that rejects. The next one of its lane is handled meanwhile, so that one save may be for many.
   */
  save?: () => Promise<void>
  /**
   * Messages with the same name here are handled in order, one after the other; one without a name at once. The topic
   * when absent. A handler that waits for an answer on the same topic must put the answers elsewhere.
   */
  laneOf?: (message: RelayMessage) => string | undefined
  /** The relay keeps subscriptions when the connection ends, so they are not made again. Default false. */
  remembers?: boolean
  /** Messages that may wait for the relay's acknowledgement. Default 10,000. */
  maxQueued?: number
  /** Messages that are handled at the same time. Default 64. */
  concurrency?: number
}

/** What a client is told whatever connects it. */
export interface ClientOptions
  extends Pick<
    RelayClientOptions,
    'signal' | 'onMessage' | 'save' | 'laneOf' | 'remembers' | 'maxQueued' | 'concurrency'
  > {
  /** Its did:key. */
  clientId: string
}

/** As `RelayClient`. */
export type Client = ReturnType<typeof createClient>

const DEFAULT_CONCURRENCY = 64

export const createClient = (
  { clock, log, meter }: { clock: Clock; log: Log; meter: Meter },
  options: ClientOptions,
  connect: (events: ConnectionEvents) => Connection,
) => {
  const { clientId, signal, onMessage, save, remembers = false, maxQueued = DEFAULT_MAX_QUEUED } = options
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
  const receiving = createReceiving({ log, meter }, { onMessage, save, laneOf, concurrency })
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
