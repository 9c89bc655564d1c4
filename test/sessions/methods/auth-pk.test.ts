import { createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { toBase64url, toHex, utf8 } from '../../../src/protocol/bytes.ts'
import { generateSigningKey, signingKeyFrom } from '../../../src/protocol/keys.ts'
import { type AuthPkResult, authPk, verifyAuthPk } from '../../../src/sessions/methods/auth-pk.ts'

const NOW = 1_700_000_000_123
const IAT = 1_700_000_000
const key = signingKeyFrom(new Uint8Array(32).map((_, at) => at * 7))
const params = { origin: 'My App', b64Challenge: 'dGVzdC1jaGFsbGVuZ2U=' }
const expected = { ...params, now: NOW }

const call = async (asked: unknown, signer = key): Promise<AuthPkResult> => {
  const method = authPk(signer)
  return method.handler(method.schema.parse(asked), { approve: async () => undefined, now: () => NOW })
}
const decode = (part = ''): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())

describe('the answer', () => {
  it('has exactly this header and payload, signed by the key that it names', async () => {
    const { pk, signature } = await call(params)
    expect(pk).toBe(`SIG:ED25519:PK{${toHex(key.publicKey)}}`)
    const [header, payload, signed = ''] = signature.split('.')
    expect(Buffer.from(header ?? '', 'base64url').toString()).toBe('{"alg":"EdDSA"}')
    expect(decode(payload)).toEqual({
      sub: params.b64Challenge,
      iss: pk,
      aud: 'My App',
      iat: IAT,
      exp: IAT + 60,
    })
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(key.publicKey) }
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    expect(
      verify(null, Buffer.from(`${header}.${payload}`), publicKey, Buffer.from(signed, 'base64url')),
    ).toBe(true)
  })

  it('as a DID names the same key', async () => {
    const { pk, signature } = await call({ ...params, pkFormat: 'did', sigFormat: 'jws' })
    expect(pk).toMatch(/^did:jwk:/)
    expect(Buffer.from(pk.slice(8), 'base64url').toString()).toBe(
      JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x: toBase64url(key.publicKey) }),
    )
    expect(decode(signature.split('.')[1])).toMatchObject({ iss: pk })
    expect(verifyAuthPk({ pk, signature }, expected)).toEqual({ pk, publicKey: key.publicKey })
  })
})

it.each([
  {},
  { origin: 'x' },
  { b64Challenge: 'AAAA' },
  { ...params, origin: '' },
  { ...params, origin: 7 },
  { ...params, b64Challenge: '' },
  { ...params, b64Challenge: 'not base64!' },
  { ...params, pkFormat: 'hex' },
  { ...params, sigFormat: 'raw' },
  { ...params, b64Challenge: 'A'.repeat(9_000) },
])('does not take %j', (odd) => expect(authPk(key).schema.safeParse(odd).success).toBe(false))

describe('the verifier', () => {
  const forge = (
    claims: Record<string, unknown>,
    { header = { alg: 'EdDSA' }, signer = key }: { header?: unknown; signer?: typeof key } = {},
  ) => {
    const part = (value: unknown) => toBase64url(utf8(JSON.stringify(value)))
    const input = `${part(header)}.${part(claims)}`
    return `${input}.${toBase64url(crypto.ed25519Sign(utf8(input), signer.seed))}`
  }
  const pk = `SIG:ED25519:PK{${toHex(key.publicKey)}}`
  const claims = { sub: params.b64Challenge, iss: pk, aud: 'My App', iat: IAT, exp: IAT + 60 }
  const other = generateSigningKey()

  it('takes what the wallet gives, until it is over', async () => {
    const result = await call(params)
    expect(verifyAuthPk(result, expected).publicKey).toEqual(key.publicKey)
    expect(verifyAuthPk({ pk, signature: forge(claims) }, expected).pk).toBe(pk)
    expect(verifyAuthPk(result, { ...expected, now: NOW + 89_000 }).pk).toBe(pk)
    for (const now of [NOW + 91_000, NOW - 40_000]) {
      expect(() => verifyAuthPk(result, { ...expected, now })).toThrow(
        expect.objectContaining({ code: 'jwt_expired' }),
      )
    }
  })

  it.each<[string, string, unknown]>([
    ['nothing', 'bad_params', undefined],
    ['no signature', 'bad_params', { pk }],
    ['a key that is none', 'bad_params', { pk: 'SIG:ED25519:PK{00}', signature: forge(claims) }],
    [
      'a key of another kind',
      'bad_params',
      { pk: `SIG:SECP256K1:PK{${'02'.repeat(33)}}`, signature: forge(claims) },
    ],
    [
      'a did:jwk of another kind',
      'bad_params',
      {
        pk: `did:jwk:${toBase64url(utf8('{"kty":"EC","crv":"P-256","x":"A","y":"A"}'))}`,
        signature: forge(claims),
      },
    ],
    ['another signer', 'jwt_invalid', { pk, signature: forge(claims, { signer: other }) }],
    [
      'another key’s name',
      'jwt_invalid',
      { pk, signature: forge({ ...claims, iss: `SIG:ED25519:PK{${toHex(other.publicKey)}}` }) },
    ],
    ['another challenge', 'jwt_invalid', { pk, signature: forge({ ...claims, sub: 'AAAA' }) }],
    ['another origin', 'jwt_wrong_audience', { pk, signature: forge({ ...claims, aud: 'Their App' }) }],
    ['a longer life', 'jwt_invalid', { pk, signature: forge({ ...claims, exp: IAT + 6_000 }) }],
    ['a claim more', 'jwt_invalid', { pk, signature: forge({ ...claims, nbf: IAT }) }],
    ['a claim less', 'jwt_invalid', { pk, signature: forge({ ...claims, iat: undefined }) }],
    ['no algorithm', 'jwt_invalid', { pk, signature: forge(claims, { header: { alg: 'none' } }) }],
    [
      'a header with more',
      'jwt_invalid',
      { pk, signature: forge(claims, { header: { alg: 'EdDSA', jwk: {} } }) },
    ],
    [
      'an empty signature',
      'jwt_invalid',
      { pk, signature: `${forge(claims).split('.').slice(0, 2).join('.')}.` },
    ],
    ['two parts', 'jwt_invalid', { pk, signature: forge(claims).split('.').slice(0, 2).join('.') }],
    ['four parts', 'jwt_invalid', { pk, signature: `${forge(claims)}.x` }],
  ])('refuses %s: %s', (_, code, result) => {
    expect(() => verifyAuthPk(result, expected)).toThrow(expect.objectContaining({ code }))
  })

  it('refuses every answer with one character changed', async () => {
    const result = await call(params)
    for (let at = 0; at < result.signature.length; at += 7) {
      const changed = result.signature[at] === 'A' ? 'B' : 'A'
      const signature = result.signature.slice(0, at) + changed + result.signature.slice(at + 1)
      if (signature === result.signature) continue
      expect(() => verifyAuthPk({ ...result, signature }, expected)).toThrow()
    }
  })
})
