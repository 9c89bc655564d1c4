import { beforeAll, describe, expect, it } from 'vitest'
import { fromBase64url, fromUtf8, toBase64url, utf8 } from '../../../src/protocol/bytes.ts'
import { hasher } from '../../../src/sessions/credentials/sd-jwt.ts'
import {
  PRESENTATION_REFUSALS,
  PresentationError,
  type PresentationExpectations,
  type PresentationRefusal,
  verifyPresentation,
} from '../../../src/sessions/credentials/verify.ts'
import { credentialPresentation } from '../../../src/sessions/methods/credential-presentation.ts'
import { held, ISSUER, type Issue, issue, type Keys, newKeys, threeClaims, VCT } from '../issuer.ts'
import { contextWith } from '../wallet-context.ts'

const NOW = 1_760_000_000_000
const audience = 'https://verifier.example.com'
const nonce = 'n-0S6_WzA2Mj'
const query = {
  credentials: [
    { id: 'identity', format: 'dc+sd-jwt', claims: [{ path: ['given_name'] }, { path: ['family_name'] }] },
  ],
}

let issuer: Keys
let holder: Keys
beforeAll(() => {
  issuer = newKeys('EdDSA')
  holder = newKeys('ES256')
})

const presented = async (change: Partial<Issue> = {}, asked: object = {}) => {
  const given = { ...threeClaims, issuer, holder, ...change }
  const { sdJwt } = await issue(given)
  const method = credentialPresentation({ credentials: async () => [held(sdJwt, given.holder)] })
  const { context } = contextWith(
    () => true,
    () => NOW,
  )
  return (await method.handler(method.schema.parse({ audience, nonce, query, ...asked }), context)).vp_token
}

const expecting = (vpToken: string, change: Partial<PresentationExpectations> = {}) => ({
  ...{ vpToken, query, audience, nonce, now: NOW },
  issuerKeys: (name: string) => (name === ISSUER ? [issuer.publicJwk] : []),
  ...change,
})

const refusal = async (vpToken: string, change: Partial<PresentationExpectations> = {}) => {
  try {
    await verifyPresentation(expecting(vpToken, change))
  } catch (error) {
    if (!(error instanceof PresentationError)) throw error
    expect(error.message).toBe(PRESENTATION_REFUSALS[error.code])
    return error.code
  }
  return undefined
}

const jsonOf = (part = '') => JSON.parse(fromUtf8(fromBase64url(part)))
const partOf = (value: unknown) => toBase64url(utf8(JSON.stringify(value)))
const jwtBy = async (keys: Keys, header: object, payload: object) => {
  const input = `${partOf(header)}.${partOf(payload)}`
  return `${input}.${toBase64url(await keys.key.sign(utf8(input)))}`
}
/** The parts of a presentation: the issuer's JWT, the disclosures, the key binding. */
const partsOf = (token: string) => {
  const parts = token.split('~')
  return { jwt: parts[0] ?? '', disclosures: parts.slice(1, -1), kb: parts.at(-1) ?? '' }
}
/** A presentation with a key binding made anew over it. */
const rebound = async (
  parts: { jwt: string; disclosures: string[] },
  { header = {}, payload = {}, keys = holder }: { header?: object; payload?: object; keys?: Keys } = {},
) => {
  const shown = [parts.jwt, ...parts.disclosures, ''].join('~')
  const sd_hash = toBase64url(hasher(shown, 'sha-256'))
  const claims = { iat: NOW / 1000, aud: audience, nonce, sd_hash, ...payload }
  return shown + (await jwtBy(keys, { typ: 'kb+jwt', alg: keys.alg, ...header }, claims))
}

describe('a presentation', () => {
  it('that is in order tells who issued what to whom, and when it was presented', async () => {
    expect(await verifyPresentation(expecting(await presented()))).toEqual({
      issuer: ISSUER,
      vct: VCT,
      claims: {
        ...{ iss: ISSUER, vct: VCT, cnf: { jwk: holder.publicJwk } },
        ...{ given_name: 'John', family_name: 'Doe' },
      },
      holder: holder.publicJwk,
      presentedAt: NOW / 1000,
    })
  })

  it('is verified with whichever key of the issuer signed it', async () => {
    const other = newKeys('ES256')
    const issuerKeys = () => [other.publicJwk, { kty: 'RSA' }, issuer.publicJwk]
    expect(await refusal(await presented(), { issuerKeys })).toBeUndefined()
  })

  it('is verified with the key that the issuer named', async () => {
    const token = await presented({ header: { kid: 'k2' } })
    const named = (kid: string, keys: Keys) => ({ ...keys.publicJwk, kid })
    const right = () => [named('k1', newKeys('EdDSA')), named('k2', issuer)]
    expect(await refusal(token, { issuerKeys: right })).toBeUndefined()
    const wrong = () => [named('k1', issuer), named('k2', newKeys('EdDSA'))]
    expect(await refusal(token, { issuerKeys: wrong })).toBe('bad_issuer_signature')
  })

  it('may be as old as is allowed, and clocks may differ a little', async () => {
    const token = await presented()
    expect(await refusal(token, { now: NOW + 300_000 })).toBeUndefined()
    expect(await refusal(token, { now: NOW - 60_000 })).toBeUndefined()
    expect(await refusal(token, { now: NOW + 3_600_000, maxAge: 3_600 })).toBeUndefined()
  })
})

