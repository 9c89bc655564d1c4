/**
 * The relay client, for servers, wallets and dapps; Node and browsers.
 *
 * What it guarantees:
 * - A message that it handed over is acknowledged to the relay only after `onMessage` resolved; otherwise it comes again.
 *   In order within a topic (except for what comes again), different topics at the same time.
 * - `publish` resolves when the relay has taken the message. Until then it is kept here and sent again after a
 *   reconnect, unchanged, so that the relay sees a duplicate where it already has it. In the order of the calls.
 * - The connection is opened again whenever it ends, at random moments within a growing bound (0.2 s to 30 s), except
 *   after the relay said that this client is not let in (close code 3000, or 401 and 403): then everything rejects
 *   with `unauthenticated`. A connection without a sign of life for 60 s is dropped.
 * - Nothing in here grows without a bound: `publish` rejects with `unavailable` when `maxQueued` messages wait.
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
import { ProtocolError } from '../../protocol/errors.ts'
import type { SigningKey } from '../../protocol/keys.ts'
import { LIMITS, RELAY_METHODS } from '../../protocol/relay-methods.ts'
import { createCaller } from './calls.ts'
import { createConnection } from './connection.ts'
import { createPublishing, type Publish } from './publishing.ts'
import { createReceiving, type RelayMessage } from './receiving.ts'
import { createTopics } from './topics.ts'

export type { RelayMessage } from './receiving.ts'

export interface RelayClientDeps {
  clock: Clock
  log: Log
  meter: Meter
  /** The platform's own when absent. */
  randomBytes?: (length: number) => Uint8Array
}

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
  onMessage?: (message: RelayMessage) => void | Promise<void>
  /**
   * Messages with the same name here are handled in order, one after the other; one without a name at once. The topic
   * when absent. Who waits in `onMessage` for an answer on the same topic must put the answers elsewhere.
   */
  laneOf?: (message: RelayMessage) => string | undefined
  /** The relay keeps subscriptions when the connection ends, so they are not made again. Default false. */
  remembers?: boolean
  /** Messages that may wait for the relay's acknowledgement. Default 10,000. */
  maxQueued?: number
  /** Messages that are handled at the same time. Default 64. */
  concurrency?: number
}

export interface RelayClient extends AsyncDisposable {
  /** did:key of the client. */
  readonly clientId: string
  readonly connected: boolean
  /** Resolves when there is a connection; rejects when there will be none. */
  ready(): Promise<void>
  /** Rejects with `too_large`, `unavailable` (too many wait; the TTL is over; closed), or what the relay said. */
  publish(publish: Publish): Promise<void>
  /** `exclusive`: on a relay that trusts this client, others may then only publish there. */
  subscribe(topics: readonly string[], how?: { exclusive?: boolean }): Promise<void>
  unsubscribe(topics: readonly string[]): Promise<void>
  /** Takes what waits on the topics. The relay counts it as delivered when it answers. */
  fetch(topics: readonly string[]): Promise<RelayMessage[]>
  onConnectionChange(listener: (connected: boolean) => void): Disposable
}

const pushed = RELAY_METHODS.irn_subscription.params
const fetched = RELAY_METHODS.irn_batchFetchMessages.result

/** How long closing waits for handlers that are at work. */
const LAST_HANDLERS = 5_000

