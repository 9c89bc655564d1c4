/**
 * `#schema` for clients: the part of zod that the schemas of clients are written in, in two kilobytes instead of thirty. On Node
 * `#schema` is zod itself, so a server parses with zod. `test/platform/schema` holds schemas that both sides share to the
 * same answers. What is missing here does not compile in a package (`tsconfig.packages.json`). Unlike zod, it stops at the first issue.
 * Schemas of the two do not mix: a client that takes one of `src/protocol` into its own imports `#schema`, too.
 */

interface Issue {
  path: PropertyKey[]
  message: string
}

/** What a check or a transformation is given to refuse a value. */
export interface Context {
  addIssue(issue: { code: 'custom'; message: string; path?: PropertyKey[] }): void
}

/** What a schema makes of a value; `REFUSED`, after an issue, for what it does not take. */
type Read = (value: unknown, issues: Issue[]) => unknown

/** Whether a key of an object may be missing. `exact`: it is missing, or has a value that is not undefined. */
type Presence = 'required' | 'optional' | 'exact'

export interface Schema<T = unknown, P extends Presence = 'required'> {
  readonly read: Read
  readonly presence: P
  /** Never there: it carries the type. */
  readonly _output?: () => T
  /** @throws {TypeError} for what it does not take. */
  parse(value: unknown): output<this>
  safeParse(value: unknown): Parsed<output<this>>
  optional(): Schema<T | undefined, 'optional'>
  exactOptional(): Schema<T, 'exact'>
  nullable(): Schema<T | null, P>
  nullish(): Schema<T | null | undefined, 'optional'>
  default(value: T): Schema<Exclude<T, undefined>>
  catch(value: T): Schema<T, P>
  transform<R>(change: (value: T, context: Context) => R): Schema<R>
  superRefine(check: (value: T, context: Context) => void): Schema<T, P>
}

/** Any schema, as zod calls it. */
export type ZodType<T = unknown> = Schema<T, Presence>

export type Parsed<T> =
  | { success: true; data: T; error?: undefined }
  | { success: false; data?: undefined; error: { issues: Issue[] } }

export type output<S> = S extends { readonly _output?: () => infer T } ? T : never
export type { output as infer }

export interface TextSchema extends Schema<string> {
  min(length: number): TextSchema
  max(length: number): TextSchema
  regex(form: RegExp, message?: string): TextSchema
}

export interface NumberSchema extends Schema<number> {
  int(): NumberSchema
  min(least: number): NumberSchema
  max(most: number): NumberSchema
  nonnegative(): NumberSchema
  positive(): NumberSchema
}

export interface ListSchema<T> extends Schema<T[]> {
  min(length: number): ListSchema<T>
  max(length: number): ListSchema<T>
}

export type Shape = Readonly<Record<string, ZodType>>
type PresenceOf<S> = S extends { readonly presence: infer P } ? P : never
type MayMiss<S extends Shape> = {
  [K in keyof S]: PresenceOf<S[K]> extends 'required' ? never : K
}[keyof S]
type Members<S extends Shape> = { -readonly [K in Exclude<keyof S, MayMiss<S>>]: output<S[K]> } & {
  -readonly [K in MayMiss<S>]?: output<S[K]>
}
type Flat<T> = { [K in keyof T]: T[K] }

