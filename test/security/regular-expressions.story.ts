import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAst } from 'vitest/node'
import { z } from 'zod'
import { pumpsOf } from './pumps.ts'

const SRC = join(import.meta.dirname, '../../src')
/** Short ones first and close together, so that what grows exponentially is seen before it takes for ever. */
const LENGTHS = [
  ...Array.from({ length: 14 }, (_, at) => 8 + 4 * at),
  // Doubled, so that what grows with the third power is seen before it takes for ever, too.
  ...[125, 250, 500, 1_000, 2_000, 4_000, 8_000, 25_000, 50_000],
]
/** A scan of 50,000 characters takes less than one; a machine that is busy may add to it, but not three times. */
const MOST_MS = 100
/** No other program makes a scan so slow. */
const SURELY_MS = 10 * MOST_MS

interface Found {
  where: string
  pattern: string
  flags: string
}

const literal = z.looseObject({
  type: z.literal('Literal'),
  regex: z.object({ pattern: z.string(), flags: z.string() }),
})
const construction = z.looseObject({
  type: z.enum(['NewExpression', 'CallExpression']),
  callee: z.looseObject({ type: z.literal('Identifier'), name: z.literal('RegExp') }),
})

/** Every regular expression of a source text, and the places where one is made at run time. */
const expressionsOf = (text: string, file: string): { found: Found[]; made: string[] } => {
  const found: Found[] = []
  const made: string[] = []
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || node instanceof RegExp) return
    const { data: known } = literal.safeParse(node)
    if (known) found.push({ where: file, ...known.regex })
    if (construction.safeParse(node).success) made.push(file)
    for (const child of Object.values(node)) walk(child)
  }
  walk(parseAst(text, { lang: file.endsWith('x') ? 'tsx' : 'ts' }))
  return { found, made }
}

const all = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => expressionsOf(readFileSync(join(SRC, file), 'utf8'), file))

const timed = (expression: RegExp, input: string): number => {
  const start = performance.now()
  // From every place on, as `replace`, `split` and `exec` without an anchor do.
  input.replace(expression, '')
  return performance.now() - start
}

/** The first input that takes too long; undefined when none does. */
const slowest = ({ pattern, flags }: Pick<Found, 'pattern' | 'flags'>) => {
  const expression = new RegExp(pattern, flags)
  const pumps = pumpsOf(pattern, flags)
  for (const length of LENGTHS) {
    for (const input of pumps(length)) {
      // The best of three: others use this machine, too.
      const took = () => timed(expression, input)
      const first = took()
      if (first > SURELY_MS || (first > MOST_MS && took() > MOST_MS && took() > MOST_MS)) {
        return { length, begins: JSON.stringify(input.slice(0, 24)), ends: JSON.stringify(input.slice(-6)) }
      }
    }
  }
  return undefined
}

describe('regular expressions', () => {
  it('are all found', () => {
    expect(all.flatMap(({ found }) => found).length).toBeGreaterThan(80)
    expect(all.flatMap(({ made }) => made)).toEqual([])
  })

  it('are seen to backtrack where they do', () => {
    const bad = ['\\/+$', '^(a+)+$', '\\s+$', 'x*x*y', '#.*$', '\\s*,\\s*b', '(?:a|ab|b)*c$', '[\\0 ]+$']
    const good = ['^[^\\r\\n]*$', '\\?[^#]*', '^Bearer +(\\S+)$', '^0x0*1$']
    const isSlow = (pattern: string) => slowest({ pattern, flags: '' }) !== undefined
    expect(bad.filter((pattern) => !isSlow(pattern))).toEqual([])
    expect(good.filter(isSlow)).toEqual([])
  }, 60_000)

  it('of the sources take time in proportion to their input', () => {
    const each = new Map(
      all.flatMap(({ found }) => found).map((one) => [`/${one.pattern}/${one.flags}`, one]),
    )
    const slow = [...each].flatMap(([text, one]) => {
      const pump = slowest(one)
      return pump ? [{ text, where: one.where, ...pump }] : []
    })
    expect(slow).toEqual([])
  }, 120_000)
})
