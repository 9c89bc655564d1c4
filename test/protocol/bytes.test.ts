import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Bytes } from '../../src/platform/runtime/bytes.ts'
import { bytes as native } from '../../src/platform/runtime/bytes-node.ts'
import { bytes as portable } from '../../src/platform/runtime/bytes-portable.ts'
import {
  concat,
  equalBytes,
  fromBase58,
  fromBase64,
  fromBase64url,
  fromHex,
  fromUtf8,
  toBase58,
  toBase64,
  toBase64url,
  toHex,
  utf8,
} from '../../src/protocol/bytes.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

const bytes = fc.uint8Array({ maxLength: 200 })
const RUNS = { numRuns: runs(1000) }

describe('bytes', () => {
  it('spells what Buffer spells, and reads it back', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const buffer = Buffer.from(value)
        expect(toHex(value)).toBe(buffer.toString('hex'))
        expect(fromHex(toHex(value))).toEqual(value)
        expect(fromHex(toHex(value).toUpperCase())).toEqual(value)
        expect(toBase64(value)).toBe(buffer.toString('base64'))
        expect(fromBase64(toBase64(value))).toEqual(value)
        expect(toBase64url(value)).toBe(buffer.toString('base64url'))
        expect(fromBase64url(toBase64url(value))).toEqual(value)
        expect(fromBase58(toBase58(value))).toEqual(value)
      }),
      RUNS,
    )
  })

  it('reads base64url with padding and with the standard alphabet too', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const standard = toBase64(value)
        expect(fromBase64url(standard)).toEqual(value)
        expect(fromBase64url(standard.replace(/=+$/, ''))).toEqual(value)
        expect(fromBase64url(standard.replaceAll('+', '-').replaceAll('/', '_'))).toEqual(value)
      }),
      RUNS,
    )
  })

  it('gives one text for each value: what decodes encodes to the same text', () => {
    const text = fc.string({
      unit: fc.constantFrom(...'ABCDwxyz0189+/=-_'),
      maxLength: 12,
    })
    fc.assert(
      fc.property(text, (candidate) => {
        let decoded: Uint8Array
        try {
          decoded = fromBase64(candidate)
        } catch {
          return
        }
        expect(toBase64(decoded)).toBe(candidate)
      }),
      { numRuns: runs(5000) },
    )
  })

  it.each([
    'A',
    'AAA',
    'AA=',
    'A===',
    'AAAA=',
    '====',
    'AA=A',
    'AB==',
    'AAB=',
    'AA\n=',
    'AAA-',
    'AA AA',
    'ÀAAA',
    'AAA\u0141',
  ])('refuses %j as base64', (text) => expectCode(() => fromBase64(text), 'bad_params'))

  it.each(['A', 'AAAAA', 'AB', 'AAB', 'AA=', 'AAA==', 'AAAA=', 'A A', 'AA.A', '\u0141AAA'])(
    'refuses %j as base64url',
    (text) => expectCode(() => fromBase64url(text), 'bad_params'),
  )

  it.each(['0', '0x00', 'gg', '0 ', '00 ', '\u0130\u0130', 'é0'])('refuses %j as hex', (text) =>
    expectCode(() => fromHex(text), 'bad_params'),
  )

  it.each(['0', 'O', 'l', 'I', 'z+', ' ', 'é', '1'.repeat(1000)])('refuses %j as base58', (text) =>
    expectCode(() => fromBase58(text), 'bad_params'),
  )

  it('reads and writes UTF-8, byte order marks included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(fromUtf8(utf8(text))).toBe(text)
      }),
      RUNS,
    )
    expect(fromUtf8(utf8('\ufeffa'))).toBe('\ufeffa')
  })

  it.each([[[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0xf5, 0x80, 0x80, 0x80]], [[0x61, 0xe2, 0x82]]])(
    'refuses the bytes %j as UTF-8',
    (values) => expectCode(() => fromUtf8(Uint8Array.from(values)), 'bad_request'),
  )

  it('joins and compares', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 5 }), bytes, bytes, (parts, a, b) => {
        expect(toHex(concat(...parts))).toBe(parts.map(toHex).join(''))
        expect(equalBytes(a, b)).toBe(toHex(a) === toHex(b))
        expect(equalBytes(a, a.slice())).toBe(true)
      }),
    )
  })
})

