import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc'
import { describe, expect, it } from 'vitest'
import { fromBase64url, fromUtf8 } from '../../../src/protocol/bytes.ts'
import { holderKeyOf, publicKeyOf } from '../../../src/sessions/credentials/keys.ts'
import { hasher } from '../../../src/sessions/credentials/sd-jwt.ts'
import { verifyPresentation } from '../../../src/sessions/credentials/verify.ts'
import {
  credentialPresentation,
  type HeldCredential,
} from '../../../src/sessions/methods/credential-presentation.ts'
import { held, ISSUER, type Issue, issue, newKeys, threeClaims, VCT } from '../issuer.ts'
import { contextWith, type Shown } from '../wallet-context.ts'

/** The request of the published document, to the letter. */
const documented = {
  audience: 'https://verifier.example.com',
  nonce: 'n-0S6_WzA2Mj',
  query: {
    credentials: [
      {
        id: 'identity',
        format: 'dc+sd-jwt',
        claims: [{ path: ['given_name'] }, { path: ['family_name'] }],
      },
    ],
  },
}

const present = async (
  credentials: readonly HeldCredential[],
  params: unknown,
  answer?: Parameters<typeof contextWith>[0],
) => {
  const method = credentialPresentation({ credentials: async () => credentials })
  const { context, asked } = contextWith(answer)
  const result = await method.handler(method.schema.parse(params), context)
  return { token: result.vp_token, asked }
}

/** Names and values of what a token discloses; array elements have no name. */
const disclosed = (token: string) =>
  token
    .split('~')
    .slice(1, -1)
    .map((one) => JSON.parse(fromUtf8(fromBase64url(one))).slice(1))

const ask = (claims?: unknown[], more: object = {}) => ({
  ...documented,
  query: { credentials: [{ id: 'q', format: 'dc+sd-jwt', ...(claims && { claims }), ...more }] },
})

/** What a credential of these claims shows to this question. */
const shownFor = async (given: Issue, ...asked: Parameters<typeof ask>) => {
  const { sdJwt, holder, issuer } = await issue(given)
  const params = ask(...asked)
  const { token } = await present([held(sdJwt, holder)], params)
  const { claims } = await verifyPresentation({
    ...params,
    vpToken: token,
    issuerKeys: () => [issuer.publicJwk],
    now: Date.now(),
  })
  const { iss: _, vct: _vct, cnf: _cnf, ...own } = claims
  return { own, disclosed: disclosed(token) }
}