export interface ObjectSchema<S extends Shape, More> extends Schema<Flat<Members<S> & More>> {
  extend<E extends Shape>(more: E): ObjectSchema<Flat<Omit<S, keyof E> & E>, More>
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const REFUSED = Symbol('refused')

const refuse = (issues: Issue[], message: string): typeof REFUSED => {
  issues.push({ path: [], message })
  return REFUSED
}

/** What is read below a key: its issues begin with the key. */
const readAt = (schema: ZodType, key: PropertyKey, value: unknown, issues: Issue[]): unknown => {
  const read = schema.read(value, issues)
  if (read === REFUSED) issues[0]?.path.unshift(key)
  return read
}

const contextOf = (issues: Issue[]): Context => ({
  addIssue: ({ message, path = [] }) => issues.push({ message, path: [...path] }),
})

const asItIs: Read = (value) => value

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The type of a schema says what its `read` gives: this is the one place that takes it at its word. */
const parserOf = <T>(read: Read) => ({
  safeParse(value: unknown): Parsed<T> {
    const issues: Issue[] = []
    const data = read(value, issues)
    return data === REFUSED ? { success: false, error: { issues } } : { success: true, data: data as T }
  },
  parse(value: unknown): T {
    const issues: Issue[] = []
    const data = read(value, issues)
    if (data === REFUSED) throw new TypeError(issues[0]?.message)
    return data as T
  },
})

const schema = <T, P extends Presence>(read: Read, presence: P): Schema<T, P> => {
  /** Takes the value as it is, or gives it to `read`. */
  const or = <More, Q extends Presence>(isTaken: (value: unknown) => boolean, as: Q) =>
    schema<T | More, Q>((value, issues) => (isTaken(value) ? value : read(value, issues)), as)
  const after = <R, Q extends Presence>(change: (value: never, context: Context) => unknown, as: Q) =>
    schema<R, Q>((value, issues) => {
      const data = read(value, issues)
      if (data === REFUSED) return REFUSED
      const changed = change(data as never, contextOf(issues))
      return issues.length > 0 ? REFUSED : changed
    }, as)
  return {
    ...{ read, presence, ...parserOf<T>(read) },
    optional: () => or<undefined, 'optional'>((value) => value === undefined, 'optional'),
    exactOptional: () => schema<T, 'exact'>(read, 'exact'),
    nullable: () => or<null, P>((value) => value === null, presence),
    nullish: () =>
      or<null | undefined, 'optional'>((value) => value === undefined || value === null, 'optional'),
    default: (given) =>
      schema((value, issues) => (value === undefined ? given : read(value, issues)), 'required'),
    catch: (given) =>
      schema((value) => {
        const data = read(value, [])
        return data === REFUSED ? given : data
      }, presence),
    transform: (change) => after(change, 'required'),
    superRefine: (check) =>
      after((value: T, context) => {
        check(value, context)
        return value
      }, presence),
  }
}

const required = <T>(read: Read): Schema<T> => schema<T, 'required'>(read, 'required')

/** A schema of what `holds`; the other checks are of its kind. */
const checked =
  (holds: (value: never) => boolean, message: string, before?: Read): Read =>
  (value, issues) => {
    const data = before ? before(value, issues) : value
    if (data === REFUSED) return REFUSED
    return holds(data as never) ? data : refuse(issues, message)
  }

// ── the schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────

const text = (read: Read): TextSchema => {
  const and = (holds: (value: string) => boolean, message: string) => text(checked(holds, message, read))
  return {
    ...required<string>(read),
    min: (length) => and((value) => value.length >= length, 'it is too short'),
    max: (length) => and((value) => value.length <= length, 'it is too long'),
    regex: (form, message = 'it has another form') => and((value) => form.test(value), message),
  }
}

const amount = (read: Read): NumberSchema => {
  const and = (holds: (value: number) => boolean, message: string) => amount(checked(holds, message, read))
  const min = (least: number) => and((value) => value >= least, 'it is too small')
  return {
    ...required<number>(read),
    min,
    max: (most) => and((value) => value <= most, 'it is too large'),
    int: () => and(Number.isSafeInteger, 'it is no whole number'),
    nonnegative: () => min(0),
    positive: () => and((value) => value > 0, 'it is too small'),
  }
}

const list = <T>(read: Read): ListSchema<T> => {
  const and = (holds: (value: unknown[]) => boolean, message: string) =>
    list<T>(checked(holds, message, read))
  return {
    ...required<T[]>(read),
    min: (length) => and((value) => value.length >= length, 'it has too few items'),
    max: (length) => and((value) => value.length <= length, 'it has too many items'),
  }
}

const members = <S extends Shape, More>(shape: S, isLoose: boolean): ObjectSchema<S, More> => ({
  ...required((value, issues) => {
    if (!isRecord(value)) return refuse(issues, 'it is no object')
    const { __proto__: _, ...rest } = value
    const data: Record<string, unknown> = isLoose ? rest : {}
    for (const [key, one] of Object.entries(shape)) {
      if (!(key in value)) {
        // Not read, so that a key that is missing stays missing.
        if (one.presence !== 'required') continue
        if (one.read === asItIs) return refuse(issues, `it has no ${key}`)
      }
      const member = readAt(one, key, value[key], issues)
      if (member === REFUSED) return REFUSED
      if (member !== undefined || key in value) data[key] = member
    }
    return data
  }),
  extend: <E extends Shape>(more: E) =>
    members<Flat<Omit<S, keyof E> & E>, More>({ ...shape, ...more }, isLoose),
})

export const string = (): TextSchema => text(checked((value) => typeof value === 'string', 'it is no text'))

export const number = (): NumberSchema => amount(checked(Number.isFinite, 'it is no number'))

const isBoolean = (value: unknown): boolean => typeof value === 'boolean'
export const boolean = (): Schema<boolean> => required(checked(isBoolean, 'it is neither true nor false'))

export const unknown = (): Schema<unknown> => required(asItIs)

type Literal = string | number | boolean | null | undefined
export const literal = <const T extends Literal>(only: T): Schema<T> =>
  required(checked((value: unknown) => value === only, `it is not ${only}`))

const nothing = (): Schema<undefined> => literal(undefined)
const nullOnly = (): Schema<null> => literal(null)

const oneOf = <const T extends string>(values: readonly T[]): Schema<T> =>
  required(checked((value: T) => values.includes(value), `it is none of ${values.join(', ')}`))

export const array = <S extends ZodType>(item: S): ListSchema<output<S>> =>
  list((value, issues) => {
    if (!Array.isArray(value)) return refuse(issues, 'it is no list')
    const data: unknown[] = []
    for (let at = 0; at < value.length; at++) {
      data[at] = readAt(item, at, value[at], issues)
      if (data[at] === REFUSED) return REFUSED
    }
    return data
  })

export const record = <S extends ZodType>(key: ZodType<string>, item: S): Schema<Record<string, output<S>>> =>
  required((value, issues) => {
    if (!isRecord(value)) return refuse(issues, 'it is no object')
    const data: Record<string, unknown> = {}
    for (const name of Object.keys(value)) {
      if (name === '__proto__') continue
      const member =
        readAt(key, name, name, issues) === REFUSED ? REFUSED : readAt(item, name, value[name], issues)
      if (member === REFUSED) return REFUSED
      data[name] = member
    }
    return data
  })

export const union = <const S extends readonly ZodType[]>(options: S): Schema<output<S[number]>> =>
  required((value, issues) => {
    for (const option of options) {
      const data = option.read(value, [])
      if (data !== REFUSED) return data
    }
    return refuse(issues, 'it is none of what it may be')
  })

/** The name of the member that tells them apart is for zod, which chooses by it instead of trying each. */
export const discriminatedUnion = <const S extends readonly ZodType[]>(_by: string, options: S) =>
  union(options)

export const object = <const S extends Shape>(shape: S): ObjectSchema<S, unknown> => members(shape, false)

export const looseObject = <const S extends Shape>(shape: S): ObjectSchema<S, { [key: string]: unknown }> =>
  members(shape, true)

const isUrl = (value: string): boolean => {
  try {
    return new URL(value) instanceof URL
  } catch {
    return false
  }
}
export const url = (): TextSchema => {
  const trimmed = string().transform((value) => value.trim())
  return text(checked(isUrl, 'it is no URL', trimmed.read))
}

const UTC = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/
/** A day that its month does not have becomes one of the next month, or no time at all. */
const isUtc = (value: string): boolean => {
  const at = UTC.test(value) ? Date.parse(value) : Number.NaN
  return !Number.isNaN(at) && new Date(at).toISOString().slice(0, 10) === value.slice(0, 10)
}
export const iso = { datetime: (): TextSchema => text(checked(isUtc, 'it is no time', string().read)) }

/** What a transformation answers after it has added an issue: the issue counts. */
export const NEVER = undefined as never

export { nothing as undefined, nullOnly as null, oneOf as enum }