describe('the implementations of Bytes give the same', () => {
  /** Asks both and gives the answer that they must agree on; plain bytes, no Buffer. */
  const agreed = (ask: (bytes: Bytes) => unknown): unknown => {
    const answer = ask(native)
    expect(answer).toStrictEqual(ask(portable))
    return answer
  }
  const texts = fc.array(fc.nat({ max: 0xffff })).map((units) => String.fromCharCode(...units))
  /** Nearly what an encoder writes: cut, or one character is another one, of the other alphabet or foreign. */
  const spelled = fc
    .tuple(bytes, fc.constantFrom('toHex', 'toBase64', 'toBase64url'), fc.nat(), fc.nat({ max: 20 }))
    .map(([value, spelling, where, how]) => {
      const text = portable[spelling](value)
      const at = text.length > 0 ? where % text.length : 0
      const others = [
        '',
        '=',
        '==',
        '-',
        '_',
        '+',
        '/',
        ' ',
        '\n',
        'B',
        '\u0141',
        '\u0130',
        '\ud83d',
        '\0',
        'é',
      ]
      const other = others[how]
      return other === undefined ? text : text.slice(0, at) + other + text.slice(at + 1)
    })

  it('for base58, and for what is nearly so', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.nat({ max: 3 }),
        fc.constantFrom('', '0', 'l', 'ł', '\ud83d', '1'),
        (value, zeros, other) => {
          const all = Uint8Array.from([...new Uint8Array(zeros), ...value])
          const text = agreed((its) => its.toBase58(all))
          expect(agreed((its) => its.fromBase58(`${text}`))).toEqual(all)
          agreed((its) => its.fromBase58(`${text}${other}`))
          agreed((its) => its.fromBase58(`${other}${text}`))
        },
      ),
    )
  })

  it('serves the native one to Node', () => {
    expect(Object.keys(native).sort()).toEqual(Object.keys(portable).sort())
  })

  it('for base58, whatever is written and read', () => {
    const zeros = fc.nat({ max: 3 }).map((count) => new Uint8Array(count))
    const nearly = fc
      .array(fc.constantFrom(...'123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'), {
        maxLength: 60,
      })
      .map((chars) => chars.join(''))
    fc.assert(
      fc.property(zeros, fc.uint8Array({ maxLength: 70 }), nearly, texts, (head, tail, text, other) => {
        const value = concat(head, tail)
        expect(agreed((each) => each.fromBase58(String(agreed((which) => which.toBase58(value)))))).toEqual(
          value,
        )
        agreed((each) => each.fromBase58(text))
        agreed((each) => each.fromBase58(text + other))
      }),
      RUNS,
    )
  })

  it('for UTF-8 and what is nearly so, also where no decoder refuses anything', async () => {
    vi.stubGlobal('TextDecoder', undefined)
    vi.resetModules()
    const { bytes: bare } = await import('../../src/platform/runtime/bytes-portable.ts')
    vi.unstubAllGlobals()
    const nearly = fc
      .tuple(fc.string({ unit: 'binary' }), fc.nat(), fc.nat({ max: 255 }))
      .map(([text, where, value]) => {
        const whole = native.utf8(text)
        return whole.length === 0 ? whole : whole.with(where % whole.length, value)
      })
    fc.assert(
      fc.property(fc.oneof(bytes, nearly, texts.map(native.utf8)), (value) => {
        expect(bare.fromUtf8(value)).toBe(agreed((each) => each.fromUtf8(value)))
      }),
      RUNS,
    )
  })

  it('for whatever is written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat({ max: 9 }), (whole, from) => {
        const value = whole.subarray(from)
        agreed((each) => each.toHex(value))
        agreed((each) => each.toBase64(value))
        agreed((each) => each.toBase64url(value))
      }),
      RUNS,
    )
    fc.assert(
      fc.property(texts, (text) => void agreed((each) => each.utf8(text))),
      RUNS,
    )
    expect(agreed((each) => each.utf8('a\ud83db'))).toEqual(Uint8Array.of(0x61, 0xef, 0xbf, 0xbd, 0x62))
  })

  it('for whatever is read', () => {
    fc.assert(
      fc.property(fc.oneof(spelled, texts), (text) => {
        agreed((each) => each.fromHex(text))
        agreed((each) => each.fromBase64(text))
        agreed((each) => each.fromBase64url(text))
      }),
      { numRuns: runs(5000) },
    )
  })
})