describe('the example of the document', () => {
  it('discloses given_name and family_name of three claims, and nothing else', async () => {
    const { sdJwt, holder } = await issue(threeClaims)
    const { token, asked } = await present([held(sdJwt, holder)], documented)
    expect(disclosed(token)).toEqual([
      ['given_name', 'John'],
      ['family_name', 'Doe'],
    ])
    expect(token).not.toContain('birthdate')
    expect(asked).toEqual([
      {
        details: {
          audience: 'https://verifier.example.com',
          credential: 'Identity',
          asked: [['given_name'], ['family_name']],
          claims: {
            iss: ISSUER,
            vct: VCT,
            cnf: { jwk: holder.publicJwk },
            given_name: 'John',
            family_name: 'Doe',
          },
        },
      },
    ])
  })

  it('binds it to the question with nonce, aud, iat and sd_hash', async () => {
    const { sdJwt, holder } = await issue(threeClaims)
    const before = Math.floor(Date.now() / 1000)
    const { token } = await present([held(sdJwt, holder)], documented)
    const after = Math.ceil(Date.now() / 1000)
    const at = token.lastIndexOf('~') + 1
    const [header = '', payload = ''] = token.slice(at).split('.')
    expect(JSON.parse(fromUtf8(fromBase64url(header)))).toEqual({ typ: 'kb+jwt', alg: 'ES256' })
    const claims = JSON.parse(fromUtf8(fromBase64url(payload)))
    expect(claims).toEqual({
      aud: 'https://verifier.example.com',
      nonce: 'n-0S6_WzA2Mj',
      iat: expect.any(Number),
      sd_hash: Buffer.from(hasher(token.slice(0, at), 'sha-256')).toString('base64url'),
    })
    expect(claims.iat).toBeGreaterThanOrEqual(before)
    expect(claims.iat).toBeLessThanOrEqual(after)
  })

  it.each([
    ['EdDSA', 'EdDSA'],
    ['EdDSA', 'ES256'],
    ['ES256', 'EdDSA'],
    ['ES256', 'ES256'],
  ] as const)('of a %s issuer and an %s holder satisfies the published library', async (one, other) => {
    const [issuer, holder] = [newKeys(one), newKeys(other)]
    const { sdJwt } = await issue({ ...threeClaims, issuer, holder })
    const { token } = await present([held(sdJwt, holder)], documented)
    const verifierOf = (jwk: unknown) => async (text: string, signature: string) =>
      publicKeyOf(jwk)?.verify(fromBase64url(signature), Buffer.from(text)) === true
    const library = new SDJwtVcInstance({
      hasher,
      verifier: verifierOf(issuer.publicJwk),
      kbVerifier: verifierOf(holder.publicJwk),
    })
    const { payload, kb } = await library.verify(token, { keyBindingNonce: 'n-0S6_WzA2Mj' })
    expect(payload).toMatchObject({ given_name: 'John', family_name: 'Doe' })
    expect(payload).not.toHaveProperty('birthdate')
    expect(kb?.payload.aud).toBe('https://verifier.example.com')
  })
})

describe('what is disclosed', () => {
  const nested: Issue = {
    claims: {
      address: { street: '1 Bell Lane', town: 'Belfry', country: 'GB' },
      nationalities: ['GB', 'FR', 'DE'],
      degrees: [
        { type: 'Bachelor', year: 2010 },
        { type: 'Master', year: 2012 },
      ],
      'address.town': 'a claim with a dot in its name',
    },
    frame: {
      _sd: ['address', 'address.town'],
      address: { _sd: ['street', 'town', 'country'] },
      nationalities: { _sd: [0, 1, 2] },
      degrees: { _sd: [0, 1], 0: { _sd: ['type', 'year'] }, 1: { _sd: ['type', 'year'] } },
    },
  }

  it('is a nested claim with what it stands in, and not its neighbours', async () => {
    const { own, disclosed } = await shownFor(nested, [{ path: ['address', 'town'] }])
    expect(own).toEqual({ address: { town: 'Belfry' }, nationalities: [], degrees: [] })
    expect(disclosed).toHaveLength(2)
  })

  it('is all of an object that is asked for whole', async () => {
    const { own } = await shownFor(nested, [{ path: ['address'] }])
    expect(own.address).toEqual({ street: '1 Bell Lane', town: 'Belfry', country: 'GB' })
  })

  it('is one element of an array by its place', async () => {
    const { own, disclosed } = await shownFor(nested, [{ path: ['nationalities', 1] }])
    expect(own.nationalities).toEqual(['FR'])
    expect(disclosed).toEqual([['FR']])
  })

  it('is every element for null', async () => {
    const { own } = await shownFor(nested, [{ path: ['nationalities', null] }])
    expect(own.nationalities).toEqual(['GB', 'FR', 'DE'])
  })

  it('is one member of every element for null in the middle of a path', async () => {
    const { own } = await shownFor(nested, [{ path: ['degrees', null, 'type'] }])
    expect(own.degrees).toEqual([{ type: 'Bachelor' }, { type: 'Master' }])
  })

  it('is, with values, only what has one of them', async () => {
    const { own, disclosed } = await shownFor(nested, [{ path: ['nationalities', null], values: ['DE'] }])
    expect(own.nationalities).toEqual(['DE'])
    expect(disclosed).toHaveLength(1)
  })

  it('does not take a dot in a name for a step', async () => {
    const { own, disclosed } = await shownFor(nested, [{ path: ['address.town'] }])
    expect(own['address.town']).toBe('a claim with a dot in its name')
    expect(own).not.toHaveProperty('address')
    expect(disclosed).toHaveLength(1)
  })

  it('is not shifted by the decoys of an array', async () => {
    const decoyed: Issue = {
      claims: { list: ['a', 'b', 'c'] },
      frame: { list: { _sd: [0, 1, 2], _sd_decoy: 3 } },
    }
    const { own } = await shownFor(decoyed, [{ path: ['list', 2] }])
    expect(own.list).toEqual(['c'])
  })

  it('is nothing where no claims are asked for', async () => {
    const { own, disclosed } = await shownFor(threeClaims)
    expect(own).toEqual({})
    expect(disclosed).toEqual([])
  })

  it('is the first set of claims that the credential has', async () => {
    const claims = [
      { id: 'a', path: ['driving_licence'] },
      { id: 'b', path: ['birthdate'] },
      { id: 'c', path: ['given_name'] },
    ]
    const { own } = await shownFor(threeClaims, claims, { claim_sets: [['a'], ['b'], ['c', 'b']] })
    expect(own).toEqual({ birthdate: '1990-01-01' })
  })

  it.each(['sha-256', 'sha-384', 'sha-512'] as const)('of a credential of %s', async (hash) => {
    const { own } = await shownFor({ ...threeClaims, hash }, [{ path: ['birthdate'] }])
    expect(own).toEqual({ birthdate: '1990-01-01' })
  })

  it('shows the person what the issuer left in the clear, too', async () => {
    const { sdJwt, holder } = await issue({
      claims: { given_name: 'John', member_no: 7 },
      frame: { _sd: ['given_name'] },
    })
    const { asked } = await present([held(sdJwt, holder)], ask([{ path: ['given_name'] }]))
    expect(asked[0]?.details).toMatchObject({ claims: { given_name: 'John', member_no: 7 } })
  })
})

