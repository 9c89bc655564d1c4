import fc from 'fast-check'
import {
  CompactSign,
  compactVerify,
  exportJWK,
  type FlattenedJWS,
  FlattenedSign,
  flattenedVerify,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose'
import { describe, expect, it } from 'vitest'
import { ed25519Signer, webSigner } from '../../src/mq/signers.ts'
import { createJwtSigner, isSignedBy, verifyJwtAsync } from '../../src/platform/jws.ts'
import { isRefusedPoint } from '../../src/platform/runtime/ed25519-strict.ts'
import { fromBase64url, toBase64, toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import { verifyClientToken } from '../../src/protocol/client-token.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { type Claims, type JwtExpectations, signJwt, verifyJwt } from '../../src/protocol/jwt.ts'
import { type SigningKey, signingKeyFrom } from '../../src/protocol/keys.ts'

/** Two implementations of one thing: ours, which is synchronous and serves the relay and the notify server, and jose. */

const HEADER = { typ: 'JWT', alg: 'EdDSA' }
const iat = 1_767_225_600
const now = iat * 1000

const publicJwk = ({ publicKey }: SigningKey): JWK => ({
  kty: 'OKP',
  crv: 'Ed25519',
  x: toBase64url(publicKey),
})
const privateKeyOf = (key: SigningKey) => importJWK({ ...publicJwk(key), d: toBase64url(key.seed) }, 'EdDSA')
const publicKeyOf = (key: SigningKey) => importJWK(publicJwk(key), 'EdDSA')

const signingKey = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(signingKeyFrom)
const claimsOf = (key: SigningKey) =>
  fc
    .dictionary(
      fc.string({ unit: 'grapheme' }).filter((name) => name !== '__proto__'),
      fc.jsonValue(),
    )
    .map((more): Claims => {
      const { iss: _, iat: __, exp: ___, nbf: ____, sub: _____, aud: ______, jti: _______, ...rest } = more
      return { ...rest, iss: key.did, iat, exp: iat + 300 }
    })
const keyAndClaims = signingKey.chain((key) => fc.tuple(fc.constant(key), claimsOf(key)))

/** Nine times of ten one of the first list. */
const mostly = <T>(usual: readonly T[], ...others: readonly (readonly T[])[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...usual) }, fc.constantFrom(...others.flat()))

/** The code with which it is refused; undefined where it is not. */
const refusalOf = async (attempt: () => unknown): Promise<string | undefined> => {
  try {
    await attempt()
    return undefined
  } catch (error) {
    return error instanceof ProtocolError ? error.code : 'another error'
  }
}
const joseTakes = async (token: string, key: SigningKey): Promise<boolean> => {
  try {
    await compactVerify(token, await publicKeyOf(key), { algorithms: ['EdDSA'] })
    return true
  } catch {
    return false
  }
}

describe('signing', () => {
  it('gives the bytes that jose gives, whatever the key and the claims', async () => {
    await fc.assert(
      fc.asyncProperty(keyAndClaims, async ([key, claims]) => {
        const ours = signJwt(claims, key)
        const privateKey = await privateKeyOf(key)
        const bytes = utf8(JSON.stringify(claims))
        expect(await new CompactSign(bytes).setProtectedHeader(HEADER).sign(privateKey)).toBe(ours)
        expect(await createJwtSigner(key)(claims)).toBe(ours)
      }),
      { numRuns: 100 },
    )
  })

  it('gives the JWT that jose makes of the same claims', async () => {
    const key = signingKeyFrom(new Uint8Array(32).fill(1))
    const claims: Claims = {
      iss: key.did,
      sub: 'a topic',
      aud: 'wss://relay.example',
      iat,
      exp: iat + 86_400,
    }
    const token = await new SignJWT(claims).setProtectedHeader(HEADER).sign(await privateKeyOf(key))
    expect(token).toBe(signJwt(claims, key))
  })

  it('gives jose the key that we have', async () => {
    await fc.assert(
      fc.asyncProperty(signingKey, async (key) => {
        expect(await exportJWK(await publicKeyOf(key))).toMatchObject(publicJwk(key))
      }),
      { numRuns: 20 },
    )
  })

  it('of a queue proof gives the detached JWS that jose gives', async () => {
    await fc.assert(
      fc.asyncProperty(signingKey, fc.string({ minLength: 1, unit: 'grapheme' }), async (key, text) => {
        for (const [signer, kid] of [
          [ed25519Signer(key), key.did],
          [webSigner(key, 'did:web:example.com#key-1'), 'did:web:example.com#key-1'],
        ] as const) {
          const proof = String(signer.sign(text))
          const { protected: header, signature } = await new FlattenedSign(utf8(text))
            .setProtectedHeader({ alg: 'EdDSA', kid })
            .sign(await privateKeyOf(key))
          expect(proof).toBe(`${header}..${signature}`)
          const jws: FlattenedJWS = { protected: header ?? '', payload: toBase64url(utf8(text)), signature }
          await flattenedVerify(jws, await publicKeyOf(key), { algorithms: ['EdDSA'] })
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('verifying', () => {
  it('takes what the other one signed, and reads the same claims', async () => {
    await fc.assert(
      fc.asyncProperty(keyAndClaims, async ([key, claims]) => {
        const ours = signJwt(claims, key)
        const { payload } = await jwtVerify(ours, await publicKeyOf(key), {
          algorithms: ['EdDSA'],
          issuer: key.did,
          currentDate: new Date(now),
        })
        const theirs = await new CompactSign(utf8(JSON.stringify(claims)))
          .setProtectedHeader(HEADER)
          .sign(await privateKeyOf(key))
        const read = verifyJwt(theirs, { now })
        expect(JSON.stringify(read.iss)).toBe(JSON.stringify(payload.iss))
        for (const name of Object.keys(claims)) {
          expect(JSON.stringify(read[name])).toBe(JSON.stringify(payload[name]))
        }
        expect(await verifyJwtAsync(theirs, { now })).toEqual(read)
      }),
      { numRuns: 100 },
    )
  })

  it('lets a client in, and reads a request of a wallet, that jose signed', async () => {
    const key = signingKeyFrom(new Uint8Array(32).fill(5))
    const privateKey = await privateKeyOf(key)
    const signed = (claims: Claims) => new SignJWT(claims).setProtectedHeader(HEADER).sign(privateKey)
    const login: Claims = { iss: key.did, sub: 'a nonce', aud: 'wss://relay.example', iat, exp: iat + 86_400 }
    expect(verifyClientToken(await signed(login), { now })).toEqual(login)
    const request: Claims = {
      ...{ iss: key.did, aud: signingKeyFrom(new Uint8Array(32).fill(6)).did, iat, exp: iat + 300 },
      ...{
        act: 'notify_subscription',
        ksu: 'https://keys.example',
        sub: 'did:pkh:eip155:1:0x00',
        scp: 'a b',
      },
    }
    const expected = { now, act: 'notify_subscription', audience: String(request.aud) }
    expect(verifyJwt(await signed(request), expected)).toEqual(request)
    expect(await refusalOf(() => verifyClientToken('', { now }))).toBe('jwt_invalid')
    const another = await signed({ ...login, exp: iat + 200_000 })
    expect(await refusalOf(() => verifyClientToken(another, { now }))).toBe('jwt_invalid')
    expect(await refusalOf(async () => verifyClientToken(await signed(request), { now }))).toBe(
      'jwt_wrong_act',
    )
  })

  it('refuses what was changed in any place, as jose does', async () => {
    const key = signingKeyFrom(new Uint8Array(32).fill(7))
    const token = signJwt({ iss: key.did, iat, exp: iat + 300, act: 'notify_update' }, key)
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: token.length - 1 }),
        fc.constantFrom(...'ABab01-_.'),
        async (at, character) => {
          const forged = token.slice(0, at) + character + token.slice(at + 1)
          if (forged === token) return
          expect(await refusalOf(() => verifyJwt(forged, { now }))).toBe('jwt_invalid')
          expect(await refusalOf(() => verifyJwtAsync(forged, { now }))).toBe('jwt_invalid')
          // Only in what is behind the last byte of the signature jose looks away, where we do not.
          if (!isSameSignature(forged, token)) expect(await joseTakes(forged, key)).toBe(false)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('refuses the signature of another key, as jose does', async () => {
    await fc.assert(
      fc.asyncProperty(keyAndClaims, signingKey, async ([key, claims], other) => {
        fc.pre(key.did !== other.did)
        const forged = signJwt(claims, other)
        expect(await refusalOf(() => verifyJwt(forged, { now }))).toBe('jwt_invalid')
        expect(await refusalOf(() => verifyJwtAsync(forged, { now }))).toBe('jwt_invalid')
        expect(await joseTakes(forged, key)).toBe(false)
      }),
      { numRuns: 50 },
    )
  })

  it('says the same of a JWT by jose and without it, however it is spelled and whatever is expected', async () => {
    const key = signingKeyFrom(new Uint8Array(32).fill(9))
    const spelling = fc.constantFrom(toBase64url, toBase64, (bytes: Uint8Array) =>
      toBase64(bytes).replace(/=+$/, ''),
    )
    const header = mostly<object | string>(
      [HEADER, { alg: 'EdDSA' }, { alg: 'EdDSA', kid: '~~~???>>>' }, { alg: 'EdDSA', b64: false }],
      [
        { alg: 'EdDSA', crit: ['exp'] },
        { alg: 'EdDSA', crit: null },
        { alg: 'EdDSA', b64: false, crit: ['b64'] },
      ],
      [{ alg: 'Ed25519' }, { alg: 'none' }, { alg: 'HS256' }, {}, [], 'EdDSA'],
    )
    const claims = fc.record({
      iss: mostly<unknown>([key.did], ['did:web:example.com', 7]),
      iat: mostly<unknown>([iat, iat * 1000, iat + 0.5], [-1, '1']),
      exp: mostly<unknown>([iat + 300, (iat + 300) * 1000], [iat - 600, null, undefined]),
      nbf: mostly<unknown>([iat, undefined], [iat + 301]),
      act: mostly(['one'], ['other']),
      text: fc.string({ unit: 'grapheme' }),
    })
    const expectations = fc.record<JwtExpectations>(
      {
        now: fc.constant(now),
        act: fc.constant('one'),
        issuer: fc.constant(key.did),
        longest: fc.constantFrom(60, 3_600),
        lifetime: fc.constant(60),
        leeway: fc.constantFrom(0, 120),
      },
      { requiredKeys: ['now'] },
    )
    const tail = mostly([''], ['=', '==', ' ', '.', 'A'])
    let taken = 0
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(header, claims, spelling, spelling, spelling),
        expectations,
        tail,
        async ([head, body, ...spelled], expected, end) => {
          const part = (value: unknown, spell: (bytes: Uint8Array) => string) =>
            spell(utf8(JSON.stringify(value)))
          const input = `${part(head, spelled[0])}.${part(body, spelled[1])}`
          const signature = fromBase64url(await signatureOf(input, key))
          const token = `${input}.${spelled[2](signature)}${end}`
          const ours = await refusalOf(() => verifyJwt(token, expected))
          expect(await refusalOf(() => verifyJwtAsync(token, expected))).toBe(ours)
          if (ours === undefined) taken++
        },
      ),
      { numRuns: 1_000 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  it('refuses points of small order as keys and in signatures, whatever WebCrypto says', async () => {
    const key = signingKeyFrom(new Uint8Array(32).fill(3))
    const input = `${toBase64url(utf8('{"alg":"EdDSA"}'))}.e30`
    const signature = fromBase64url(await signatureOf(input, key))
    expect(await isSignedBy(input, signature, key.publicKey)).toBe(true)
    for (const first of [0, 1]) {
      const point = new Uint8Array(32)
      point[0] = first
      expect(isRefusedPoint(point)).toBe(true)
      const zero = new Uint8Array(64)
      zero[0] = first
      expect(await isSignedBy(input, zero, point)).toBe(false)
      expect(await isSignedBy(input, signature, point)).toBe(false)
      expect(await isSignedBy(input, zero, key.publicKey)).toBe(false)
    }
    expect(await isSignedBy(input, signature, new Uint8Array(31))).toBe(false)
    expect(await isSignedBy(input, signature.subarray(1), key.publicKey)).toBe(false)
    // Whether or not these bytes are a point of the curve.
    expect(await isSignedBy(input, signature, Uint8Array.of(2, ...new Uint8Array(31)))).toBe(false)
  })
})

const isSameSignature = (a: string, b: string): boolean =>
  a.slice(0, a.lastIndexOf('.')) === b.slice(0, b.lastIndexOf('.')) && a.slice(0, -1) === b.slice(0, -1)

/** A signature over exactly this text, whatever it is. */
const signatureOf = async (input: string, key: SigningKey): Promise<string> => {
  const privateKey = await globalThis.crypto.subtle.importKey(
    'jwk',
    { kty: 'OKP', crv: 'Ed25519', x: toBase64url(key.publicKey), d: toBase64url(key.seed) },
    'Ed25519',
    false,
    ['sign'],
  )
  return toBase64url(
    new Uint8Array(await globalThis.crypto.subtle.sign('Ed25519', privateKey, Uint8Array.from(utf8(input)))),
  )
}
