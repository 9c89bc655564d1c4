import { ed25519 } from '@noble/curves/ed25519.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { describe, expect, it } from 'vitest'
import { concat, toBase58, toBase64, toHex, utf8 } from '../../src/protocol/bytes.ts'
import {
  accountOf,
  type Cacao,
  cacaoSchema,
  cacaoTexts,
  identityKeyOf,
  signedStatement,
  verifyCacao,
} from '../../src/protocol/cacao.ts'
import { checksumAddress } from '../../src/protocol/caip.ts'
import { x25519Did } from '../../src/protocol/did.ts'
import { signingKeyFrom } from '../../src/protocol/keys.ts'
import { encodeRecap } from '../../src/protocol/recap.ts'
import { expectCode } from './throws.ts'

const secret = new Uint8Array(32).fill(0x11)
const address = checksumAddress(
  `0x${toHex(keccak_256(secp256k1.getPublicKey(secret, false).subarray(1)).subarray(12))}`,
)
const identity = signingKeyFrom(new Uint8Array(32).fill(5))
const now = Date.UTC(2026, 0, 1)

const payload = (more: Partial<Cacao['p']> = {}): Cacao['p'] => ({
  aud: identity.did,
  domain: 'app.example.com',
  iss: `did:pkh:eip155:1:${address}`,
  version: '1',
  nonce: '12345678',
  iat: '2026-01-01T00:00:00.000Z',
  ...more,
})
const unsigned = (more?: Partial<Cacao['p']>, t: Cacao['h']['t'] = 'eip4361'): Cacao => ({
  h: { t },
  p: payload(more),
  s: { t: 'eip191', s: '0x' },
})

/** Signs a text as a wallet does; answers r, s and the recovery bit. */
const signText = (text: string) => {
  const bytes = utf8(text)
  const hash = keccak_256(concat(utf8(`\u0019Ethereum Signed Message:\n${bytes.length}`), bytes))
  const signature = secp256k1.sign(hash, secret, { prehash: false, format: 'recovered' })
  return { rs: signature.subarray(1), recovery: signature[0] ?? 0 }
}
const hexOf = (text: string, offset = 27): string => {
  const { rs, recovery } = signText(text)
  return `0x${toHex(concat(rs, Uint8Array.of(offset + recovery)))}`
}
const signed = (cacao: Cacao, text = cacaoTexts(cacao)[0] ?? ''): Cacao => ({
  ...cacao,
  s: { t: 'eip191', s: hexOf(text) },
})
const refused = async (cacao: Cacao, at = now) =>
  expect(verifyCacao(cacao, { now: at })).rejects.toMatchObject({ code: 'identity_invalid' })

describe('the text of a CACAO', () => {
  it('has every field that is there, in order', () => {
    const cacao = unsigned({
      statement: 'I agree.',
      exp: '2027-01-01T00:00:00Z',
      nbf: '2025-01-01T00:00:00Z',
      requestId: 'r-1',
      resources: ['https://a.example', 'ipfs://b'],
    })
    expect(cacaoTexts(cacao)).toEqual([
      `app.example.com wants you to sign in with your Ethereum account:
${address}

I agree.

URI: ${identity.did}
Version: 1
Chain ID: 1
Nonce: 12345678
Issued At: 2026-01-01T00:00:00.000Z
Expiration Time: 2027-01-01T00:00:00Z
Not Before: 2025-01-01T00:00:00Z
Request ID: r-1
Resources:
- https://a.example
- ipfs://b`,
    ])
  })

  it.each([undefined, ''])('without a statement (%j) may have one, two or three empty lines', (statement) => {
    const texts = cacaoTexts(unsigned(statement === undefined ? {} : { statement }))
    expect(texts.map((text) => text.split(address)[1]?.split('URI')[0])).toEqual([
      '\n\n\n',
      '\n\n\n\n',
      '\n\n',
    ])
  })

  it('starts with a space when the domain is empty, as chat clients register', () => {
    expect(cacaoTexts(unsigned({ domain: '', statement: '' }))[0]).toMatch(/^ wants you to sign in/)
  })

  it('has the sentence of the recap, once, whether or not the payload has it', () => {
    const recap = encodeRecap({
      att: { 'https://notify.example': { 'manage/all-apps-notifications': [{}] } },
    })
    const sentence =
      "I further authorize the stated URI to perform the following actions on my behalf: (1) 'manage': 'all-apps-notifications' for 'https://notify.example'."
    const resources = ['https://keys.example', recap]
    for (const [statement, whole] of [
      [undefined, sentence],
      ['Hello.', `Hello. ${sentence}`],
      [sentence, sentence],
      [`Hello. ${sentence}`, `Hello. ${sentence}`],
    ]) {
      const cacao = unsigned({ ...(statement !== undefined && { statement }), resources })
      expect(signedStatement(cacao)).toBe(whole)
      expect(cacaoTexts(cacao)).toHaveLength(1)
      expect(cacaoTexts(cacao)[0]).toContain(`${address}\n\n${whole}\n\nURI: `)
    }
    expect(signedStatement(unsigned({ statement: 'Hello.' }))).toBe('Hello.')
    expect(signedStatement(unsigned())).toBe('')
  })
})

