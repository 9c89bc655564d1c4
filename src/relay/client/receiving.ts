/**
 * What the relay pushed and the user of the client has not finished with. Messages of one lane (a topic, unless said
 * otherwise) are handed over in order, one after the other; different lanes at the same time, up to a bound.
 *
 * Acknowledged is what was handled, nothing else. A message that comes again while it is being handled is not handled
 * twice, and one that was handled but whose acknowledgement was lost with its connection is acknowledged at once.
 */
import type { Log, Meter } from '../../platform/telemetry.ts'
import { messageIdOf } from '../../protocol/topic.ts'

/** A message as the relay delivers it. */
export interface RelayMessage {
  topic: string
  message: string
  /** When the relay took it, unix ms. */
  publishedAt: number
  tag: number
  attestation: string
}

interface Job {
  key: string
  message: RelayMessage
  /** Through the connection that pushed it last. */
  acknowledge: () => void
}

/** How many handled messages are remembered, in case they come again: of this connection, and of earlier ones. */
const REMEMBERED = 10_000
/** Messages in hand at most. More than a relay of ours ever leaves unacknowledged; what is above comes again later. */
const MOST_IN_HAND = 10_000

export const createReceiving = (
  { log, meter }: { log: Log; meter: Meter },
  {
    onMessage,
    laneOf,
    concurrency,
  }: {
    onMessage: ((message: RelayMessage) => void | Promise<void>) | undefined
    /** Messages of one lane are handled in order; those of none at once. */
    laneOf: (message: RelayMessage) => string | undefined
    concurrency: number
  },
) => {
  const inHand = new Map<string, Job>()
  const lanes = new Map<string, Job[]>()
  /** Lanes that have something to hand over and that nobody works on. */
  const idle: string[] = []
  const handled = new Set<string>()
  /**
   * Handled on connections that ended, so that the acknowledgement may not have arrived. Apart from the others, because
   * they come again in the order of their topics, and that may be after thousands of new messages.
   */
  const uncertain = new Set<string>()
  let active = 0
  let over = false
  const finished: (() => void)[] = []

  const remember = (keys: Set<string>, key: string) => {
    keys.add(key)
    const [oldest] = keys
    if (keys.size > REMEMBERED && oldest !== undefined) keys.delete(oldest)
  }

  const handle = async (job: Job): Promise<void> => {
    try {
      await onMessage?.(job.message)
      remember(handled, job.key)
      job.acknowledge()
    } catch (error) {
      meter.count('relay_client_unhandled_total')
      log.warn(
        { err: error, tag: job.message.tag },
        'A message was not handled; the relay will deliver it again',
      )
    }
    inHand.delete(job.key)
  }

  const work = () => {
    while (active < concurrency && idle.length > 0) {
      const name = idle.shift() ?? ''
      const lane = lanes.get(name)
      const job = lane?.shift()
      if (!lane || !job) continue
      active++
      handle(job).then(() => {
        active--
        if (lane.length > 0) idle.push(name)
        else lanes.delete(name)
        work()
        if (inHand.size === 0) for (const resolve of finished.splice(0)) resolve()
      })
    }
  }

  return {
    received(message: RelayMessage, acknowledge: () => void) {
      const key = message.topic + messageIdOf(message.message)
      if (uncertain.delete(key)) remember(handled, key)
      if (handled.has(key)) return acknowledge()
      const job = inHand.get(key)
      if (job) {
        job.acknowledge = acknowledge
        return
      }
      if (over || inHand.size >= MOST_IN_HAND) return meter.count('relay_client_overflow_total')
      const name = laneOf(message) ?? key
      const added = { key, message, acknowledge }
      inHand.set(key, added)
      const lane = lanes.get(name)
      if (lane) lane.push(added)
      else {
        lanes.set(name, [added])
        idle.push(name)
      }
      work()
    },
    /** The connection has ended. */
    lost() {
      for (const key of handled) remember(uncertain, key)
      handled.clear()
    },
    /** Takes nothing more and drops what is not begun (it is unacknowledged). Resolves when the rest is finished. */
    finish(): Promise<void> {
      over = true
      for (const lane of lanes.values()) for (const { key } of lane.splice(0)) inHand.delete(key)
      if (inHand.size === 0) return Promise.resolve()
      return new Promise((resolve) => finished.push(resolve))
    },
  }
}
