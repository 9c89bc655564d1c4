/** Requests out of the document: what it asks for, that with one thing wrong, and what nobody should send. */
import fc from 'fast-check'
import type { DescribedOperation, Document } from '../all-rooms.ts'
import { createValues, junk, mutated } from './values.ts'

export interface Wrong {
  operationId: string
  method: string
  path: string
  headers: Record<string, string>
  body?: string | undefined
}

/** How a caller may show who it is, by the names of the document. */
export type Credentials = Readonly<Record<string, Readonly<Record<string, string>>>>

const text = (value: unknown): string => {
  const said = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  // Half of a surrogate pair cannot stand in a URL.
  return Buffer.from(said.slice(0, 2_000)).toString()
}
/** Four of these, percent-encoded, are as much as Node takes in the head of a request. */
const partText = (value: unknown): string => {
  const said = text(value)
  return encodeURIComponent(said).length > MAX_PART_LENGTH ? said.slice(0, MAX_PART_LENGTH / 12) : said
}
/** Nothing but what may stand in a header. */
const headerText = (value: unknown): string =>
  text(value)
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 1_000)

const MAX_PART_LENGTH = 3_000
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'PROPFIND']
const TYPES = [
  ...[
    'application/json',
    'application/json; charset=utf-8',
    'text/plain',
    'application/x-www-form-urlencoded',
  ],
  ...[
    'multipart/form-data',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    '',
    'a/b;c',
    '{}',
  ],
]
const HEADERS = {
  'content-encoding': fc.constantFrom('gzip', 'br', 'identity', 'x'),
  accept: fc.constantFrom('text/html', '*/*', 'x'),
  'accept-encoding': fc.constantFrom('gzip', 'br', ''),
  origin: fc.constantFrom('https://evil.example', 'null', 'http://localhost'),
  'sec-fetch-site': fc.constantFrom('cross-site', 'same-origin', 'x'),
  'if-none-match': fc.constantFrom('*', '"x"'),
  range: fc.constant('bytes=0-1'),
  'x-forwarded-for': fc.string().map(headerText),
}

/** Seldom; else what was right. */
const seldom = <T>(right: fc.Arbitrary<T>, wrong: fc.Arbitrary<T>, one = 6): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: right, weight: one - 1 }, { arbitrary: wrong, weight: 1 })

export const createRequests = (
  document: Document,
  operations: readonly DescribedOperation[],
  credentials: Credentials,
): fc.Arbitrary<Wrong> => {
  const valuesOf = createValues(document)

  const parameters = (operation: DescribedOperation, place: string) =>
    fc.tuple(
      ...operation.parameters
        .filter((one) => one.in === place)
        .map(({ name, schema, example, required }) => {
          const fitting = valuesOf(schema).map(partText)
          const right = example === undefined ? fitting : fc.oneof(fc.constant(text(example)), fitting)
          const value = seldom(right, junk.map(partText))
          return fc.tuple(
            fc.constant(name),
            required && place === 'path' ? value : fc.option(value, { nil: undefined, freq: 6 }),
          )
        }),
    )

  const pathOf = (operation: DescribedOperation): fc.Arbitrary<string> =>
    fc.tuple(parameters(operation, 'path'), parameters(operation, 'query')).map(([parts, query]) => {
      const named = new Map(parts)
      const path = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
        // A part that is empty, or dots, is another path.
        encodeURIComponent(named.get(name)?.replace(/^\.+$/, 'dots') || 'x'),
      )
      const said = query.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
      return said.length === 0 ? path : `${path}?${new URLSearchParams(said)}`
    })

  const authOf = ({ security }: DescribedOperation): fc.Arbitrary<Readonly<Record<string, string>>> => {
    const right = security.flatMap((one) => Object.keys(one).map((scheme) => credentials[scheme] ?? {}))
    const any = fc.constantFrom<Readonly<Record<string, string>>>({}, ...Object.values(credentials))
    const nonsense = junk.map((value) => ({ authorization: `Bearer ${headerText(value)}` }))
    return seldom(right.length > 0 ? fc.constantFrom(...right) : fc.constant({}), fc.oneof(any, nonsense))
  }

  const bodyOf = ({ requestBody }: DescribedOperation): fc.Arbitrary<string | undefined> => {
    const [content] = Object.values(requestBody?.content ?? {})
    const raw = fc.oneof(
      junk.map(text),
      fc.constantFrom('{', '[', 'null', '{}', '[]', '{"a":1e400}', '"\\ud800"', '\u0000'),
    )
    if (!content) return seldom(fc.constant(undefined), raw, 10)
    const fitting = fc.oneof(fc.constant(content.example), valuesOf(content.schema))
    const json = seldom(fitting, mutated(fitting), 2).map((value) =>
      typeof value === 'string' ? value : JSON.stringify(value),
    )
    return seldom(json, fc.option(raw, { nil: undefined }), 10)
  }

  const requestOf = (operation: DescribedOperation): fc.Arbitrary<Wrong> => {
    const [type = ''] = Object.keys(operation.requestBody?.content ?? { 'application/json': 0 })
    return fc
      .record({
        method: seldom(fc.constant(operation.method), fc.constantFrom(...METHODS), 15),
        path: pathOf(operation),
        auth: authOf(operation),
        declared: parameters(operation, 'header'),
        type: seldom(fc.constant(type), fc.constantFrom(...TYPES), 15),
        more: seldom(fc.constant({}), fc.record(HEADERS, { requiredKeys: [] }), 8),
        body: bodyOf(operation),
      })
      .map(({ method, path, auth, declared, type, more, body }) => ({
        ...{ operationId: operation.operationId, method, path, body },
        headers: {
          ...Object.fromEntries(
            declared.flatMap(([name, value]) =>
              value === undefined ? [] : [[name.toLowerCase(), headerText(value)]],
            ),
          ),
          ...(type !== '' && { 'content-type': type }),
          ...more,
          ...auth,
        },
      }))
  }
  return fc.oneof(...operations.map(requestOf))
}