export const createRelayClient = (deps: RelayClientDeps, options: RelayClientOptions): RelayClient => {
  const { clock, log, meter, randomBytes = crypto.randomBytes } = deps
  const { key, signal, onMessage, remembers = false, maxQueued = 10_000, concurrency = 64 } = options
  const { laneOf = ({ topic }) => topic } = options
  let failure: ProtocolError | undefined
  let wasConnected = false
  let closing: Promise<void> | undefined
  const listeners = new Set<(connected: boolean) => void>()
  const waiting: { resolve: () => void; reject: (error: ProtocolError) => void }[] = []

  const tell = (connected: boolean) => {
    if (connected === wasConnected) return
    wasConnected = connected
    for (const listener of listeners) listener(connected)
  }

  const connection = createConnection(
    { clock, log, meter, randomBytes },
    {
      url: options.url,
      key,
      ...(options.projectId !== undefined && { projectId: options.projectId }),
      ...(options.share !== undefined && { share: options.share }),
    },
    {
      opened() {
        topics.opened()
        publishing.opened()
        for (const { resolve } of waiting.splice(0)) resolve()
        tell(true)
      },
      lost() {
        publishing.lost()
        receiving.lost()
        tell(false)
      },
      asked(method, params, answer) {
        if (method !== 'irn_subscription') return
        receiving.received(pushed.parse(params).data, () => answer(true))
      },
      ended(error) {
        failure = error
        topics.ended(error)
        publishing.ended(error)
        for (const { reject } of waiting.splice(0)) reject(error)
      },
    },
  )
  const receiving = createReceiving({ log, meter }, { onMessage, laneOf, concurrency })
  const publishing = createPublishing({ clock, connection }, { maxQueued })
  const topics = createTopics({ clock, connection, log }, { clientId: key.did, remembers })

  const fetchCall = createCaller<string>(connection.request, {
    batch: { method: 'irn_batchFetchMessages', params: (batch) => ({ topics: batch }) },
    single: { method: 'irn_fetchMessages', params: (topic) => ({ topic }) },
  })

  /** One page of each topic. A batch is answered once for all its topics, so the same answer is seen many times. */
  const fetchPage = (batch: readonly string[]): Promise<{ messages: RelayMessage[]; hasMore: boolean }> =>
    new Promise((resolve, reject) => {
      const answers = new Set<unknown>()
      let cutOff = false
      let refused: ProtocolError | undefined
      fetchCall(
        batch,
        (_topic, outcome) => {
          if (outcome.kind === 'answered') answers.add(outcome.result)
          else if (outcome.kind === 'refused') refused = outcome.error
          else cutOff = true
        },
        () => {
          if (refused ?? failure) return reject(refused ?? failure)
          try {
            const pages = [...answers].map((answer) => fetched.parse(answer))
            const messages = pages.flatMap((page) => page.messages)
            // What was answered counts as delivered, so a partial answer is handed on and the rest asked for again.
            resolve({
              messages,
              hasMore: cutOff || pages.some((page) => page.hasMore && page.messages.length > 0),
            })
          } catch (cause) {
            reject(
              new ProtocolError('bad_request', 'the relay answered a fetch with something else', { cause }),
            )
          }
        },
      )
    })

  const ready = (): Promise<void> => {
    if (failure) return Promise.reject(failure)
    if (connection.connected) return Promise.resolve()
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  }

  const close = async (): Promise<void> => {
    signal?.removeEventListener('abort', onAbort)
    await new Promise<void>((resolve) => {
      const bound = clock.after(LAST_HANDLERS, resolve)
      receiving.finish().then(() => {
        bound[Symbol.dispose]()
        resolve()
      })
    })
    await connection.close()
  }
  const dispose = (): Promise<void> => {
    closing ??= close()
    return closing
  }
  const onAbort = () => void dispose()
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  return {
    clientId: key.did,
    get connected() {
      return connection.connected
    },
    ready,
    publish: publishing.publish,
    subscribe: topics.subscribe,
    unsubscribe: topics.unsubscribe,
    async fetch(wanted) {
      const messages: RelayMessage[] = []
      for (let at = 0; at < wanted.length; at += LIMITS.batch) {
        const batch = wanted.slice(at, at + LIMITS.batch)
        for (;;) {
          await ready()
          const page = await fetchPage(batch)
          messages.push(...page.messages)
          if (!page.hasMore) break
        }
      }
      return messages
    },
    onConnectionChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.asyncDispose]: dispose,
  }
}
