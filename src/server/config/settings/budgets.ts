/** The setting of the budgets of an address: what it may say, in a file and in one line. */
import * as z from 'zod'
import { type BudgetSizes, DEFAULT_BUDGETS, NO_BUDGETS } from '../../../platform/budgets/budgets.ts'
import { parseLimit } from '../../../platform/budgets/rate-limits.ts'
import { MIB_BYTES } from '../../../platform/units.ts'
import { wholeNumber } from './whole-number.ts'

const work = z
  .string()
  .transform((text) => parseLimit(text))
  .pipe(z.union([z.null(), z.object({ burst: z.number(), seconds: z.number() })]))

const megabytes = (most: number) =>
  z.union([
    z.literal('off').transform(() => null),
    wholeNumber(1, most).transform((count) => count * MIB_BYTES),
  ])
const count = (most: number) => z.union([z.literal('off').transform(() => null), wholeNumber(1, most)])

const orNoEnd = (size: number | null | undefined, otherwise: number): number =>
  size === null ? Number.POSITIVE_INFINITY : (size ?? otherwise)

/** Each of them a number, or `off` for none. */
const parts = z.strictObject({
  work: work.optional(),
  stateMegabytes: megabytes(1_000_000).optional(),
  connections: count(1_000_000).optional(),
  allConnections: count(10_000_000).optional(),
  memoryMegabytes: megabytes(1_000_000).optional(),
  allMemoryMegabytes: megabytes(1_000_000).optional(),
})

const sizesOf = (given: z.output<typeof parts>): BudgetSizes => {
  const { work, state, connections, memory } = DEFAULT_BUDGETS
  return {
    work: given.work === undefined ? work : given.work,
    state: given.stateMegabytes === undefined ? state : given.stateMegabytes,
    connections: {
      each: orNoEnd(given.connections, connections.each),
      all: orNoEnd(given.allConnections, connections.all),
    },
    memory: {
      each: orNoEnd(given.memoryMegabytes, memory.each),
      all: orNoEnd(given.allMemoryMegabytes, memory.all),
    },
  }
}

/** `work: 10000, 1500/s; stateMegabytes: 64; connections: 256`, or `off` for all; in a file an object. */
export const Budgets = z
  .union([z.looseObject({}), z.string()])
  .transform((given): unknown => {
    if (typeof given !== 'string' || given.trim() === 'off') return given
    return Object.fromEntries(
      given
        .split(';')
        .filter((part) => part.trim() !== '')
        .map((part) => {
          const at = part.indexOf(':')
          return [part.slice(0, Math.max(at, 0)).trim(), part.slice(at + 1).trim()]
        }),
    )
  })
  .pipe(
    z.union([
      z
        .string()
        .regex(/^\s*off\s*$/)
        .transform(() => NO_BUDGETS),
      parts.transform(sizesOf),
    ]),
  )
