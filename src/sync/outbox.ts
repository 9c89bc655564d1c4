/**
 * What a replica still has to publish: kept until the relay has it, sent in its order, as the same message again after
 * whatever trouble, so that the relay knows a repetition.
 */
import * as z from 'zod'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Journal } from './storage.ts'
import { SYNC_TTL } from './wire.ts'

export interface Publish {
  topic: string
  message: string
  tag: number
  /** Seconds. */
  ttl: number
}

const Letter = z.object({ topic: z.string(), message: z.string(), tag: z.number() })
export type Letter = z.infer<typeof Letter>

export interface Outbox {
  /** Notes it for the next write. Answers what sends it, to be called when that is durable. */
  note(letter: Letter): () => void
  /** What was kept goes out; not before. */
  start(): void
  /** Resolves when nothing is left to send. */
  empty(): Promise<void>
  readonly size: number
  stop(): void
}

export const OUTBOX = 'out/'
/** Messages that wait for the relay's answer at once. */
const WINDOW = 256
const RETRY = 5_000

/** The relay will not take it either when it is asked again. */
const isFinal = (error: unknown): boolean =>
  error instanceof ProtocolError && ['too_large', 'bad_params', 'bad_request'].includes(error.code)

export const createOutbox = (
  deps: {
    publish: (publish: Publish) => Promise<void>
    journal: Journal
    clock: Clock
    log: Log
  },
  kept: Iterable<readonly [name: string, value: string]>,
): Outbox => {
  const { publish, journal, clock, log } = deps
  const ending = new AbortController()
  const queue: { name: string; letter: Letter }[] = []
  let last = 0
  let underWay = 0
  let noted = 0
  let isStarted = false
  const waiting: (() => void)[] = []

  for (const [name, value] of [...kept].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const letter = Letter.safeParse(JSON.parse(value))
    if (letter.success) queue.push({ name, letter: letter.data })
    last = Math.max(last, Number(name.slice(OUTBOX.length)))
  }

  const size = () => queue.length + underWay + noted

  const send = async ({ name, letter }: { name: string; letter: Letter }): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await publish({ ...letter, ttl: SYNC_TTL })
      } catch (err) {
        if (ending.signal.aborted) return
        if (!isFinal(err)) {
          log.warn({ err }, 'A change could not be published; trying again')
          await pause(clock, RETRY, ending.signal)
          continue
        }
        log.error({ err }, 'A change was refused by the relay and is not published')
      }
      // With the next write, whenever that is: at worst it is published twice.
      journal.note(name, undefined)
      return
    }
  }

  const pump = () => {
    while (isStarted && !ending.signal.aborted && underWay < WINDOW) {
      const next = queue.shift()
      if (!next) break
      underWay++
      void send(next).then(() => {
        underWay--
        pump()
        if (size() > 0 && !ending.signal.aborted) return
        journal.saved().catch((err: unknown) => log.warn({ err }, 'What was published could not be noted'))
        for (const resolve of waiting.splice(0)) resolve()
      })
    }
  }

  return {
    note(letter) {
      const name = `${OUTBOX}${String(++last).padStart(16, '0')}`
      journal.note(name, JSON.stringify(letter))
      noted++
      return () => {
        noted--
        queue.push({ name, letter })
        pump()
      }
    },
    start() {
      isStarted = true
      pump()
    },
    empty: () => (size() === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    get size() {
      return size()
    },
    stop() {
      ending.abort()
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}
