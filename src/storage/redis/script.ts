/**
 * Lua, one script a file in `scripts/`, as the text of a template string (the compiler copies no `.lua` files). The
 * header of each names its KEYS, its ARGV and what it answers.
 *
 * Rules that keep a script right in a cluster, during a resharding too:
 * - Every key that it touches is among KEYS, and all of them share one hash tag, but where `spansSlots` says that
 *   slots do not count. Redis checks KEYS before it runs anything; a key that it meets only half-way may be on another
 *   node already, and scripts are not rolled back.
 * - It reads and decides first and writes after, for the same reason.
 * - It bears repetition: ioredis sends again what a lost connection left unanswered.
 * - Numbers beyond 1e14 go through `string.format('%.0f', n)`: Lua writes them with an exponent otherwise. Answers
 *   that are numbers with fractions, or larger than 2^53, must be strings; Redis cuts the others to integers.
 *
 * - What removes more than it adds (acknowledging, sweeping, giving back) begins with `WHEN_FULL`: a Redis that has
 *   reached `maxmemory` refuses every other script that adds anything, and would stay full.
 *
 * How to use one:
 *
 *     export const claimScript = defineScript('RelayClaim', `…`)
 *     const answer = await redis.one(() => redis.script(claimScript, [key], [holder, now]))
 *
 * The answer is `unknown`: read it with `list`, `text` and `whole` below, which throw where Redis answered otherwise.
 */
import type { Script } from './connection.ts'

/** First part of a script that Redis runs although it is full. */
export const WHEN_FULL = '#!lua flags=allow-oom'

/** Several parts of Lua make one script: shared functions first, then the body. */
export const defineScript = (name: string, ...lua: string[]): Script => ({
  name: `belfry${name}`,
  lua: lua.join('\n'),
})

export const list = (answer: unknown): unknown[] => {
  if (!Array.isArray(answer)) throw new Error('A script did not answer with a list')
  return answer
}
export const text = (answer: unknown): string => {
  if (typeof answer !== 'string') throw new Error('A script did not answer with a text')
  return answer
}
export const whole = (answer: unknown): number => {
  const value = typeof answer === 'string' ? Number(answer) : answer
  if (typeof value !== 'number' || Number.isNaN(value))
    throw new Error('A script did not answer with a number')
  return value
}
