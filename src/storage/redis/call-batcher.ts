/** What is asked within one turn leaves together: one write to the socket, one timer, fewer commands. */
import { invariant } from '../../platform/invariant.ts'
import type { RedisConnection } from './connection.ts'

/** Sends one command or script; rejects as `RedisConnection.one` does. */
export type Ask = <T>(command: () => Promise<T>) => Promise<T>

/** Rejects with what `RedisConnection.one` makes of the error. */
const rejectMapped = (redis: RedisConnection, error: unknown, reject: (reason: unknown) => void) =>
  redis.one(() => Promise.reject(error)).catch(reject)

/**
 * Gathers what is asked within one turn into one batch. Letters are written two hundred at a time, each of which looks
 * up its account: that is one write to the socket instead of two hundred, and one timer.
 */
export const createAsk = (redis: RedisConnection): Ask => {
  let waiting: { start: () => Promise<void>; refuse: (reason: unknown) => void }[] = []

  const send = () => {
    const batch = waiting
    waiting = []
    redis
      .batch(() => batch.map(({ start }) => start()))
      .catch((reason) => {
        // Too late, or closed. Rejecting a settled promise has no effect.
        for (const { refuse } of batch) refuse(reason)
      })
  }

  return (command) =>
    new Promise((resolve, reject) => {
      const start = async () => {
        try {
          resolve(await command())
        } catch (error) {
          // One that failed says nothing about the others.
          await rejectMapped(redis, error, reject)
        }
      }
      waiting.push({ start, refuse: reject })
      // Behind all promises that are settled in this turn.
      if (waiting.length === 1) process.nextTick(send)
    })
}

/**
 * Gathers single questions of one turn and sends those of one group together, at most `most` at a time (or as many as
 * weigh that much): fewer and longer commands, which is what both ends of a connection like. `send` gives an answer for
 * each, in order.
 */
export const createCallBatcher = <Q, A>(
  {
    groupOf,
    most,
    weightOf = () => 1,
  }: { groupOf: (question: Q) => string | number; most: number; weightOf?: (question: Q) => number },
  send: (questions: readonly Q[]) => Promise<readonly A[]>,
): ((question: Q) => Promise<A>) => {
  interface Waiting {
    question: Q
    resolve: (answer: A) => void
    reject: (reason: unknown) => void
  }
  interface Call {
    waiting: Waiting[]
    weight: number
  }
  let calls: Call[] = []
  /** The last call of each group. */
  let open = new Map<string | number, Call>()

  const make = async ({ waiting }: Call) => {
    try {
      const answers = await send(waiting.map(({ question }) => question))
      invariant(answers.length === waiting.length, 'a call has as many answers as questions')
      for (const [at, answer] of answers.entries()) waiting[at]?.resolve(answer)
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }
  const makeAll = () => {
    const all = calls
    calls = []
    open = new Map()
    for (const call of all) void make(call)
  }

  return (question) =>
    new Promise((resolve, reject) => {
      const group = groupOf(question)
      const weight = weightOf(question)
      // Behind all promises that are settled in this turn.
      if (calls.length === 0) process.nextTick(makeAll)
      let call = open.get(group)
      if (!call || call.weight + weight > most) {
        call = { waiting: [], weight: 0 }
        calls.push(call)
        open.set(group, call)
      }
      call.waiting.push({ question, resolve, reject })
      call.weight += weight
    })
}