describe('a CACAO is good', () => {
  it.each(['eip4361', 'caip122'] as const)('with header %s', (t) =>
    verifyCacao(signed(unsigned({ statement: 'I agree.' }, t)), { now }),
  )

  it.each([0, 1, 2])('in every rendering of a missing statement (%d)', async (which) => {
    for (const cacao of [unsigned(), unsigned({ statement: '', domain: '' }), unsigned({ resources: [] })]) {
      const texts = cacaoTexts(cacao)
      await verifyCacao(signed(cacao, texts[which]), { now })
      await verifyCacao(signed(cacao, texts.at(-1 - which)), { now })
    }
  })

  it.each([
    ['with 0x', (hex: string) => hex],
    ['without 0x', (hex: string) => hex.slice(2)],
    ['in capitals', (hex: string) => `0x${hex.slice(2).toUpperCase()}`],
  ])('whatever its signature is spelled like: %s', async (_, spell) => {
    const cacao = unsigned({ statement: 'a' })
    const text = cacaoTexts(cacao)[0] ?? ''
    for (const offset of [0, 27]) {
      await verifyCacao({ ...cacao, s: { t: 'eip191', s: spell(hexOf(text, offset)) } }, { now })
    }
  })

  it('for an address in lower case, which is also what was signed', async () => {
    const cacao = unsigned({ iss: `did:pkh:eip155:10:${address.toLowerCase()}`, statement: 'a' })
    expect(cacaoTexts(cacao)[0]).toContain(`${address.toLowerCase()}\n\na\n\n`)
    expect(cacaoTexts(cacao)[0]).toContain('Chain ID: 10')
    await verifyCacao(signed(cacao), { now })
  })

  it('with a statement of many languages', () =>
    verifyCacao(signed(unsigned({ statement: 'ich stimme zu — 同意 👍' })), { now }))

  it('within its dates and 60 s around them', async () => {
    const cacao = signed(unsigned({ nbf: '2026-01-01T00:01:00Z', exp: '2026-01-01T00:02:00Z' }))
    await refused(cacao, now - 1)
    await verifyCacao(cacao, { now })
    await verifyCacao(cacao, { now: now + 179_999 })
    await refused(cacao, now + 180_000)
  })
})