describe('is refused', () => {
  it('with another nonce', async () => {
    expect(await refusal(await presented(), { nonce: 'another' })).toBe('wrong_nonce')
  })

  it('for another audience', async () => {
    expect(await refusal(await presented(), { audience: 'https://other.example' })).toBe('wrong_audience')
    const list = await rebound(partsOf(await presented()), { payload: { aud: [audience] } })
    expect(await refusal(list)).toBe('malformed')
  })

  it('when it is stale, or from the future', async () => {
    const token = await presented()
    expect(await refusal(token, { now: NOW + 361_000 })).toBe('stale')
    expect(await refusal(token, { now: NOW + 31_000, maxAge: 20, leeway: 10 })).toBe('stale')
    expect(await refusal(token, { now: NOW - 61_000 })).toBe('from_the_future')
  })

  it('when the credential was changed', async () => {
    const { jwt, disclosures } = partsOf(await presented())
    const [header = '', payload = '', signature = ''] = jwt.split('.')
    const changed = [header, partOf({ ...jsonOf(payload), admin: true }), signature].join('.')
    expect(await refusal(await rebound({ jwt: changed, disclosures }))).toBe('bad_issuer_signature')
    const unsigned = [partOf({ ...jsonOf(header), alg: 'none' }), payload, ''].join('.')
    expect(await refusal(await rebound({ jwt: unsigned, disclosures }))).toBe('bad_issuer_signature')
  })

  it('when the issuer is named that did not sign', async () => {
    const mallory = newKeys('EdDSA')
    expect(await refusal(await presented({ issuer: mallory }))).toBe('bad_issuer_signature')
  })

  it('when the issuer is not trusted', async () => {
    const claims = { ...threeClaims.claims, iss: 'https://mallory.example' }
    expect(await refusal(await presented({ claims }))).toBe('untrusted_issuer')
    expect(await refusal(await presented(), { issuerKeys: () => [] })).toBe('untrusted_issuer')
    expect(await refusal(await presented(), { issuerKeys: () => [{ kty: 'RSA' }] })).toBe('untrusted_issuer')
  })

  it('when a disclosure was changed, taken away or put in after it was bound', async () => {
    const { jwt, disclosures, kb } = partsOf(await presented())
    const forged = partOf([jsonOf(disclosures[0])[0], 'given_name', 'Mallory'])
    const full = partsOf(
      await presented(
        {},
        { query: { credentials: [{ ...query.credentials[0], claims: [{ path: ['birthdate'] }] }] } },
      ),
    )
    for (const some of [
      [forged, ...disclosures.slice(1)],
      disclosures.slice(1),
      [...disclosures, ...full.disclosures],
    ]) {
      expect(await refusal([jwt, ...some, kb].join('~'))).toBe('wrong_disclosures')
    }
  })

  it('when the holder adds a disclosure that the issuer never made', async () => {
    const { jwt, disclosures } = partsOf(await presented())
    const invented = partOf(['salt', 'is_admin', true])
    expect(await refusal(await rebound({ jwt, disclosures: [...disclosures, invented] }))).toBe('malformed')
    const twice = [...disclosures, disclosures[0] ?? '']
    expect(await refusal(await rebound({ jwt, disclosures: twice }))).toBe('malformed')
  })

  it('without a key binding', async () => {
    const { jwt, disclosures } = partsOf(await presented())
    expect(await refusal([jwt, ...disclosures, ''].join('~'))).toBe('not_bound')
    expect(await refusal(jwt)).toBe('not_bound')
  })

  it('when the key binding is by another key, or of another kind', async () => {
    const parts = partsOf(await presented())
    expect(await refusal(await rebound(parts, { keys: newKeys('ES256') }))).toBe('bad_holder_signature')
    expect(await refusal(await rebound(parts, { keys: newKeys('EdDSA') }))).toBe('bad_holder_signature')
    expect(await refusal(await rebound(parts, { header: { alg: 'none' } }))).toBe('bad_holder_signature')
    expect(await refusal(await rebound(parts, { header: { typ: 'JWT' } }))).toBe('malformed')
    expect(await refusal(await rebound(parts, { header: { crit: ['x'] } }))).toBe('malformed')
    expect(await refusal(await rebound(parts, { payload: { sd_hash: undefined } }))).toBe('malformed')
  })

  it('when the credential names no key', async () => {
    const { sdJwt } = await issue({
      ...threeClaims,
      issuer,
      claims: { ...threeClaims.claims, cnf: { kid: 'elsewhere' } },
    })
    const [jwt = '', ...disclosures] = sdJwt.split('~').slice(0, -1)
    expect(await refusal(await rebound({ jwt, disclosures }))).toBe('no_holder_key')
  })

  it('when the credential has expired, or is not valid yet', async () => {
    const at = (seconds: number) => NOW / 1000 + seconds
    const late = await presented({ claims: { ...threeClaims.claims, exp: at(1) } })
    expect(await refusal(late)).toBeUndefined()
    expect(await refusal(late, { now: NOW + 61_000 })).toBe('expired')
    const early = await presented({ claims: { ...threeClaims.claims, iat: at(100) } })
    expect(await refusal(early)).toBe('not_yet_valid')
    const before = await presented({ claims: { ...threeClaims.claims, nbf: at(0) } })
    expect(await refusal(before, { now: NOW - 61_000, leeway: 0 })).toBe('not_yet_valid')
  })

  it('when it discloses less than was asked for, or something else', async () => {
    const less = { credentials: [{ ...query.credentials[0], claims: [{ path: ['given_name'] }] }] }
    expect(await refusal(await presented({}, { query: less }))).toBe('unsatisfied')
    const [one] = query.credentials
    for (const more of [
      { meta: { vct_values: ['https://other.example'] } },
      { claims: [{ path: ['given_name'], values: ['Jane'] }] },
    ]) {
      expect(await refusal(await presented(), { query: { credentials: [{ ...one, ...more }] } })).toBe(
        'unsatisfied',
      )
    }
  })

  it.each([
    '',
    '~',
    '~~',
    'a.b.c',
    'a.b.c~',
    `${partOf({ typ: 'dc+sd-jwt', alg: 'EdDSA' })}.${partOf({ iss: ISSUER })}.AA~`,
    `${partOf([])}.${partOf([])}.AA~`,
    `${partOf({})}.${partOf({ _sd: 'x' })}.AA~`,
    'x'.repeat(600_000),
  ])('when it is none at all', async (text) => {
    expect(await refusal(text)).toBe('malformed')
  })

  it('when the question was none', async () => {
    expect(await refusal(await presented(), { query: { credentials: 'all' } })).toBe('bad_query')
  })

  it.each([
    ['dc+sd-jwt', undefined],
    ['JWT', 'malformed'],
  ])('when its type is not that of a credential: %s', async (typ, code) => {
    const { jwt, disclosures } = partsOf(await presented())
    const [header, payload] = jwt.split('.')
    const signed = await jwtBy(issuer, { ...jsonOf(header), typ }, jsonOf(payload))
    expect(await refusal(await rebound({ jwt: signed, disclosures }))).toBe(code)
  })

  it.each([1000, 8000])(
    'when any of its characters is another one (%s of them)',
    async (count) => {
      const token = await presented()
      const step = Math.max(1, Math.floor(token.length / count))
      for (let at = 0; at < token.length; at += step) {
        const other = token[at] === 'A' ? 'B' : 'A'
        const changed = token.slice(0, at) + other + token.slice(at + 1)
        // Stray bits behind the last byte of a signature are refused as well.
        expect(await refusal(changed), `at ${at}`).toBeDefined()
      }
    },
    60_000,
  )
})

