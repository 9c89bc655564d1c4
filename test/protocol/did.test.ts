import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concat, toBase58, toBase64url, utf8 } from '../../src/protocol/bytes.ts'
import {
  accountFromDidPkh,
  didJwk,
  didPkh,
  didWeb,
  domainFromDidWeb,
  ed25519Did,
  ed25519FromDid,
  jwkFromDid,
  x25519Did,
  x25519FromDid,
} from '../../src/protocol/did.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

describe('did:key', () => {
  it('is read as it was written, and not as a key of the other kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (publicKey) => {
        const signing = ed25519Did(publicKey)
        const agreement = x25519Did(publicKey)
        expect(signing).toMatch(/^did:key:z6Mk/)
        expect(agreement).toMatch(/^did:key:z6LS/)
        expect(ed25519FromDid(signing)).toEqual(publicKey)
        expect(x25519FromDid(agreement)).toEqual(publicKey)
        expectCode(() => ed25519FromDid(agreement), 'bad_params')
        expectCode(() => x25519FromDid(signing), 'bad_params')
      }),
      { numRuns: runs(500) },
    )
  })

  it.each([
    '',
    'did:key:',
    'did:key:z',
    'did:key:z6Mk',
    'did:key:z0OIl',
    'did:web:example.com',
    'z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH',
    'did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exxH#key',
    'did:key:z6MkodHZwneVRShtaLf8JKYkxpDGp1vGZnpGmdBpX8M2exx',
    `did:key:z${toBase58(concat(Uint8Array.of(0xed, 0x01), new Uint8Array(31).fill(1)))}`,
    `did:key:z${toBase58(concat(Uint8Array.of(0xed, 0x01), new Uint8Array(33).fill(1)))}`,
    `did:key:z${'1'.repeat(100_000)}`,
  ])('refuses %.80j', (did) => {
    expectCode(() => ed25519FromDid(did), 'bad_params')
    expectCode(() => x25519FromDid(did), 'bad_params')
  })

  it.each([0, 31, 33])('has no room for a key of %d bytes', (length) => {
    expectCode(() => ed25519Did(new Uint8Array(length)), 'bad_params')
    expectCode(() => x25519Did(new Uint8Array(length)), 'bad_params')
  })
})

describe('did:pkh', () => {
  it('keeps the account as it is written', () => {
    const text = 'eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a'
    expect(didPkh(text)).toBe(`did:pkh:${text}`)
    expect(accountFromDidPkh(didPkh(text)).text).toBe(text)
  })

  it.each(['', 'did:pkh:', 'did:pkh:eip155:1', 'eip155:1:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a'])(
    'refuses %j',
    (did) => expectCode(() => accountFromDidPkh(did), 'bad_params'),
  )
})

describe('did:web', () => {
  it.each([
    ['example.com', 'did:web:example.com'],
    ['localhost:3000', 'did:web:localhost%3A3000'],
    ['my_app.example-1.com', 'did:web:my_app.example-1.com'],
  ])('%s is %s', (domain, did) => {
    expect(didWeb(domain)).toBe(did)
    expect(domainFromDidWeb(did)).toBe(domain)
  })

  it('is understood with a bare colon and with a lower-case %3a', () => {
    expect(domainFromDidWeb('did:web:localhost:3000')).toBe('localhost:3000')
    expect(domainFromDidWeb('did:web:localhost%3a3000')).toBe('localhost:3000')
  })

  it('keeps case: app equality is exact', () =>
    expect(domainFromDidWeb('did:web:Example.com')).toBe('Example.com'))

  it.each([
    '',
    'did:web:',
    'example.com',
    'did:web:example.com:path',
    'did:web:example.com%3A80%3A90',
    'did:web:example.com/path',
    'did:web:exa mple.com',
    'did:web:example.com\n',
    'did:web:example.com#key',
    'did:web:example.com%2Fpath',
    `did:web:${'a'.repeat(254)}`,
  ])('refuses %j', (did) => expectCode(() => domainFromDidWeb(did), 'bad_params'))
})

describe('did:jwk', () => {
  it('is read as it was written', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'abc' }
    expect(jwkFromDid(didJwk(jwk))).toEqual(jwk)
  })

  it.each([
    '',
    'did:jwk:',
    'did:jwk:!!',
    `did:jwk:${toBase64url(utf8('{}'))}`,
    `did:jwk:${toBase64url(utf8('[1'))}`,
  ])('refuses %j', (did) => expectCode(() => jwkFromDid(did), 'bad_params'))
})
