import { mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { runs } from '../../support/runs.ts'
import { schemas } from './shared.ts'

interface JsonSchema {
  type?: string | string[]
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  enum?: unknown[]
  pattern?: string
  minimum?: number
  maximum?: number
  const?: unknown
  additionalProperties?: JsonSchema
  propertyNames?: JsonSchema
}

const KEY_DID = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
const ACCOUNT_DID = 'did:pkh:eip155:1:0xab5801a7d398351b8be11c439e05c5b3259aec9b'
/** Texts of which each form has some: keys, topics, times, DIDs, types, languages, and none of all. */
const TEXTS = [
  ...[
    '',
    'x',
    '0',
    '1',
    'text',
    'two\nlines',
    'https://example.com/',
    'ftp://x',
    'http://',
    ' https://a.example ',
  ],
  ...['ab'.repeat(32), 'AB'.repeat(32), 'ab'.repeat(31), '22:30', '24:00', 'Europe/Berlin', 'x'.repeat(300)],
  ...['2026-02-28T10:00:00Z', '2026-02-30T10:00:00Z', '2024-02-29T10:00:00.123Z', '2026-01-01T10:00Z'],
  ...['2026-01-01T10:00:00+01:00', '2026-13-01T10:00:00Z', '0000-01-01T00:00:00Z', '2026-01-01T24:00:00Z'],
  ...[KEY_DID, 'did:key:z6Mk', 'did:web:app.example.com'],
  ...[ACCOUNT_DID, 'did:web:', 'did:pkh:eip155:1'],
  ...['order news', 'not/a type', '__proto__'],
]
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  1.5,
  20,
  50,
  1001,
  2_592_001,
  2 ** 53,
  1e21,
  Number.NaN,
  Number.POSITIVE_INFINITY,
]
// What JSON can say, and what it leaves out: a client reads nothing else.
const junk = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, {}, [], [[]], [null]),
  fc.constantFrom<unknown>(...TEXTS, ...NUMBERS),
  // As JSON has it: a member of its own, not the prototype.
  fc.constant(JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "id": "x"}')),
  fc.anything({ maxDepth: 2 }),
)

/** Members whose form no JSON Schema tells. */
const TOLD_BY_NAME: Record<string, string> = {
  ...{ iss: KEY_DID, aud: KEY_DID, sub: ACCOUNT_DID, app: 'did:web:app.example.com' },
  ...{ ksu: 'https://example.com/', scp: 'order news' },
}
const memberOf = (name: string, schema: JsonSchema): fc.Arbitrary<unknown> => {
  const told = TOLD_BY_NAME[name]
  const value = inputOf(schema)
  return told === undefined ? value : fc.oneof({ weight: 30, arbitrary: fc.constant(told) }, value)
}

const textOf = ({ pattern }: JsonSchema) => {
  const fitting = TEXTS.filter((text) => pattern !== undefined && new RegExp(pattern).test(text))
  const any = fc.constantFrom(...TEXTS)
  return fitting.length === 0 ? any : fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...fitting) }, any)
}
const numberOf = ({ minimum = 0, maximum = Infinity }: JsonSchema) =>
  fc.oneof(
    {
      weight: 30,
      arbitrary: fc.constantFrom(...NUMBERS.filter((each) => each >= minimum && each <= maximum)),
    },
    fc.constantFrom(...NUMBERS),
  )

/** Mostly what a schema takes. */
const likely = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  const options = schema.anyOf ?? schema.oneOf
  if (options) return fc.oneof(...options.map(inputOf))
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const [type] = [schema.type].flat()
  if (type === 'string') return textOf(schema)
  if (type === 'number' || type === 'integer') return numberOf(schema)
  if (type === 'boolean') return fc.boolean()
  if (type === 'array') return fc.array(inputOf(schema.items ?? {}), { maxLength: 3 })
  if (type === 'object' && schema.propertyNames) {
    return fc.dictionary(fc.constantFrom(...TEXTS), inputOf(schema.additionalProperties ?? {}), {
      maxKeys: 3,
    })
  }
  if (type === 'object') {
    const known = Object.entries(schema.properties ?? {}).map(
      ([name, one]) => [name, memberOf(name, one)] as const,
    )
    return fc
      .tuple(
        fc.record(Object.fromEntries(known)),
        fc.subarray(known.map(([name]) => name)),
        fc.nat({ max: 9 }),
        junk,
      )
      .map(([whole, left, chance, more]) => {
        const entries = Object.entries(whole).filter(([name]) => chance > 2 || !left.includes(name))
        return Object.fromEntries(chance > 7 ? [...entries, ['more', more]] : entries)
      })
  }
  return junk
}
const inputOf = (schema: JsonSchema): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 100, arbitrary: likely(schema) }, { weight: 1, arbitrary: junk })

const folder = mkdtempSync(resolve('node_modules/.schemas-'))
let ofClients: typeof schemas
beforeAll(async () => {
  const outfile = join(folder, 'schemas.mjs')
  const entryPoints = [resolve('test/platform/schema/shared.ts')]
  const alias = { '#schema': resolve('src/platform/schema/portable.ts') }
  const options = { bundle: true, format: 'esm', platform: 'node', packages: 'external' } as const
  await build({ ...options, entryPoints, outfile, alias, conditions: ['source'] })
  ofClients = (await import(pathToFileURL(outfile).href)).schemas
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a schema reads the same in a client and in a server', () => {
  it('knows all schemas', () => expect(Object.keys(ofClients).sort()).toEqual(Object.keys(schemas).sort()))

  it.each(Object.keys(schemas))('%s', (name) => {
    const server = schemas[name as keyof typeof schemas]
    const client = ofClients[name as keyof typeof schemas]
    const shape = z.toJSONSchema(server, { io: 'input', unrepresentable: 'any', reused: 'inline' })
    let taken = 0
    fc.assert(
      fc.property(inputOf(shape as JsonSchema), (value) => {
        const [ours, theirs] = [client.safeParse(value), server.safeParse(value)]
        expect(ours.success).toBe(theirs.success)
        expect(ours.data).toStrictEqual(theirs.data)
        if (ours.success) taken++
      }),
      { numRuns: runs(3000) },
    )
    expect(taken).toBeGreaterThan(0)
  })
})