describe('a CACAO is refused', () => {
  const good = signed(unsigned({ statement: 'I agree.', resources: ['https://a.example'] }))

  it('when any field is not what was signed', async () => {
    await verifyCacao(good, { now })
    for (const change of [
      { domain: 'evil.example.com' },
      { aud: signingKeyFrom(new Uint8Array(32).fill(6)).did },
      { statement: 'I agree to all.' },
      { statement: '' },
      { version: '2' },
      { nonce: '87654321' },
      { iat: '2026-01-01T00:00:00.001Z' },
      { exp: '2027-01-01T00:00:00Z' },
      { nbf: '2025-01-01T00:00:00Z' },
      { requestId: 'r' },
      { resources: [] },
      { resources: ['https://a.example', 'https://b.example'] },
      { iss: `did:pkh:eip155:2:${address}` },
      { iss: `did:pkh:eip155:1:${address.toLowerCase()}` },
      { iss: 'did:pkh:eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' },
    ]) {
      await refused({ ...good, p: { ...good.p, ...change } })
    }
  })

  it.each([
    ['empty', '0x'],
    ['not hex', '0xzz'],
    ['short', hexOf('a').slice(0, -2)],
    ['long', `${hexOf('a')}00`],
    ['of zeros', `0x${'00'.repeat(65)}`],
    ['beyond the order', `0x${'ff'.repeat(65)}`],
    ['of something else', hexOf('a')],
    ['with an unknown recovery id', hexOf(cacaoTexts(good)[0] ?? '', 35)],
  ])('when its signature is %s', (_, s) => refused({ ...good, s: { t: 'eip191', s } }))

  it.each(['\n', '\r', '\r\n'])(
    'when a field holds a line break (%j), with which one text could mean two things',
    async (lineBreak) => {
      const names = [
        'aud',
        'domain',
        'statement',
        'version',
        'nonce',
        'iat',
        'exp',
        'nbf',
        'requestId',
      ] as const
      for (const name of names) {
        const cacao = unsigned({ [name]: `a${lineBreak}b` })
        expect(cacaoSchema.safeParse(cacao).success).toBe(false)
        await refused(signed(cacao))
      }
      await refused(signed(unsigned({ resources: [`a${lineBreak}- b`] })))
    },
  )

  it.each(['exp', 'nbf'] as const)('when %s is not a time', (name) =>
    refused(signed(unsigned({ [name]: 'soon' }))),
  )

  it('when its kind of signature is not known, or cannot be asked about', async () => {
    await refused({ ...good, s: { ...good.s, t: 'eip712' } })
    await refused({ ...good, s: { ...good.s, t: 'eip1271' } })
  })

  it('when the issuer is of a namespace without a verifier, with a sentence that says so', async () => {
    const iss = 'did:pkh:cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0'
    await expect(verifyCacao({ ...good, p: { ...good.p, iss } }, { now })).rejects.toMatchObject({
      code: 'identity_invalid',
      message: expect.stringContaining('accounts of cosmos cannot be verified here'),
    })
  })

  it('when the issuer is no account', async () => {
    for (const iss of ['', 'did:pkh:', identity.did, 'did:pkh:eip155:1:0x12', 'did:pkh:solana:a:0x12']) {
      await refused({ ...good, p: { ...good.p, iss } })
      expectCode(() => accountOf({ ...good, p: { ...good.p, iss } }), 'identity_invalid')
    }
  })

  it('when it has two recaps', () => {
    const recap = encodeRecap({ att: { a: { 'b/c': [{}] } } })
    return refused({ ...good, p: { ...good.p, resources: [recap, recap] } })
  })

  it.each([
    ['no header', { p: good.p, s: good.s }],
    ['an unknown header', { ...good, h: { t: 'eip712' } }],
    ['no signature', { h: good.h, p: good.p }],
    ['a missing field', { ...good, p: { ...good.p, nonce: undefined } }],
    ['a number', { ...good, p: { ...good.p, version: 1 } }],
    ['null', null],
  ])('when its shape is wrong: %s', (_, value) => expect(cacaoSchema.safeParse(value).success).toBe(false))
})

