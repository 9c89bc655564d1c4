import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  batchOf,
  idTextOf,
  parseRpc,
  payloadId,
  payloadIds,
  rpcFailure,
  rpcRequest,
  rpcResult,
} from '../../src/protocol/jsonrpc.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

const request = (idText: string, more = '') => `{"id":${idText},"jsonrpc":"2.0","method":"m"${more}}`

describe('ids', () => {
  it.each([
    '1',
    '0',
    '-1',
    '-0',
    '1.0',
    '1e3',
    '1795200000000001',
    '9007199254740993',
    '18446744073709551615',
    '123456789012345678901234567890',
    '"1795200000000001234"',
    '""',
    '"a\\"b"',
    '"\\u0031"',
    '"}{"',
    '"\\\\"',
    '"ä"',
    'null',
  ])('keep their text: %s', (idText) => {
    expect(parseRpc(request(idText))).toEqual({ kind: 'request', idText, method: 'm', params: undefined })
    expect(parseRpc(`{"jsonrpc":"2.0","result":1 , "id" :\n${idText}\t}`)).toEqual({
      kind: 'result',
      idText,
      result: 1,
    })
    expect(rpcResult(idText, true)).toBe(`{"id":${idText},"jsonrpc":"2.0","result":true}`)
  })

  it('are found behind anything', () => {
    const id = fc.oneof(
      fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }).map(String),
      fc.string({ unit: 'binary', maxLength: 20 }).map((text) => JSON.stringify(text)),
    )
    const spaces = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 })
    fc.assert(
      fc.property(id, fc.jsonValue(), fc.jsonValue(), spaces, (idText, before, after, space) => {
        const text =
          `${space}{${space}"a"${space}:${space}${JSON.stringify(before)}${space},"method":"m","jsonrpc":"2.0",` +
          `"params":${JSON.stringify({ id: 'not this', in: [before, { id: 2 }] })},${space}"id"${space}:${space}${idText}` +
          `${space},"z":${JSON.stringify(after, null, 1)}${space}}${space}`
        expect(parseRpc(text)).toMatchObject({ kind: 'request', idText, method: 'm' })
        expect(idTextOf(text)).toBe(idText)
      }),
      { numRuns: runs(2000) },
    )
  })

  it('mean the last one of several, as in JSON.parse, however it is spelled', () => {
    expect(parseRpc('{"id":1,"jsonrpc":"2.0","method":"m","id":2}')).toMatchObject({ idText: '2' })
    expect(parseRpc('{"id":1,"jsonrpc":"2.0","method":"m","\\u0069d":3}')).toMatchObject({ idText: '3' })
    expect(parseRpc('{"\\u0069\\u0064":4,"jsonrpc":"2.0","method":"m"}')).toMatchObject({ idText: '4' })
    expectCode(() => parseRpc('{"id":1,"jsonrpc":"2.0","method":"m","id":[]}'), 'bad_request')
  })

  it('are not taken from keys and texts that look like it', () => {
    const text =
      '{"Id":9,"jsonrpc":"2.0","a":"\\",\\"id\\":8","method":"m","\\\\id":7,"ids":6,"id":5,"__proto__":{"id":4}}'
    expect(parseRpc(text)).toMatchObject({ idText: '5' })
    expect(parseRpc('{"jsonrpc":"2.0","method":"m","params":{"id":1}}')).toEqual({
      kind: 'notification',
      idText: undefined,
      method: 'm',
      params: { id: 1 },
    })
  })

  it('are found for the answer to a message that is otherwise wrong', () => {
    expect(idTextOf('{"id":12345678901234567890,"jsonrpc":"1.0"}')).toBe('12345678901234567890')
    expect(idTextOf('{"id":"a","method":7}')).toBe('"a"')
    for (const text of [
      '',
      '{',
      '[]',
      'null',
      '{}',
      '{"id":{}}',
      '{"id":null}',
      `{"id":"${'a'.repeat(300)}"}`,
    ]) {
      expect(idTextOf(text), text.slice(0, 40)).toBeUndefined()
    }
  })
})