describe('which credential', () => {
  const two = async () => {
    const first = await issue(threeClaims)
    const second = await issue({ ...threeClaims, claims: { ...threeClaims.claims, given_name: 'Jane' } })
    return [
      held(first.sdJwt, first.holder, 'john', 'Passport of John'),
      held(second.sdJwt, second.holder, 'jane', 'Passport of Jane'),
    ]
  }
  const givenNameOf = (token: string) => new Map(disclosed(token)).get('given_name')

  it('is chosen by the person where several match', async () => {
    const { token, asked } = await present(await two(), documented, () => ({ choice: 'jane' }))
    expect(givenNameOf(token)).toBe('Jane')
    expect(asked[0]?.details).toEqual({ audience: documented.audience })
    expect(asked[0]?.choices?.map(({ id, label }) => [id, label])).toEqual([
      ['john', 'Passport of John'],
      ['jane', 'Passport of Jane'],
    ])
    expect(asked[0]?.choices?.[1]?.details).toMatchObject({
      audience: documented.audience,
      claims: { given_name: 'Jane', family_name: 'Doe' },
    })
  })

  it('is the first where the person just agrees', async () => {
    const { token } = await present(await two(), documented)
    expect(givenNameOf(token)).toBe('John')
  })

  it('is none when the person does not agree', async () => {
    await expect(present(await two(), documented, () => false)).rejects.toMatchObject({ code: -32000 })
  })

  const nothing = async (given: Issue, params: unknown) => {
    const { sdJwt, holder } = await issue(given)
    const seen: Shown[] = []
    const answer = (shown: Shown) => {
      seen.push(shown)
      return true
    }
    await expect(present([held(sdJwt, holder)], params, answer)).rejects.toMatchObject({ code: -32001 })
    expect(seen).toEqual([])
  }
  const name = [{ path: ['given_name'] }]

  it.each([
    ['has no such claim', ask([{ path: ['shoe_size'] }])],
    ['has another value', ask([{ path: ['given_name'], values: ['Jane'] }])],
    ['is of another type', ask(name, { meta: { vct_values: ['https://other.example'] } })],
    ['is of another format', ask(name, { format: 'vc+sd-jwt' })],
    ['has no such authority', ask(name, { trusted_authorities: [{ type: 'aki', values: ['abcd'] }] })],
  ])('is none (−32001), and nobody is asked, when it %s', (_, params) => nothing(threeClaims, params))

  const at = (seconds: number) => Math.floor(Date.now() / 1000) + seconds
  it('is none when it has expired', () =>
    nothing({ ...threeClaims, claims: { ...threeClaims.claims, exp: at(-1) } }, documented))
  it('is none when it is not valid yet', () =>
    nothing({ ...threeClaims, claims: { ...threeClaims.claims, nbf: at(100) } }, documented))
  it('is none when it is bound to no key', () =>
    nothing({ ...threeClaims, claims: { ...threeClaims.claims, cnf: undefined } }, documented))
  it('is none for a wallet without credentials', () =>
    expect(present([], documented)).rejects.toMatchObject({ code: -32001 }))
  it('is none for a question that takes two', async () => {
    const [one] = documented.query.credentials
    await nothing(threeClaims, {
      ...documented,
      query: { credentials: [one, { ...one, id: 'another' }] },
    })
  })

  it('is the one that suffices by itself, where sets of credentials are asked for', async () => {
    const { sdJwt, holder } = await issue(threeClaims)
    const of = (id: string, claim: string) => ({ id, format: 'dc+sd-jwt', claims: [{ path: [claim] }] })
    const query = {
      credentials: [of('a', 'given_name'), of('b', 'family_name'), of('c', 'birthdate')],
      credential_sets: [{ options: [['a', 'b'], ['c']] }],
    }
    const { token } = await present([held(sdJwt, holder)], { ...documented, query })
    expect(disclosed(token)).toEqual([['birthdate', '1990-01-01']])
  })

  it('leaves out what the wallet cannot read', async () => {
    const { sdJwt, holder } = await issue(threeClaims)
    const broken = { ...held('no credential', holder), id: 'broken' }
    const { token } = await present([broken, held(sdJwt, holder)], documented)
    expect(givenNameOf(token)).toBe('John')
  })

  it('is not presented with a key that it does not name', async () => {
    const { sdJwt } = await issue(threeClaims)
    await expect(present([held(sdJwt, newKeys('ES256'))], documented)).rejects.toThrow(/holder key/)
    await expect(present([held(sdJwt, newKeys('EdDSA'))], documented)).rejects.toThrow(/holder key/)
  })
})