describe('Solana accounts', () => {
  const seed = new Uint8Array(32).fill(0x22)
  const iss = `did:pkh:solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${toBase58(ed25519.getPublicKey(seed))}`
  const unsignedOf = (t = 'solana:ed25519'): Cacao => ({
    ...unsigned({ iss, statement: 'I agree.' }, 'caip122'),
    s: { t, s: '' },
  })
  const signature = ed25519.sign(utf8(cacaoTexts(unsignedOf())[0] ?? ''), seed)
  const withSignature = (s: string, t?: string): Cacao => ({ ...unsignedOf(t), s: { ...unsignedOf(t).s, s } })

  it('sign the same text, under their own name', () => {
    const [text, ...more] = cacaoTexts(unsignedOf())
    expect(more).toEqual([])
    expect(text).toContain('app.example.com wants you to sign in with your Solana account:\n')
    expect(text).toContain(`\n${iss.split(':').at(-1)}\n\nI agree.\n\nURI: `)
    expect(text).toContain('Chain ID: 5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp\n')
  })

  it.each([
    ['base58', toBase58(signature)],
    ['base64', toBase64(signature)],
    ['base64 without padding', toBase64(signature).replaceAll('=', '')],
    ['hex', toHex(signature)],
    ['hex with 0x', `0x${toHex(signature)}`],
  ])('may spell their signature in %s, and its type in two ways', async (_, s) => {
    await verifyCacao(withSignature(s), { now })
    await verifyCacao(withSignature(s, 'ed25519'), { now })
  })

  it('are refused when they did not sign it so', async () => {
    const other = ed25519.sign(utf8(cacaoTexts(unsignedOf())[0] ?? ''), new Uint8Array(32).fill(0x23))
    const changed = signature.with(0, (signature[0] ?? 0) ^ 1)
    for (const bytes of [other, changed, signature.subarray(1), concat(signature, Uint8Array.of(0))]) {
      for (const s of [toBase58(bytes), toBase64(bytes), toHex(bytes)]) await refused(withSignature(s))
    }
    for (const s of ['', '0x', 'l', ' ', 'z'.repeat(100_000)]) await refused(withSignature(s))
    for (const t of ['eip191', 'eip1271', 'solana', '']) await refused(withSignature(toBase58(signature), t))
    const good = withSignature(toBase58(signature))
    await refused({ ...good, p: { ...good.p, statement: 'I agree to all.' } })
    // The letters of an address say who it is.
    for (const spelled of [iss.toLowerCase(), iss.replace(/.$/, (last) => (last === '2' ? '3' : '2'))]) {
      await refused({ ...good, p: { ...good.p, iss: spelled } })
    }
  })

  it('do not sign for an Ethereum account, nor the other way round', async () => {
    await refused({
      ...unsigned({ statement: 'I agree.' }),
      s: { t: 'solana:ed25519', s: toBase58(signature) },
    })
    const text = cacaoTexts(unsignedOf())[0] ?? ''
    await refused({ ...unsignedOf(), s: { t: 'eip191', s: hexOf(text) } })
  })
})

describe('contract wallets', () => {
  it.each(['eip1271', 'eip6492'])('are asked about %s, with each text', async (t) => {
    const cacao: Cacao = { ...unsigned(), s: { t, s: 'abcd' } }
    const texts: string[] = []
    const verifySignature = async ({ text, signature }: { text: string; signature: string }) => {
      expect(signature).toBe('0xabcd')
      texts.push(text)
      return texts.length === 2
    }
    await verifyCacao(cacao, { now, verifySignature })
    expect(texts).toEqual(cacaoTexts(cacao).slice(0, 2))
    await expect(verifyCacao(cacao, { now, verifySignature: async () => false })).rejects.toMatchObject({
      code: 'identity_invalid',
    })
  })

  it('are not asked about the signature of a key', async () => {
    const verifySignature = async () => true
    const cacao: Cacao = { ...unsigned(), s: { t: 'eip191', s: 'abcd' } }
    await expect(verifyCacao(cacao, { now, verifySignature })).rejects.toMatchObject({
      code: 'identity_invalid',
    })
  })
})

describe('the identity key', () => {
  const second = signingKeyFrom(new Uint8Array(32).fill(6)).did

  it.each([
    ['in the query of aud', { aud: `https://app.example?a=b&walletconnect_identity_key=${identity.did}#x` }],
    [
      'encoded in it',
      { aud: `https://app.example?walletconnect_identity_key=${encodeURIComponent(identity.did)}` },
    ],
    ['in aud without a scheme', { aud: `app.example?walletconnect_identity_key=${identity.did}` }],
    ['in aud', { aud: identity.did }],
    ['in aud rather than in a resource', { aud: identity.did, resources: [second] }],
    [
      'in the query rather than in a resource',
      { aud: `x?walletconnect_identity_key=${identity.did}`, resources: [second] },
    ],
    ['in the first resource', { aud: 'https://app.example', resources: [identity.did, second] }],
  ])('is found %s', (_, more) => expect(identityKeyOf(unsigned(more))).toBe(identity.did))

  it.each([
    ['nowhere', { aud: 'https://app.example' }],
    ['in the second resource only', { aud: 'https://app.example', resources: ['a', identity.did] }],
    ['as another kind of key', { aud: x25519Did(new Uint8Array(32).fill(1)) }],
    ['as nonsense in the query', { aud: 'x?walletconnect_identity_key=abc', resources: [identity.did] }],
    ['in the fragment', { aud: `https://app.example#?walletconnect_identity_key=${identity.did}` }],
  ])('is not found %s', (_, more) => expectCode(() => identityKeyOf(unsigned(more)), 'identity_invalid'))
})
