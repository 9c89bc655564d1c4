/**
 * A client of the relay without a connection: it publishes and subscribes by `POST /rpc`, and messages come to it as
 * watch events at a webhook, whoever serves that; `arrived` takes them.
 *
 * What it guarantees:
 * - A message is marked received at the relay only after `onMessage` resolved. `arrived` resolves then, too, and rejects
 *   when it did not. Two arrivals of one message at the same time are handled once. In order within a lane.
 * - It has a watch at the relay, which it renews; and on each topic that it subscribes to it takes what waits there
 *   already, once it is subscribed: what came while nobody was watching.
 * - `publish` is as in `createRelayClient`: in the order of the calls, again after a failure, unchanged.
 * - A relay that does not answer is asked again, after 0.5 s, doubling up to 30 s; everything waits meanwhile.
 *
 * A relay other than ours ignores `keep` and counts what it hands out at a fetch as received.
 */
import '../../platform/runtime/dispose-symbols.ts'
import type { FetchDeps } from '../../platform/net/fetch-json.ts'
import { pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { LIMITS, RELAY_METHODS } from '../../protocol/relay-methods.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { Connection } from './connection.ts'
import { createPublishing, type Publish } from './publishing.ts'
import type { RelayMessage } from './receiving.ts'
import type { RelayRpc } from './rpc.ts'
import { createTopics } from './topics.ts'
import { createWatchKeeper, type WatchWish } from './webhook-registration.ts'

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

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 30_000
/** Before topics are looked at again on which something could not be handled, ms. */
const LOOK_AGAIN = 30_000
/** How long closing waits for what is being handled. */
const LAST_HANDLERS = 5_000
/** … and for the answers of the relay. */
const LAST_ANSWERS = 1_000
/** Receipts that wait for the relay; what is above comes again, and is known then. */
const MOST_RECEIPTS = 50_000

const fetched = RELAY_METHODS.irn_batchFetchMessages.result
/** The relay, or the way to it, is at fault; it may be better later. */
const PASSING: ReadonlySet<string> = new Set([
  'unavailable',
  'internal',
  'rate_limited',
  'unauthenticated',
  'forbidden',
])

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
  const { clientId, onMessage, remembers = false, maxQueued = 10_000 } = options
  const { laneOf = ({ topic }) => topic } = options
  const ending = new AbortController()
  /** Cuts off what the relay has not answered at the end. */
  const cut = new AbortController()
  const listeners = new Set<(connected: boolean) => void>()
  const waiting: { resolve: () => void; reject: (error: ProtocolError) => void }[] = []
  const closed = () => new ProtocolError('unavailable', 'the relay client was closed')
  let connected = false
  let trying: Promise<void> | undefined

  // ── the way to the relay ────────────────────────────────────────────────────────────────────────────────────────

  const lost = (err: unknown) => {
    if (!connected) return
    connected = false
    log.warn({ err }, 'The relay does not answer; trying again')
    for (const listener of listeners) listener(false)
    trying = connect()
  }

  /** One request after the other, so that what is published keeps its order. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = (method: string, params: unknown): Promise<unknown> => {
    const answer = turn.then(async () => {
      if (!connected) throw closed()
      try {
        return await rpc.call(method, params, cut.signal)
      } catch (error) {
        if (!(error instanceof ProtocolError) || PASSING.has(error.code)) {
          lost(error)
          throw new ProtocolError('unavailable', undefined, { cause: error })
        }
        throw error
      }
    })
    turn = answer.catch(() => {})
    return answer
  }

  const connection: Pick<Connection, 'connected' | 'request'> = {
    get connected() {
      return connected
    },
    request(method, params, settle) {
      inTurn(method, params).then(
        (result) => settle({ kind: 'answered', result }),
        (error: ProtocolError) => {
          const isLost = error.code === 'unavailable'
          const unknownMethod = error.code === 'unknown_method'
          settle(isLost ? { kind: 'lost' } : { kind: 'refused', error, unknownMethod })
        },
      )
    },
  }
  const publishing = createPublishing({ clock, connection }, { maxQueued })
  const topics = createTopics({ clock, connection, log }, { clientId, remembers })
  const keeper = createWatchKeeper({ rpc, clock, log }, options.watch)

  const connect = async (): Promise<void> => {
    for (let wait = FIRST_PAUSE; !ending.signal.aborted; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
      try {
        await keeper.register()
        break
      } catch (err) {
        log.warn({ err }, 'The relay does not take the watch; trying again')
        await pause(clock, wait, ending.signal)
      }
    }
    if (ending.signal.aborted) return
    connected = true
    topics.opened()
    publishing.opened()
    for (const { resolve } of waiting.splice(0)) resolve()
    for (const listener of listeners) listener(true)
    void acknowledge()
    void takeWaiting()
  }

  // ── messages in ─────────────────────────────────────────────────────────────────────────────────────────────────

  const inHand = new Map<string, Promise<void>>()
  const lanes = new Map<string, Promise<void>>()
  const receipts = new Map<string, { topic: string; messageId: string }>()
  let isAcknowledging = false

  const handle = async (key: string, message: RelayMessage): Promise<void> => {
    try {
      await onMessage(message)
    } catch (error) {
      meter.count('relay_client_unhandled_total')
      throw error
    }
    if (receipts.size < MOST_RECEIPTS)
      receipts.set(key, { topic: message.topic, messageId: messageIdOf(message.message) })
    void acknowledge()
  }

  const arrived = (message: RelayMessage): Promise<void> => {
    if (ending.signal.aborted) return Promise.reject(closed())
    const key = message.topic + messageIdOf(message.message)
    const known = inHand.get(key)
    if (known) return known
    const lane = laneOf(message) ?? key
    const handling = (lanes.get(lane) ?? Promise.resolve()).then(() => handle(key, message))
    const quiet = handling
      .catch(() => {})
      .then(() => {
        inHand.delete(key)
        if (lanes.get(lane) === quiet) lanes.delete(lane)
      })
    inHand.set(key, handling)
    lanes.set(lane, quiet)
    return handling
  }

  /** Tells the relay what was received, as long as there is something to tell. */
  const acknowledge = async (): Promise<void> => {
    if (isAcknowledging) return
    isAcknowledging = true
    // What else is handled in this moment goes along.
    await undefined
    while (connected && receipts.size > 0) {
      const batch = [...receipts].slice(0, LIMITS.batch)
      try {
        await inTurn('irn_batchReceive', { receipts: batch.map(([, receipt]) => receipt) })
      } catch (err) {
        if (!connected) break
        log.warn({ err }, 'The relay does not take receipts; the messages may come again')
      }
      for (const [key] of batch) receipts.delete(key)
    }
    isAcknowledging = false
  }

  /** Topics on which something may wait. */
  const unseen = new Set<string>()
  let isTaking = false

  const takePages = async (batch: readonly string[]): Promise<void> => {
    for (;;) {
      const answer = await inTurn('irn_batchFetchMessages', { topics: batch, keep: true })
      const { messages, hasMore } = fetched.parse(answer)
      const outcomes = await Promise.allSettled(messages.map((message) => arrived(message)))
      if (outcomes.some(({ status }) => status === 'rejected')) {
        await pause(clock, LOOK_AGAIN, ending.signal)
        throw new ProtocolError('unavailable', 'a message was not handled')
      }
      if (!hasMore || messages.length === 0) return
      // The next page begins behind what is received.
      await acknowledge()
      while (isAcknowledging) await turn
    }
  }

  const takeWaiting = async (): Promise<void> => {
    if (isTaking) return
    isTaking = true
    while (connected && unseen.size > 0 && !ending.signal.aborted) {
      const batch = [...unseen].slice(0, LIMITS.batch)
      for (const topic of batch) unseen.delete(topic)
      try {
        await takePages(batch)
      } catch (err) {
        for (const topic of batch) unseen.add(topic)
        if (connected) log.warn({ err }, 'What waits at the relay could not be taken; trying again')
        await pause(clock, FIRST_PAUSE, ending.signal)
      }
    }
    isTaking = false
  }

  trying = connect()

  return {
    get connected() {
      return connected
    },
    ready() {
      if (ending.signal.aborted) return Promise.reject(closed())
      if (connected) return Promise.resolve()
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    publish: publishing.publish,
    async subscribe(wanted, how) {
      await topics.subscribe(wanted, how)
      for (const topic of wanted) unseen.add(topic.toLowerCase())
      void takeWaiting()
    },
    unsubscribe: topics.unsubscribe,
    onConnectionChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    arrived,
    async [Symbol.asyncDispose]() {
      ending.abort()
      keeper[Symbol.dispose]()
      const done = new AbortController()
      const all = Promise.allSettled([...lanes.values()]).then(() => done.abort())
      await Promise.race([all, pause(clock, LAST_HANDLERS, done.signal)])
      const said = new AbortController()
      const answered = turn.then(() => said.abort())
      await Promise.race([answered, pause(clock, LAST_ANSWERS, said.signal)])
      connected = false
      cut.abort()
      publishing.ended(closed())
      topics.ended(closed())
      for (const { reject } of waiting.splice(0)) reject(closed())
      await trying
      await turn
    },
  }
}