describe('messages', () => {
  it('are told apart', () => {
    expect(parseRpc('{"id":1,"jsonrpc":"2.0","method":"m","params":[1]}')).toEqual({
      kind: 'request',
      idText: '1',
      method: 'm',
      params: [1],
    })
    expect(parseRpc('{"id":1,"jsonrpc":"2.0","result":null}')).toEqual({
      kind: 'result',
      idText: '1',
      result: null,
    })
    expect(parseRpc('{"id":null,"jsonrpc":"2.0","error":{"code":-32700,"message":"no","data":{}}}')).toEqual({
      kind: 'failure',
      idText: 'null',
      code: -32700,
      message: 'no',
    })
    expect(parseRpc('{"id":1,"jsonrpc":"2.0","result":true,"error":null}')).toMatchObject({ kind: 'result' })
  })

  it('are read as they are written', () => {
    const name = fc.string()
    fc.assert(
      fc.property(fc.nat(), name, fc.jsonValue(), fc.integer(), (id, method, value, code) => {
        const params = JSON.parse(JSON.stringify(value))
        expect(parseRpc(rpcRequest(id, method, value))).toEqual({
          kind: 'request',
          idText: String(id),
          method,
          params,
        })
        expect(parseRpc(rpcResult(`"${id}"`, value))).toEqual({
          kind: 'result',
          idText: `"${id}"`,
          result: params,
        })
        expect(parseRpc(rpcFailure(`${id}`, code, method))).toEqual({
          kind: 'failure',
          idText: `${id}`,
          code,
          message: method,
        })
      }),
      { numRuns: runs(500) },
    )
    expect(rpcRequest('"7"', 'm', undefined)).toBe('{"id":"7","jsonrpc":"2.0","method":"m","params":null}')
    expect(rpcResult('7', undefined)).toBe('{"id":7,"jsonrpc":"2.0","result":null}')
    expect(rpcFailure(null, 1, 'a')).toBe('{"id":null,"jsonrpc":"2.0","error":{"code":1,"message":"a"}}')
  })

  it.each([
    '',
    ' ',
    '{',
    'nothing',
    "{'id':1}",
    '{"id":01}',
    '{"id":1,}',
    '[1',
    '"',
    '\u0000',
    'undefined',
    '{"id":1}x',
  ])('that are not JSON are said to be so: %j', (text) => expectCode(() => parseRpc(text), 'bad_json'))

  it.each([
    'null',
    'true',
    '1',
    '"text"',
    '[]',
    '{}',
    '[{"id":1,"jsonrpc":"2.0","method":"m"}]',
    '{"id":1,"method":"m"}',
    '{"id":1,"jsonrpc":"1.0","method":"m"}',
    '{"id":1,"jsonrpc":2.0,"method":"m"}',
    '{"id":1,"jsonrpc":"2.0"}',
    '{"id":1,"jsonrpc":"2.0","method":7}',
    '{"id":1,"jsonrpc":"2.0","method":null}',
    '{"id":[],"jsonrpc":"2.0","method":"m"}',
    '{"id":{},"jsonrpc":"2.0","method":"m"}',
    '{"id":true,"jsonrpc":"2.0","method":"m"}',
    '{"jsonrpc":"2.0","result":1}',
    '{"jsonrpc":"2.0","error":{"code":1,"message":"a"}}',
    '{"id":1,"jsonrpc":"2.0","error":"text"}',
    '{"id":1,"jsonrpc":"2.0","error":{"code":"1","message":"a"}}',
    '{"id":1,"jsonrpc":"2.0","error":{"code":1}}',
    `{"id":"${'1'.repeat(300)}","jsonrpc":"2.0","method":"m"}`,
    `{"id":${'1'.repeat(300)},"jsonrpc":"2.0","method":"m"}`,
    '{"__proto__":{"id":1,"jsonrpc":"2.0","method":"m"}}',
  ])('that are not JSON-RPC are said to be so: %.90j', (text) =>
    expectCode(() => parseRpc(text), 'bad_request'),
  )

  it.each(['[', '{"a":'])('survive nesting by %j, a hundred thousand deep', (open) => {
    const depth = 100_000
    expectCode(() => parseRpc(open.repeat(depth)), 'bad_json')
    const close = open === '[' ? ']' : '}'
    const nested = `${open.repeat(depth)}1${close.repeat(depth)}`
    expectCode(() => parseRpc(nested.startsWith('[') ? nested : `[${nested}]`), 'bad_request')
    expect(parseRpc(`{"params":${nested},"id":77,"jsonrpc":"2.0","method":"m"}`)).toMatchObject({
      idText: '77',
    })
  })

  it('never fail in another way, whatever the text', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      'id',
      '"id"',
      '1',
      'null',
      ' ',
      '"jsonrpc":"2.0"',
      '"method":"m"',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), (pieces) => {
        const text = pieces.join('')
        try {
          parseRpc(text)
        } catch (error) {
          expect(error).toMatchObject({ name: 'ProtocolError' })
        }
        idTextOf(text)
      }),
      { numRuns: runs(5000) },
    )
  })
})

describe('batches', () => {
  it('are their members, byte for byte', () => {
    const members = fc.array(fc.json({ maxDepth: 3 }).chain((text) => fc.constantFrom(text, indented(text))))
    const spaces = fc
      .array(fc.constantFrom(' ', '\n', '\t', '\r'), { maxLength: 3 })
      .map((some) => some.join(''))
    fc.assert(
      fc.property(members, spaces, (all, space) => {
        const text = `${space}[${space}${all.join(`${space},${space}`)}${space}]${space}`
        expect(batchOf(text)).toEqual(all)
      }),
    )
  })

  it.each(['{}', '{"a":[1]}', '"[1]"', '5', 'null', ' true '])('are not %s', (text) => {
    expect(batchOf(text)).toBeUndefined()
  })

  it.each(['', '[', '[1,]', '[1 2]', ']', '[1]]', '[1],'])('%j is no JSON', (text) => {
    expectCode(() => batchOf(text), 'bad_json')
  })
})
const indented = (text: string): string => JSON.stringify(JSON.parse(text), undefined, 2)

describe('ids that we make', () => {
  it('have 16 digits', () => {
    for (let n = 0; n < 1000; n++)
      expect(String(payloadId(1_767_225_600_000))).toMatch(/^1767225600000\d{3}$/)
    expect(payloadId(1_767_225_600_000, () => Uint8Array.of(3, 231))).toBe(1_767_225_600_000_999)
  })

  it('rise, also within a millisecond and when the clock goes back', () => {
    let now = 1_767_225_600_000
    const next = payloadIds(() => now)
    let last = 0
    for (let n = 0; n < 5000; n++) {
      if (n === 2000) now -= 10_000
      const id = next()
      expect(id).toBeGreaterThan(last)
      expect(Number.isSafeInteger(id)).toBe(true)
      last = id
    }
  })
})
