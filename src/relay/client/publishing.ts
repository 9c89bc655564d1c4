/**
 * What the relay client still has to publish. A message stays here, in its order, until the relay has acknowledged it;
 * after a reconnect the unacknowledged ones are sent again as they were, and the relay drops those it already has.
 */
import { soon } from '#socket'
import { invariant } from '../../platform/invariant.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/relay/delivered.ts'
import { createCaller } from './calls.ts'
import type { Connection } from './connection.ts'

/** A message to publish. */
export interface Publish {
  /** 64 hex characters. */
  topic: string
  /** An envelope, base64. */
  message: string
  tag: number
  /** Seconds for which the relay keeps it. */
  ttl: number
  prompt?: boolean
  attestation?: string
}

interface QueuedPublish {
  publish: Publish
  /** Order of the calls. */
  seq: number
  /** When its TTL is over, counted from the call. */
  expiresAt: number
  resolve: () => void
  reject: (error: ProtocolError) => void
}

export const DEFAULT_MAX_QUEUED = 10_000
/** Well below the 1 MiB that a relay takes, because topics, tags and quotes come on top. */
const MAX_BATCH_BYTES = 768 * 1024
const PUBLISH_OVERHEAD_BYTES = 256
/** base64 and base64url: one byte a character on the wire, and nothing that JSON would escape. */
const ENVELOPE = /^[\w+/=-]*$/
/** Batches under way at once: enough to fill a long line, few enough that one that is refused holds up little. */
const MAX_BATCHES = 4
/** Characters of messages that may wait, whatever their number. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024

export const createPublishing = (
  { clock, connection }: { clock: Clock; connection: Pick<Connection, 'connected' | 'request'> },
  { maxQueued }: { maxQueued: number },
) => {
  const queue = createPublishQueue(clock, maxQueued)
  let isScheduled = false
  let batches = 0
  let over: ProtocolError | undefined

  const call = createCaller<QueuedPublish>((...request) => connection.request(...request), {
    batch: { method: 'irn_batchPublish', params: (all) => ({ messages: all.map((one) => one.publish) }) },
    single: { method: 'irn_publish', params: (one) => one.publish },
  })

  const flush = () => {
    isScheduled = false
    if (!connection.connected) return
    queue.expire()
    queue.sort()
    while (queue.size > 0 && batches < MAX_BATCHES) {
      batches++
      call(
        queue.takeBatch(),
        (one, outcome) => {
          if (outcome.kind === 'answered') queue.complete(one)
          else if (outcome.kind === 'refused') queue.complete(one, outcome.error)
          else if (over) queue.complete(one, over)
          else queue.putBack(one)
        },
        () => {
          batches--
          schedule()
        },
      )
    }
  }

  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    soon(flush)
  }

  return {
    publish(publish: Publish): Promise<void> {
      const refusal = over ?? refusalOf(publish) ?? queue.refusalOf(publish)
      if (refusal) return Promise.reject(refusal)
      return new Promise((resolve, reject) => {
        queue.add(publish, resolve, reject)
        schedule()
      })
    },
    opened: schedule,
    lost: queue.expire,
    ended(error: ProtocolError) {
      over = error
      queue.failAll(error)
    },
  }
}

const refusalOf = ({ message, attestation }: Publish): ProtocolError | undefined => {
  if (!ENVELOPE.test(message)) return new ProtocolError('bad_params', 'not an envelope')
  if (message.length + (attestation?.length ?? 0) <= LIMITS.messageBytes) return undefined
  return new ProtocolError('too_large', `at most ${LIMITS.messageBytes} bytes`)
}

/** The messages that wait, in the order of the calls, and how many are not acknowledged. */
const createPublishQueue = (clock: Clock, maxQueued: number) => {
  let waiting: QueuedPublish[] = []
  let isSorted = true
  let nextSeq = 0
  /** Waiting and under way. */
  let unacknowledged = 0
  let unacknowledgedBytes = 0

  const complete = (one: QueuedPublish, error?: ProtocolError) => {
    unacknowledged--
    unacknowledgedBytes -= one.publish.message.length
    invariant(unacknowledged >= 0 && unacknowledgedBytes >= 0, 'No more publishes end than began')
    if (error) one.reject(error)
    else one.resolve()
  }

  return {
    complete,
    get size() {
      return waiting.length
    },
    refusalOf({ message }: Publish): ProtocolError | undefined {
      const hasRoom = unacknowledged < maxQueued && unacknowledgedBytes + message.length <= MAX_QUEUED_BYTES
      return hasRoom ? undefined : new ProtocolError('unavailable', 'too many messages wait for the relay')
    },
    add(publish: Publish, resolve: () => void, reject: (error: ProtocolError) => void): void {
      unacknowledged++
      unacknowledgedBytes += publish.message.length
      const expiresAt = clock.now() + publish.ttl * 1000
      waiting.push({ publish, seq: nextSeq++, expiresAt, resolve, reject })
    },
    /** The connection ended before the answer. */
    putBack(one: QueuedPublish): void {
      waiting.push(one)
      isSorted = false
    },
    sort(): void {
      if (!isSorted) waiting.sort((a, b) => a.seq - b.seq)
      isSorted = true
    },
    takeBatch(): QueuedPublish[] {
      let bytes = 0
      let count = 0
      for (const { publish } of waiting) {
        bytes += publish.message.length + (publish.attestation?.length ?? 0) + PUBLISH_OVERHEAD_BYTES
        if (count === LIMITS.batch || (count > 0 && bytes > MAX_BATCH_BYTES)) break
        count++
      }
      return waiting.splice(0, count)
    },
    /** Fails what has expired: it would reach no client. */
    expire(): void {
      const now = clock.now()
      const expired = waiting.filter(({ expiresAt }) => expiresAt <= now)
      if (expired.length === 0) return
      waiting = waiting.filter(({ expiresAt }) => expiresAt > now)
      const reason = 'the relay could not be reached for as long as the message lives'
      for (const one of expired) complete(one, new ProtocolError('unavailable', reason))
    },
    failAll(error: ProtocolError): void {
      for (const one of waiting.splice(0)) complete(one, error)
    },
  }
}
