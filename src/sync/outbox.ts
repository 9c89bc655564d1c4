/**
 * What a replica still has to publish: stored until the relay has it, published in its order. A message that is published
 * again is the same text, so the relay drops the repetition.
 */
import * as z from 'zod'
import { invariant } from '../platform/invariant.ts'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Journal } from './storage.ts'
import { SYNC_TTL_S } from './wire.ts'

export interface Publish {
  topic: string
  message: string
  tag: number
  /** Seconds. */
  ttl: number
}

const OutboxMessage = z.object({ topic: z.string(), message: z.string(), tag: z.number() })
export type OutboxMessage = z.infer<typeof OutboxMessage>

export interface Outbox {
  /** Notes the message for the journal's next write. Returns what sends it, to be called when that write is durable. */
  note(message: OutboxMessage): () => void
  /** Nothing is sent before it, not even what the storage had. */
  start(): void
  /** Resolves when nothing is left to send. */
  empty(): Promise<void>
  stop(): void
}

export const OUTBOX_PREFIX = 'out/'
/** Messages that wait for the relay's answer at once. */
const MAX_IN_FLIGHT = 256
const RETRY_DELAY_MS = 5_000
const NUMBER_LENGTH = 16

/** A refusal that repeating the message does not change. */
const isFinal = (error: unknown): boolean =>
  error instanceof ProtocolError && ['too_large', 'bad_params', 'bad_request'].includes(error.code)

interface Entry {
  /** In the storage. */
  name: string
  message: OutboxMessage
}

/** Messages as the storage has them, in their order, and the highest number that was given to one. */
const readEntries = (
  stored: Iterable<readonly [number: string, value: string]>,
): { entries: Entry[]; lastNumber: number } => {
  const entries: Entry[] = []
  let lastNumber = 0
  for (const [number, value] of [...stored].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const message = OutboxMessage.safeParse(JSON.parse(value))
    if (message.success) entries.push({ name: OUTBOX_PREFIX + number, message: message.data })
    lastNumber = Math.max(lastNumber, Number(number))
  }
  return { entries, lastNumber }
}

/** Publishes one message until the relay has it, refuses it for good, or the outbox is stopped. */
const createSender = (deps: {
  publish: (publish: Publish) => Promise<void>
  journal: Journal
  clock: Clock
  log: Log
  signal: AbortSignal
}): ((entry: Entry) => Promise<void>) => {
  const { publish, journal, clock, log, signal } = deps
  return async ({ name, message }) => {
    while (!signal.aborted) {
      try {
        await publish({ ...message, ttl: SYNC_TTL_S })
      } catch (err) {
        if (signal.aborted) return
        if (!isFinal(err)) {
          log.warn({ err }, 'A change could not be published; trying again')
          await pause(clock, RETRY_DELAY_MS, signal)
          continue
        }
        log.error({ err }, 'A change was refused by the relay and is not published')
      }
      // Removed with the next write. A crash before that publishes the message twice.
      journal.note(name, undefined)
      return
    }
  }
}

/** `stored`: what the storage has below `OUTBOX_PREFIX`, by the rest of the name. */
export const createOutbox = (
  deps: {
    publish: (publish: Publish) => Promise<void>
    journal: Journal
    clock: Clock
    log: Log
  },
  stored: Iterable<readonly [number: string, value: string]>,
): Outbox => {
  const { journal, log } = deps
  const ending = new AbortController()
  const { entries: queue, lastNumber } = readEntries(stored)
  const send = createSender({ ...deps, signal: ending.signal })
  let last = lastNumber
  let inFlight = 0
  /** Messages that are noted and not yet durable. */
  let noted = 0
  let isStarted = false
  const waiting: (() => void)[] = []

  const size = () => queue.length + inFlight + noted

  const pump = () => {
    while (isStarted && !ending.signal.aborted && inFlight < MAX_IN_FLIGHT) {
      const next = queue.shift()
      if (!next) break
      inFlight++
      void send(next).then(() => {
        inFlight--
        pump()
        if (size() > 0 && !ending.signal.aborted) return
        journal.saved().catch((err: unknown) => log.warn({ err }, 'What was published could not be noted'))
        for (const resolve of waiting.splice(0)) resolve()
      })
    }
  }

  return {
    note(message) {
      const name = `${OUTBOX_PREFIX}${String(++last).padStart(NUMBER_LENGTH, '0')}`
      journal.note(name, JSON.stringify(message))
      noted++
      return () => {
        noted--
        invariant(noted >= 0, 'a noted message is sent once')
        queue.push({ name, message })
        pump()
      }
    },
    start() {
      isStarted = true
      pump()
    },
    empty: () => (size() === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    stop() {
      ending.abort()
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}
