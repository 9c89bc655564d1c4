/**
 * What the relay client still has to publish. A message stays here, in its order, until the relay has acknowledged it;
 * after a reconnect the unacknowledged ones are sent again as they were, and the relay drops those it already has.
 */
import { soon } from '#socket'
import type { Clock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/relay-methods.ts'
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

interface Entry {
  publish: Publish
  /** Order of the calls. */
  seq: number
  /** When its TTL is over, counted from the call. */
  deadline: number
  resolve: () => void
  reject: (error: ProtocolError) => void
}

/** Well below the 1 MiB that a relay takes, because topics, tags and quotes come on top. */
const BATCH_BYTES = 768 * 1024
const ENTRY_OVERHEAD = 256
/** base64 and base64url: one byte a character on the wire, and nothing that JSON would escape. */
const ENVELOPE = /^[\w+/=-]*$/
/** Batches under way at once: enough to fill a long line, few enough that one that is refused holds up little. */
const WINDOW = 4
/** Characters of messages that may wait, whatever their number. */
const MOST_QUEUED_BYTES = 64 * 1024 * 1024

export const createPublishing = (
  { clock, connection }: { clock: Clock; connection: Pick<Connection, 'connected' | 'request'> },
  { maxQueued }: { maxQueued: number },
) => {
  let queue: Entry[] = []
  let disordered = false
  let scheduled = false
  let underWay = 0
  let seq = 0
  /** Everything that is not settled: queued and under way. */
  let unsettled = 0
  let unsettledBytes = 0
  let over: ProtocolError | undefined

  const call = createCaller<Entry>((...request) => connection.request(...request), {
    batch: { method: 'irn_batchPublish', params: (entries) => ({ messages: entries.map((e) => e.publish) }) },
    single: { method: 'irn_publish', params: (entry) => entry.publish },
  })

  const settled = (entry: Entry) => {
    unsettled--
    unsettledBytes -= entry.publish.message.length
  }

  const fail = (entry: Entry, error: ProtocolError) => {
    settled(entry)
    entry.reject(error)
  }

  /** What nobody could receive any more is not sent. */
  const expire = () => {
    const now = clock.now()
    if (!queue.some((entry) => entry.deadline <= now)) return
    const late = queue.filter((entry) => entry.deadline <= now)
    queue = queue.filter((entry) => entry.deadline > now)
    for (const entry of late) {
      fail(
        entry,
        new ProtocolError('unavailable', 'the relay could not be reached for as long as the message lives'),
      )
    }
  }

  const nextBatch = (): Entry[] => {
    let bytes = 0
    let count = 0
    for (const { publish } of queue) {
      bytes += publish.message.length + (publish.attestation?.length ?? 0) + ENTRY_OVERHEAD
      if (count === LIMITS.batch || (count > 0 && bytes > BATCH_BYTES)) break
      count++
    }
    return queue.splice(0, count)
  }

  const flush = () => {
    scheduled = false
    if (!connection.connected) return
    expire()
    if (disordered) {
      queue.sort((a, b) => a.seq - b.seq)
      disordered = false
    }
    while (queue.length > 0 && underWay < WINDOW) {
      underWay++
      call(
        nextBatch(),
        (entry, outcome) => {
          if (outcome.kind === 'lost' && over) {
            fail(entry, over)
          } else if (outcome.kind === 'lost') {
            queue.push(entry)
            disordered = true
          } else if (outcome.kind === 'refused') {
            fail(entry, outcome.error)
          } else {
            settled(entry)
            entry.resolve()
          }
        },
        () => {
          underWay--
          schedule()
        },
      )
    }
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    soon(flush)
  }

  return {
    publish(publish: Publish): Promise<void> {
      const { message } = publish
      if (over) return Promise.reject(over)
      if (!ENVELOPE.test(message)) return Promise.reject(new ProtocolError('bad_params', 'not an envelope'))
      if (message.length + (publish.attestation?.length ?? 0) > LIMITS.messageBytes) {
        return Promise.reject(new ProtocolError('too_large', `at most ${LIMITS.messageBytes} bytes`))
      }
      if (unsettled >= maxQueued || unsettledBytes + message.length > MOST_QUEUED_BYTES) {
        return Promise.reject(new ProtocolError('unavailable', 'too many messages wait for the relay'))
      }
      unsettled++
      unsettledBytes += message.length
      return new Promise((resolve, reject) => {
        queue.push({ publish, seq: seq++, deadline: clock.now() + publish.ttl * 1000, resolve, reject })
        schedule()
      })
    },
    opened: schedule,
    lost: expire,
    ended(error: ProtocolError) {
      over = error
      for (const entry of queue.splice(0)) fail(entry, error)
    },
    /** Messages that the relay has not acknowledged. */
    get unsettled() {
      return unsettled
    },
  }
}