describe('parameters', () => {
  const { schema } = credentialPresentation({ credentials: async () => [] })
  const deep = Array.from({ length: 33 }, () => 'a')
  it.each([
    ['no audience', { ...documented, audience: undefined }],
    ['an empty nonce', { ...documented, nonce: '' }],
    ['no query', { ...documented, query: undefined }],
    ['a query without credentials', { ...documented, query: { credentials: [] } }],
    ['a query with an unknown format', ask([], { format: 'paper' })],
    [
      'two queries of one id',
      { ...documented, query: { credentials: [ask().query.credentials[0], ask().query.credentials[0]] } },
    ],
    ['a set of unknown claims', ask([{ id: 'a', path: ['x'] }], { claim_sets: [['b']] })],
    ['a path without end', ask([{ path: deep }])],
    ['a query without end', ask([{ path: ['x'.repeat(70_000)] }])],
  ])('are refused with %s', (_, params) => {
    expect(schema.safeParse(params).success).toBe(false)
  })
})

it('reads no key into what it says of a key that is none', () => {
  const secret = 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I'
  let said = ''
  try {
    holderKeyOf({ kty: 'OKP', crv: 'Ed25519', x: 'short', d: secret })
  } catch (error) {
    said = String(error)
  }
  expect(said).toBe('Error: Not a private JWK of Ed25519 or P-256')
})
