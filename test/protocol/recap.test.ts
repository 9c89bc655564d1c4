import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toBase64, toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import { encodeRecap, parseRecap, type Recap, recapStatement } from '../../src/protocol/recap.ts'
import { expectCode } from './throws.ts'

const all: Recap = { att: { 'https://notify.walletconnect.com': { 'manage/all-apps-notifications': [{}] } } }
const PREAMBLE = 'I further authorize the stated URI to perform the following actions on my behalf: '
const urn = (value: unknown) => `urn:recap:${toBase64url(utf8(JSON.stringify(value)))}`

describe('recaps', () => {
  it('are read as they are written', () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcXYZ-_.:'), minLength: 1, maxLength: 8 })
    const abilities = fc.dictionary(
      fc.tuple(name, name).map(([namespace, ability]) => `${namespace}/${ability}`),
      fc.constant<Record<string, unknown>[]>([{}]),
    )
    fc.assert(
      fc.property(fc.dictionary(name, abilities), (att) => {
        const recap = { att: { ...att } }
        expect(parseRecap(['https://keys.example', encodeRecap(recap)])).toEqual(recap)
      }),
    )
  })

  it('may use the standard alphabet and padding', () => {
    const recap = { att: { 'https://a.example/???>>>': { 'a/b': [{}] } } }
    expect(parseRecap([`urn:recap:${toBase64(utf8(JSON.stringify(recap)))}`])).toEqual(recap)
  })

  it('need not be there', () => {
    expect(parseRecap(undefined)).toBeUndefined()
    expect(parseRecap([])).toBeUndefined()
    expect(parseRecap(['https://keys.example', 'urn:other:abc'])).toBeUndefined()
  })

  it.each([
    ['there are two', [encodeRecap(all), encodeRecap(all)]],
    ['it is not the last resource', [encodeRecap(all), 'https://keys.example']],
    ['it is empty', ['urn:recap:']],
    ['it is not base64url', ['urn:recap:****']],
    ['it is not JSON', [`urn:recap:${toBase64url(utf8('{'))}`]],
    ['it has no att', [urn({})]],
    ['att is a list', [urn({ att: [] })]],
    ['an ability has no namespace', [urn({ att: { a: { b: [{}] } } })]],
    ['an ability has two slashes', [urn({ att: { a: { 'b/c/d': [{}] } } })]],
    ['an ability has no limits', [urn({ att: { a: { 'b/c': [] } } })]],
    ['an ability breaks the line', [urn({ att: { a: { 'b/c\nURI: https://evil.example': [{}] } } })]],
    ['a namespace breaks the line', [urn({ att: { a: { 'b\r/c': [{}] } } })]],
    ['a URI breaks the line', [urn({ att: { 'a\n\nURI: https://evil.example': { 'b/c': [{}] } } })]],
    ['limits are not objects', [urn({ att: { a: { 'b/c': ['d'] } } })]],
  ])('are refused when %s', (_, resources) => expectCode(() => parseRecap(resources), 'identity_invalid'))
})

describe('the sentence of a recap', () => {
  it.each<[Recap, string]>([
    [all, "(1) 'manage': 'all-apps-notifications' for 'https://notify.walletconnect.com'."],
    [
      { att: { 'https://notify.walletconnect.com': { 'manage/app.example.com-notifications': [{}] } } },
      "(1) 'manage': 'app.example.com-notifications' for 'https://notify.walletconnect.com'.",
    ],
    // These two as the published @walletconnect/utils writes them.
    [
      {
        att: {
          eip155: {
            'request/eth_sign': [{}],
            'request/eth_signTypedData_v4': [{}],
            'request/eth_sendTransaction': [{}],
            'request/personal_sign': [{}],
          },
        },
      },
      "(1) 'request': 'eth_sendTransaction', 'eth_sign', 'eth_signTypedData_v4', 'personal_sign' for 'eip155'.",
    ],
    [
      {
        att: {
          'https://a.com': { 'a/z': [{}], 'a/B': [{}], 'a/c': [{}], 'b/x': [{}], 'c/y': [{}] },
          'https://b.com': { 'q/w': [{}] },
        },
      },
      "(1) 'a': 'B', 'c', 'z' for 'https://a.com'. (2) 'b': 'x' for 'https://a.com'., (3) 'c': 'y' for 'https://a.com'. (4) 'q': 'w' for 'https://b.com'.",
    ],
  ])('is what wallets show', (recap, sentence) => expect(recapStatement(recap)).toBe(PREAMBLE + sentence))
})
