import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { fetched, LIMITS } from '../../protocol/relay/delivered.ts'
import { messageIdOf } from '../../protocol/topic.ts'
import type { HttpConnection } from './http-connection.ts'
import type { RelayMessage } from './receiving.ts'

/** Before topics are fetched again on which a message could not be handled. */
const UNHANDLED_PAUSE_MS = 30_000
/** Before topics are fetched again that could not be fetched. */
const FETCH_RETRY_MS = 500
/** Receipts that wait for the relay; what is above comes again, and is known then. */
const MAX_RECEIPTS = 50_000

interface HttpReceivingDeps {
  connection: Pick<HttpConnection, 'connected' | 'call' | 'answered'>
  clock: Clock
  log: Log
  meter: Meter
}

interface HttpReceivingOptions {
  onMessage: (message: RelayMessage) => Promise<void>
  laneOf: (message: RelayMessage) => string | undefined
  signal: AbortSignal
  closed: () => ProtocolError
}

/** Messages that come as events or are fetched: handled once each, in order within a lane, then acknowledged. */
export const createHttpReceiving = (deps: HttpReceivingDeps, options: HttpReceivingOptions) => {
  const { onMessage, laneOf, signal, closed } = options
  const receipts = createReceipts(deps)
  const unfinished = new Map<string, Promise<void>>()
  const lanes = new Map<string, Promise<void>>()

  const handle = async (key: string, message: RelayMessage): Promise<void> => {
    try {
      await onMessage(message)
    } catch (error) {
      deps.meter.count('relay_client_unhandled_total')
      throw error
    }
    receipts.add(key, { topic: message.topic, messageId: messageIdOf(message.message) })
    void receipts.send()
  }

  const arrived = (message: RelayMessage): Promise<void> => {
    if (signal.aborted) return Promise.reject(closed())
    const key = message.topic + messageIdOf(message.message)
    const known = unfinished.get(key)
    if (known) return known
    const lane = laneOf(message) ?? key
    const handling = (lanes.get(lane) ?? Promise.resolve()).then(() => handle(key, message))
    const finished = handling
      .catch(() => {})
      .then(() => {
        unfinished.delete(key)
        if (lanes.get(lane) === finished) lanes.delete(lane)
      })
    unfinished.set(key, handling)
    lanes.set(lane, finished)
    return handling
  }

  const waiting = createWaitingTopics(deps, { signal, arrived, receipts })

  return {
    arrived,
    opened() {
      void receipts.send()
      void waiting.take()
    },
    /** What waits on the topics is taken. */
    subscribed(topics: readonly string[]) {
      waiting.add(topics)
      void waiting.take()
    },
    /** Resolves when all that arrived is handled. */
    idle: () => Promise.allSettled([...lanes.values()]),
  }
}

/** What the relay is to be told as received. */
const createReceipts = ({ connection, log }: Pick<HttpReceivingDeps, 'connection' | 'log'>) => {
  const waiting = new Map<string, { topic: string; messageId: string }>()
  let isSending = false
  return {
    add(key: string, receipt: { topic: string; messageId: string }): void {
      if (waiting.size < MAX_RECEIPTS) waiting.set(key, receipt)
    },
    get isSending() {
      return isSending
    },
    /** Sends receipts as long as there are any. */
    async send(): Promise<void> {
      if (isSending) return
      isSending = true
      // What else is handled in this turn goes along.
      await undefined
      while (connection.connected && waiting.size > 0) {
        const batch = [...waiting].slice(0, LIMITS.batch)
        try {
          await connection.call('irn_batchReceive', { receipts: batch.map(([, receipt]) => receipt) })
        } catch (err) {
          if (!connection.connected) break
          log.warn({ err }, 'The relay does not take receipts; the messages may come again')
        }
        for (const [key] of batch) waiting.delete(key)
      }
      isSending = false
    },
  }
}

/** Topics on which messages may wait that came while there was no watch. */
const createWaitingTopics = (
  { connection, clock, log }: Omit<HttpReceivingDeps, 'meter'>,
  {
    signal,
    arrived,
    receipts,
  }: {
    signal: AbortSignal
    arrived: (message: RelayMessage) => Promise<void>
    receipts: ReturnType<typeof createReceipts>
  },
) => {
  const topics = new Set<string>()
  let isTaking = false

  const takePages = async (batch: readonly string[]): Promise<void> => {
    for (;;) {
      const answer = await connection.call('irn_batchFetchMessages', { topics: batch, keep: true })
      const { messages, hasMore } = fetched.parse(answer)
      const outcomes = await Promise.allSettled(messages.map((message) => arrived(message)))
      if (outcomes.some(({ status }) => status === 'rejected')) {
        await pause(clock, UNHANDLED_PAUSE_MS, signal)
        throw new ProtocolError('unavailable', 'a message was not handled')
      }
      if (!hasMore || messages.length === 0) return
      // The next page begins behind what is received.
      await receipts.send()
      while (receipts.isSending) await connection.answered()
    }
  }

  return {
    add(more: readonly string[]): void {
      for (const topic of more) topics.add(topic.toLowerCase())
    },
    async take(): Promise<void> {
      if (isTaking) return
      isTaking = true
      while (connection.connected && topics.size > 0 && !signal.aborted) {
        const batch = [...topics].slice(0, LIMITS.batch)
        for (const topic of batch) topics.delete(topic)
        try {
          await takePages(batch)
        } catch (err) {
          for (const topic of batch) topics.add(topic)
          if (connection.connected)
            log.warn({ err }, 'What waits at the relay could not be taken; trying again')
          await pause(clock, FETCH_RETRY_MS, signal)
        }
      }
      isTaking = false
    },
  }
}
