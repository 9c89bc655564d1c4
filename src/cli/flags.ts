/**
 * Flags, for citty's help and for reading. citty keeps only the last of a repeated flag and lets unknown ones pass, so
 * what was typed is read again here, strictly.
 */
import { parseArgs } from 'node:util'
import type { ArgsDef } from 'citty'

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Typed {
  /** Every occurrence of each flag, in order. */
  all: Record<string, string[]>
  /** The last one of each. */
  one: Record<string, string | undefined>
  /** Flags without a value. */
  on: ReadonlySet<string>
  rest: string[]
}

export const readTyped = (rawArgs: readonly string[], args: ArgsDef): Typed => {
  const options = Object.fromEntries(
    Object.entries(args)
      .filter(([, { type }]) => type !== 'positional')
      .map(([name, { type }]) =>
        type === 'boolean'
          ? [name, { type: 'boolean' as const }]
          : [name, { type: 'string' as const, multiple: true }],
      ),
  )
  try {
    const { values, positionals } = parseArgs({ args: [...rawArgs], options, allowPositionals: true })
    const all: Record<string, string[]> = {}
    const on = new Set<string>()
    for (const [name, value] of Object.entries(values)) {
      if (Array.isArray(value)) all[name] = value.map(String)
      else if (value === true) on.add(name)
    }
    const one = Object.fromEntries(Object.entries(all).map(([name, list]) => [name, list.at(-1)]))
    const expected = Object.values(args).filter(({ type }) => type === 'positional').length
    if (positionals.length > expected) throw new UsageError(`Unexpected: ${positionals[expected]}`)
    return { all, one, on, rest: positionals }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error))
  }
}
