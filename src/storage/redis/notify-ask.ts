import type { RedisConnection } from './connection.ts'

/** Sends one command or script; rejects as `RedisConnection.one` does. */
export type Ask = <T>(command: () => Promise<T>) => Promise<T>

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
        // Too late, or closed. Whoever has its answer already does not mind.
        for (const { refuse } of batch) refuse(reason)
      })
  }

  return (command) =>
    new Promise((resolve, reject) => {
      const start = async () => {
        try {
          resolve(await command())
        } catch (error) {
          // One that failed says nothing about the others. `one` knows what the error means.
          await redis.one(() => Promise.reject(error)).catch(reject)
        }
      }
      waiting.push({ start, refuse: reject })
      // Behind all promises that are settled in this turn.
      if (waiting.length === 1) process.nextTick(send)
    })
}

/**
 * Gathers single questions of one turn and sends those of one group together, `most` at a time: fewer and longer
 * commands, which is what both ends of a connection like. An answer for each, in order.
 */
export const createGather = <Q, A>(
  { groupOf, most }: { groupOf: (question: Q) => number; most: number },
  send: (questions: readonly Q[]) => Promise<readonly A[]>,
) => {
  interface Waiting {
    question: Q
    resolve: (answer: A) => void
    reject: (reason: unknown) => void
  }
  let groups = new Map<number, Waiting[]>()

  const ask = async (group: readonly Waiting[]) => {
    try {
      const answers = await send(group.map(({ question }) => question))
      if (answers.length !== group.length) throw new Error('There are not as many answers as questions')
      for (const [at, answer] of answers.entries()) group[at]?.resolve(answer)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
  const sendAll = () => {
    const all = groups
    groups = new Map()
    for (const group of all.values()) {
      for (let at = 0; at < group.length; at += most) void ask(group.slice(at, at + most))
    }
  }

  return (question: Q): Promise<A> =>
    new Promise((resolve, reject) => {
      if (groups.size === 0) process.nextTick(sendAll)
      const key = groupOf(question)
      const group = groups.get(key)
      if (group) group.push({ question, resolve, reject })
      else groups.set(key, [{ question, resolve, reject }])
    })
}

/** A map that forgets what was put first when it grows beyond `size`. */
export const createShelf = <V>(size: number) => {
  const items = new Map<string, V>()
  return {
    get: (key: string): V | undefined => items.get(key),
    put(key: string, value: V): void {
      // Looking up is cheaper than moving, and most of what is put is there already.
      if (items.get(key) === value) return
      items.delete(key)
      items.set(key, value)
      if (items.size <= size) return
      for (const oldest of items.keys()) {
        items.delete(oldest)
        return
      }
    },
    remove: (key: string): boolean => items.delete(key),
  }
}
