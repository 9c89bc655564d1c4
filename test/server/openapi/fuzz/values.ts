/** Values out of JSON Schemas, as those of the document are, and values that nobody means. */
import fc from 'fast-check'
import { z } from 'zod'
import type { Document, Schema } from '../all-rooms.ts'

const LENGTH = 40
const ITEMS = 4

const Shape = z.looseObject({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  $ref: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.record(z.string(), z.unknown())).optional(),
  oneOf: z.array(z.record(z.string(), z.unknown())).optional(),
  allOf: z.array(z.record(z.string(), z.unknown())).optional(),
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
  additionalProperties: z.unknown().optional(),
  propertyNames: z.record(z.string(), z.unknown()).optional(),
  items: z.record(z.string(), z.unknown()).default({}),
  minItems: z.number().default(0),
  maxItems: z.number().optional(),
  pattern: z.string().optional(),
  format: z.string().optional(),
  minLength: z.number().default(0),
  maxLength: z.number().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
})
type Shape = z.infer<typeof Shape>

/** Whether the generator of texts understands a pattern: it has no look-around, for instance. */
const matching = (pattern: string): fc.Arbitrary<string> => {
  try {
    return fc.stringMatching(new RegExp(pattern))
  } catch {
    return fc.string()
  }
}

const texts = ({ pattern, format, minLength, maxLength = LENGTH }: Shape): fc.Arbitrary<string> => {
  if (pattern !== undefined && format === undefined) return matching(pattern)
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
  if (format === 'uri') return fc.webUrl()
  if (format === 'base64') return fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64'))
  return fc.string({
    unit: 'grapheme',
    minLength,
    maxLength: Math.max(minLength, Math.min(maxLength, LENGTH)),
  })
}

/** What fits a schema, or nearly does: refinements are no part of one. */
export const createValues = ({ components }: Document) => {
  const named = new Map<string, fc.Arbitrary<unknown>>()

  const objects = (shape: Shape): fc.Arbitrary<unknown> => {
    const { properties, required, additionalProperties, propertyNames } = shape
    const members = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, of(inner)]))
    const own = fc.record(members, { requiredKeys: required.filter((name) => name in members) })
    if (Object.keys(members).length > 0 || !z.looseObject({}).safeParse(additionalProperties).success)
      return own
    const key = propertyNames ? of(propertyNames).map(String) : fc.string()
    return fc.dictionary(key, of(z.looseObject({}).parse(additionalProperties)), { maxKeys: ITEMS })
  }
  const typed = (shape: Shape, type: string): fc.Arbitrary<unknown> => {
    const { minimum, maximum, exclusiveMinimum, minItems, maxItems = minItems + ITEMS } = shape
    const min = minimum ?? exclusiveMinimum ?? -1_000
    if (type === 'object') return objects(shape)
    if (type === 'array')
      return fc.array(of(shape.items), {
        minLength: minItems,
        maxLength: Math.min(maxItems, minItems + ITEMS),
      })
    if (type === 'string') return texts(shape)
    if (type === 'integer')
      return fc
        .maxSafeInteger()
        .map((n) => min + (Math.abs(n) % (Math.min(maximum ?? 2 ** 31, 2 ** 31) - min + 1)))
    if (type === 'number') return fc.double({ min, max: maximum ?? 1_000_000, noNaN: true })
    if (type === 'boolean') return fc.boolean()
    if (type === 'null') return fc.constant(null)
    return fc.jsonValue()
  }
  const of = (schema: Schema): fc.Arbitrary<unknown> => {
    const shape = Shape.parse(schema)
    if (shape.$ref !== undefined) {
      const name = shape.$ref.split('/').at(-1) ?? ''
      const known = named.get(name) ?? of(components.schemas[name] ?? {})
      named.set(name, known)
      return known
    }
    if ('const' in schema) return fc.constant(shape.const)
    if (shape.enum) return fc.constantFrom(...shape.enum)
    const either = shape.anyOf ?? shape.oneOf
    if (either) return fc.oneof(...either.map(of))
    if (shape.allOf) return fc.tuple(...shape.allOf.map(of)).map((all) => Object.assign({}, ...all))
    const types = [shape.type ?? 'any'].flat()
    return fc.oneof(...types.map((type) => typed(shape, type)))
  }
  return of
}

const nested = (depth: number): unknown => {
  let value: unknown = []
  for (let at = 0; at < depth; at++) value = [value]
  return value
}

/** What is seldom meant. */
export const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[null, true, false, -1, 0.1, 1e308, 2 ** 53, '', '\u0000', '\ud800', '__proto__', 'constructor'],
    ...['x'.repeat(100_000), '\u202e🔔'.repeat(2_000), '../../etc/passwd', "'; drop table", '{{7*7}}', '%00'],
    ...['did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp', '1e400', 'http://127.0.0.1:1/', [], {}],
    ...[nested(60), nested(300), Array(3_000).fill(0), { toString: 1, __proto__: null, length: -1 }],
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.integer(),
  fc.double(),
  fc.jsonValue(),
)

const isParent = (value: unknown): value is object => typeof value === 'object' && value !== null

/** The value with something else, or with nothing, in one of its places. */
const replaced = (value: unknown, place: number, other: unknown): unknown => {
  let left = place
  const walk = (inner: unknown): unknown => {
    if (left-- === 0) return other
    if (Array.isArray(inner)) return inner.map(walk)
    if (!isParent(inner)) return inner
    return Object.fromEntries(Object.entries(inner).map(([name, one]) => [name, walk(one)]))
  }
  return walk(value)
}
const placesIn = (value: unknown): number =>
  isParent(value) ? 1 + Object.values(value).reduce((sum: number, one) => sum + placesIn(one), 0) : 1

export const mutated = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      values,
      fc.nat(),
      fc.oneof({ arbitrary: junk, weight: 4 }, { arbitrary: fc.constant(undefined), weight: 1 }),
    )
    .map(([value, place, other]) => replaced(value, place % placesIn(value), other))
