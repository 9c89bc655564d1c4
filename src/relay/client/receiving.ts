/**
 * What the relay pushed and the user of the client has not finished with. Messages of one lane (a topic, unless said
 * otherwise) are handled in order, one after the other; different lanes at the same time, up to a bound.
 *
 * Acknowledged is what was handled and saved, nothing else. A message that comes again while it is being handled is not handled
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

interface ReceivedMessage {
  key: string
  message: RelayMessage
  /** Through the connection that pushed it last. */
  acknowledge: () => void
}

/** What the user of the client does with a message. */
interface Handler {
  onMessage: ((message: RelayMessage) => void | Promise<void>) | undefined
  /** Makes durable what was handled; the lane goes on meanwhile. */
  save: (() => Promise<void>) | undefined
}

/** Handled messages that are remembered, in case they come again: of this connection, and of earlier ones. */
const MAX_REMEMBERED = 10_000
/** More than a relay of ours ever leaves unacknowledged; what is above comes again later. */
const MAX_UNFINISHED = 10_000

export const createReceiving = (
  { log, meter }: { log: Log; meter: Meter },
  {
    onMessage,
    save,
    laneOf,
    concurrency,
  }: Handler & {
    /** Messages of one lane are handled in order; those of none at once. */
    laneOf: (message: RelayMessage) => string | undefined
    concurrency: number
  },
) => {
  const unfinished = new Map<string, ReceivedMessage>()
  const handled = createHandledMemory()
  const finishWaiters: (() => void)[] = []
  let isOver = false

  const finished = ({ key }: ReceivedMessage): void => {
    unfinished.delete(key)
    if (unfinished.size === 0) for (const resolve of finishWaiters.splice(0)) resolve()
  }
  const handle = createHandle({ log, meter }, { onMessage, save, acknowledged: handled.add, finished })
  const lanes = createLanes(concurrency, handle)

  return {
    received(message: RelayMessage, acknowledge: () => void, id = messageIdOf(message.message)) {
      const key = message.topic + id
      if (handled.has(key)) return acknowledge()
      const known = unfinished.get(key)
      if (known) {
        known.acknowledge = acknowledge
        return
      }
      if (isOver || unfinished.size >= MAX_UNFINISHED) return meter.count('relay_client_overflow_total')
      const received = { key, message, acknowledge }
      unfinished.set(key, received)
      lanes.add(laneOf(message) ?? key, received)
    },
    /** The connection has ended. */
    lost: handled.connectionLost,
    /** Takes nothing more and drops what is not begun (it is unacknowledged). Resolves when the rest is finished. */
    finish(): Promise<void> {
      isOver = true
      for (const { key } of lanes.clear()) unfinished.delete(key)
      if (unfinished.size === 0) return Promise.resolve()
      return new Promise((resolve) => finishWaiters.push(resolve))
    },
  }
}

/** Resolves when the next message of the lane may be handled; `finished` may be later, when this one is saved. */
const createHandle = (
  { log, meter }: { log: Log; meter: Meter },
  {
    onMessage,
    save,
    acknowledged,
    finished,
  }: Handler & {
    acknowledged: (key: string) => void
    finished: (received: ReceivedMessage) => void
  },
) => {
  const acknowledge = (received: ReceivedMessage): void => {
    acknowledged(received.key)
    received.acknowledge()
  }
  const unhandled = ({ message: { tag } }: ReceivedMessage, err: unknown): void => {
    meter.count('relay_client_unhandled_total')
    log.warn({ err, tag }, 'A message was not handled; the relay will deliver it again')
  }
  return async (received: ReceivedMessage): Promise<void> => {
    try {
      await onMessage?.(received.message)
      if (!save) acknowledge(received)
    } catch (error) {
      unhandled(received, error)
      return finished(received)
    }
    if (!save) return finished(received)
    void save()
      .then(() => acknowledge(received))
      .catch((error: unknown) => unhandled(received, error))
      .then(() => finished(received))
  }
}

/** Remembers which messages were handled. */
const createHandledMemory = () => {
  const current = new Set<string>()
  /**
   * Handled on connections that ended, so that the acknowledgement may not have arrived. Apart from the others, because
   * they come again in the order of their topics, and that may be after thousands of new messages.
   */
  const uncertain = new Set<string>()
  const remember = (keys: Set<string>, key: string) => {
    keys.add(key)
    const [oldest] = keys
    if (keys.size > MAX_REMEMBERED && oldest !== undefined) keys.delete(oldest)
  }
  return {
    add: (key: string) => remember(current, key),
    has(key: string): boolean {
      if (uncertain.delete(key)) remember(current, key)
      return current.has(key)
    },
    connectionLost() {
      for (const key of current) remember(uncertain, key)
      current.clear()
    },
  }
}

/** Handles the items of one lane one after the other, and so many lanes at a time. */
const createLanes = <T>(concurrency: number, handle: (item: T) => Promise<void>) => {
  const lanes = new Map<string, T[]>()
  /** Lanes that have items and of which none is being handled. */
  const idle: string[] = []
  let active = 0

  const work = () => {
    while (active < concurrency && idle.length > 0) {
      const name = idle.shift() ?? ''
      const lane = lanes.get(name)
      const item = lane?.shift()
      if (!lane || !item) continue
      active++
      handle(item).then(() => {
        active--
        if (lane.length > 0) idle.push(name)
        else lanes.delete(name)
        work()
      })
    }
  }

  return {
    add(name: string, item: T): void {
      const lane = lanes.get(name)
      if (lane) lane.push(item)
      else {
        lanes.set(name, [item])
        idle.push(name)
      }
      work()
    },
    /** Takes out what is not begun. */
    clear: (): T[] => [...lanes.values()].flatMap((lane) => lane.splice(0)),
  }
}
