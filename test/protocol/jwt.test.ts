import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { toBase64, toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import { x25519Did } from '../../src/protocol/did.ts'
import { type Claims, decodeJwt, signJwt, verifyJwt } from '../../src/protocol/jwt.ts'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

const key = signingKeyFrom(new Uint8Array(32).fill(1))
const other = signingKeyFrom(new Uint8Array(32).fill(2))
const iat = 1_767_225_600
const now = iat * 1000
const claims = (more: Record<string, unknown> = {}): Claims => ({
  iss: key.did,
  iat,
  exp: iat + 300,
  aud: other.did,
  act: 'notify_update',
  ...more,
})

/** A JWT out of exactly these texts, signed whatever they are. */
const forge = (header: string, payload: string, seed = key.seed) => {
  const input = `${header}.${payload}`
  return `${input}.${toBase64url(crypto.ed25519Sign(utf8(input), seed))}`
}
const part = (value: unknown) => toBase64url(utf8(JSON.stringify(value)))
const HEADER = part({ typ: 'JWT', alg: 'EdDSA' })

describe('signing', () => {
  it('writes the header as the reference does, and the claims as they are', () => {
    const token = signJwt(claims({ msg: { title: 'ä' } }), key)
    expect(token.startsWith(`${HEADER}.`)).toBe(true)
    expect(decodeJwt(token)).toEqual({
      header: { typ: 'JWT', alg: 'EdDSA' },
      claims: claims({ msg: { title: 'ä' } }),
    })
    expect(signJwt(claims(), key)).toBe(signJwt(claims(), key))
  })

  it('is verified, whatever the claims', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (more) => {
        const { iss: _, iat: __, exp: ___, nbf: ____, ...rest } = more
        const token = signJwt({ ...rest, iss: key.did, iat, exp: iat + 300 }, key)
        const read = verifyJwt(token, { now })
        expect(JSON.stringify(read.iss)).toBe(JSON.stringify(key.did))
        for (const name of Object.keys(rest)) {
          if (name !== '__proto__') expect(JSON.stringify(read[name])).toBe(JSON.stringify(rest[name]))
        }
      }),
      { numRuns: runs(300) },
    )
  })
})

describe('what real clients send', () => {
  it.each([
    ['another key order', part({ alg: 'EdDSA', typ: 'JWT' })],
    ['no typ', part({ alg: 'EdDSA' })],
    ['more in the header', part({ alg: 'EdDSA', kid: 'x', typ: 'jwt' })],
  ])('may have %s', (_, header) => {
    expect(verifyJwt(forge(header, part(claims())), { now })).toEqual(claims())
  })

  it('may be padded and use the standard alphabet in any part', () => {
    const payload = toBase64(utf8(JSON.stringify(claims({ text: '>>>???~~~ÿÿÿ' }))))
    expect(payload).toMatch(/[+/]/)
    const input = `${toBase64(utf8('{"alg":"EdDSA"}'))}.${payload}`
    const signature = toBase64(crypto.ed25519Sign(utf8(input), key.seed))
    expect(verifyJwt(`${input}.${signature}`, { now })).toEqual(claims({ text: '>>>???~~~ÿÿÿ' }))
  })

  it('may say times in milliseconds, and fractions of seconds', () => {
    const token = signJwt(claims({ iat: iat * 1000 + 7, exp: (iat + 300) * 1000 }), key)
    expect(verifyJwt(token, { now })).toMatchObject({ iat, exp: iat + 300 })
    expect(verifyJwt(signJwt(claims({ iat: iat + 0.5 }), key), { now })).toMatchObject({ iat: iat + 0.5 })
  })
})

describe('time', () => {
  it.each([
    ['just before it is too old', iat + 599],
    ['as old as the leeway', iat - 300],
  ])('is right %s', (_, at) => {
    expect(verifyJwt(signJwt(claims(), key), { now: at * 1000 })).toEqual(claims())
  })

  it.each([
    ['expired', iat + 600, {}],
    ['from the future', iat - 301, {}],
    ['not valid yet', iat, { nbf: iat + 301 }],
    ['expired in milliseconds', iat + 600, { iat: iat * 1000, exp: (iat + 300) * 1000 }],
    ['expired long ago', iat, { iat: 0, exp: 1 }],
  ])('is wrong when the JWT is %s', (_, at, more) => {
    expectCode(() => verifyJwt(signJwt(claims(more), key), { now: at * 1000 }), 'jwt_expired')
  })

  it('is taken with the leeway that was asked for', () => {
    const token = signJwt(claims(), key)
    expect(verifyJwt(token, { now: (iat + 419) * 1000, leeway: 120 })).toEqual(claims())
    expectCode(() => verifyJwt(token, { now: (iat + 420) * 1000, leeway: 120 }), 'jwt_expired')
    expectCode(() => verifyJwt(token, { now: (iat + 300) * 1000, leeway: 0 }), 'jwt_expired')
  })
})