describe('a credential with a status', () => {
  const url = 'https://issuer.example.com/status/1'
  const status = { status_list: { idx: 1, uri: url } }
  const claims = { ...threeClaims.claims, status }
  /** One bit a credential, of which the second is ours; the list is a zlib stream. */
  const listWith = async (bits: number, by = issuer) => {
    const { deflateSync } = await import('node:zlib')
    const lst = deflateSync(Uint8Array.of(bits)).toString('base64url')
    const payload = { sub: url, iat: NOW / 1000, status_list: { bits: 1, lst } }
    return jwtBy(by, { typ: 'statuslist+jwt', alg: by.alg }, payload)
  }

  it('is refused where nobody reads status lists, whatever kind of status it is', async () => {
    expect(await refusal(await presented({ claims }))).toBe('status_unknown')
    const other = await presented({ claims: { ...claims, status: { other: true } } })
    expect(await refusal(other, { statusList: () => listWith(0) })).toBe('status_unknown')
  })

  it('is refused when it was revoked, and when nobody vouches for the list', async () => {
    const token = await presented({ claims })
    expect(await refusal(token, { statusList: () => listWith(0b00) })).toBeUndefined()
    expect(await refusal(token, { statusList: () => listWith(0b10) })).toBe('revoked')
    expect(await refusal(token, { statusList: () => listWith(0, newKeys('EdDSA')) })).toBe('status_unknown')
    const away = async () => {
      throw new Error('no answer')
    }
    expect(await refusal(token, { statusList: away })).toBe('status_unknown')
  })
})

it('has a sentence of its own for each refusal', () => {
  const codes = Object.keys(PRESENTATION_REFUSALS) as PresentationRefusal[]
  expect(new Set(codes.map((code) => PRESENTATION_REFUSALS[code])).size).toBe(codes.length)
})