describe('what is expected', () => {
  const token = signJwt(claims(), key)

  it('is found', () => {
    const expected = { now, act: 'notify_update', audience: other.did, issuer: key.did }
    expect(verifyJwt(token, expected)).toEqual(claims())
  })

  it.each([
    ['jwt_wrong_act', { act: 'notify_delete' }],
    ['jwt_wrong_audience', { audience: key.did }],
    ['jwt_invalid', { issuer: other.did }],
  ] as const)('is missed with %s', (code, expected) => {
    expectCode(() => verifyJwt(token, { now, ...expected }), code)
  })

  it('is missed where the claim is absent or of another type', () => {
    expectCode(() => verifyJwt(signJwt(claims({ act: undefined }), key), { now, act: 'a' }), 'jwt_wrong_act')
    const many = signJwt(claims({ aud: [other.did] }), key)
    expectCode(() => verifyJwt(many, { now, audience: other.did }), 'jwt_wrong_audience')
  })
})

describe('forgeries', () => {
  const token = signJwt(claims(), key)
  const [header = '', payload = '', signature = ''] = token.split('.')

  it('are found wherever a character was changed', () => {
    fc.assert(
      fc.property(fc.nat({ max: token.length - 1 }), fc.constantFrom(...'ABab01-_.'), (at, char) => {
        const forged = token.slice(0, at) + char + token.slice(at + 1)
        if (forged !== token) expectCode(() => verifyJwt(forged, { now }), 'jwt_invalid')
      }),
      { numRuns: runs(500) },
    )
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['one part', header],
    ['two parts', `${header}.${payload}`],
    ['four parts', `${token}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['somebody else’s signature', forge(header, payload, other.seed)],
    ['a short signature', `${header}.${payload}.${signature.slice(0, 40)}`],
    ['alg none', forge(part({ alg: 'none' }), payload)],
    ['alg ES256', forge(part({ alg: 'ES256' }), payload)],
    ['no alg', forge(part({ typ: 'JWT' }), payload)],
    ['a critical extension', forge(part({ alg: 'EdDSA', crit: ['b64'], b64: false }), payload)],
    ['a header that is no object', forge(part('EdDSA'), payload)],
    ['a header that is no JSON', forge(toBase64url(utf8('{')), payload)],
    ['a payload that is no object', forge(header, part([]))],
    ['a payload that is no JSON', forge(header, toBase64url(utf8('nothing')))],
    ['a payload that is no UTF-8', forge(header, toBase64url(Uint8Array.of(0x22, 0xff, 0x22)))],
    ['a payload that is no base64url', forge(header, '****')],
    ['no issuer', forge(header, part({ ...claims(), iss: undefined }))],
    ['an issuer that is no did:key', forge(header, part(claims({ iss: 'did:web:example.com' })))],
    ['an X25519 key as issuer', forge(header, part(claims({ iss: x25519Did(key.publicKey) })))],
    ['no iat', forge(header, part({ ...claims(), iat: undefined }))],
    ['no exp', forge(header, part({ ...claims(), exp: undefined }))],
    ['a text for a time', forge(header, part(claims({ exp: '2000000000' })))],
    ['a negative time', forge(header, part(claims({ iat: -1 })))],
    [
      'an infinite time',
      forge(header, toBase64url(utf8(JSON.stringify(claims()).replace(`${iat},`, '1e999,')))),
    ],
    ['great depth', forge(header, toBase64url(utf8('['.repeat(100_000))))],
  ])('with %s are refused', (_, forged) => {
    expectCode(() => verifyJwt(forged, { now }), 'jwt_invalid')
  })

  it('cannot choose their key in the header', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(other.publicKey) }
    const forged = forge(part({ alg: 'EdDSA', jwk, kid: other.did }), payload, other.seed)
    expectCode(() => verifyJwt(forged, { now }), 'jwt_invalid')
  })
})
