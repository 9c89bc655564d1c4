import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crypto } from '#crypto'
import { concat, fromBase64, toBase64, utf8 } from '../../src/protocol/bytes.ts'
import { ed25519FromDid } from '../../src/protocol/did.ts'
import {
  deterministicIv,
  openEnvelope,
  parseEnvelope,
  sealType0,
  sealType1,
} from '../../src/protocol/envelope.ts'
import {
  agreementKeyFrom,
  deriveSymKey,
  generateAgreementKey,
  generateSigningKey,
  generateSymKey,
  signingKeyFrom,
} from '../../src/protocol/keys.ts'
import { messageIdOf, subscriptionIdOf, TOPIC, topicOf } from '../../src/protocol/topic.ts'
import { runs } from '../support/runs.ts'
import { expectCode } from './throws.ts'

const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const text = fc.string({ unit: 'binary', maxLength: 300 })

describe('keys', () => {
  it('lets two sides agree, whoever they are', () => {
    fc.assert(
      fc.property(key32, key32, (a, b) => {
        const [one, other] = [agreementKeyFrom(a), agreementKeyFrom(b)]
        expect(deriveSymKey(one.privateKey, other.publicKey)).toEqual(
          deriveSymKey(other.privateKey, one.publicKey),
        )
      }),
      { numRuns: runs(200) },
    )
  })

  it('makes keys that differ, and knows them by their did:key', () => {
    const key = generateSigningKey()
    expect(ed25519FromDid(key.did)).toEqual(key.publicKey)
    expect(signingKeyFrom(key.seed)).toEqual(key)
    expect(generateSigningKey().did).not.toBe(key.did)
    expect(generateAgreementKey().publicKey).not.toEqual(generateAgreementKey().publicKey)
    expect(generateSymKey()).toHaveLength(32)
    expect(generateSymKey()).not.toEqual(generateSymKey())
  })

  it('refuses a public key of low order, and one of another length', () => {
    const { privateKey } = generateAgreementKey()
    for (const key of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), new Uint8Array(31)]) {
      expectCode(() => deriveSymKey(privateKey, key), 'undecryptable')
    }
  })
})

describe('topics and ids', () => {
  it('are 64 lower-case hex digits', () => {
    for (const id of [topicOf(generateSymKey()), messageIdOf('a'), subscriptionIdOf('a', 'b')]) {
      expect(id).toMatch(/^[0-9a-f]{64}$/)
      expect(id.toUpperCase()).toMatch(TOPIC)
    }
  })

  it.each(['', 'a', `${'a'.repeat(64)}\n`, 'g'.repeat(64), 'a'.repeat(65)])('%j is no topic', (topic) =>
    expect(topic).not.toMatch(TOPIC),
  )
})

describe('envelopes', () => {
  it('are opened as they were sealed', () => {
    fc.assert(
      fc.property(key32, key32, text, (key, senderPublicKey, plaintext) => {
        const zero = parseEnvelope(sealType0({ key, plaintext }))
        expect(zero.type).toBe(0)
        expect(openEnvelope(zero, key)).toBe(plaintext)
        const one = parseEnvelope(sealType1({ key, senderPublicKey, plaintext }))
        expect(one).toMatchObject({ type: 1, senderPublicKey })
        expect(openEnvelope(one, key)).toBe(plaintext)
      }),
      { numRuns: runs(500) },
    )
  })

  it('cannot be opened with another key, nor after any damage', () => {
    fc.assert(
      fc.property(key32, text, fc.nat(), fc.integer({ min: 0, max: 7 }), (key, plaintext, where, bit) => {
        const bytes = fromBase64(sealType0({ key, plaintext }))
        expectCode(() => openEnvelope(parseEnvelope(toBase64(bytes)), crypto.sha256(key)), 'undecryptable')
        const at = where % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
        expectCode(() => openEnvelope(parseEnvelope(toBase64(bytes)), key), 'undecryptable')
      }),
      { numRuns: runs(500) },
    )
  })

  it('have a fresh iv each, unless one is given', () => {
    const key = generateSymKey()
    expect(sealType0({ key, plaintext: 'a' })).not.toBe(sealType0({ key, plaintext: 'a' }))
    const iv = deterministicIv(key, 'a')
    expect(sealType0({ key, plaintext: 'a', iv })).toBe(sealType0({ key, plaintext: 'a', iv }))
  })

  it('have a deterministic iv of 12 bytes that differs for every text and key', () => {
    fc.assert(
      fc.property(key32, text, text, (key, a, b) => {
        const iv = deterministicIv(key, a)
        expect(iv).toHaveLength(12)
        expect(iv).toEqual(deterministicIv(key, a))
        if (a !== b) expect(deterministicIv(key, b)).not.toEqual(iv)
        expect(deterministicIv(crypto.sha256(key), a)).not.toEqual(iv)
        expect(iv).toEqual(crypto.hmacSha256(key, utf8(`belfry iv${a}`)).slice(0, 12))
      }),
    )
  })

  const random = (type: number, length: number) =>
    toBase64(concat(Uint8Array.of(type), crypto.randomBytes(length)))
  it.each([
    ['nothing', ''],
    ['what is not base64', 'not base64!'],
    ['base64 without its padding', toBase64(new Uint8Array(100)).replace(/=+$/, '')],
    ['base64url', toBase64(new Uint8Array(99).fill(255)).replaceAll('/', '_')],
    ['type 0 that is too short', random(0, 27)],
    ['type 1 that is too short', random(1, 59)],
    ['type 2, which is not encrypted', toBase64(concat(Uint8Array.of(2), utf8('eyJpZCI6MX0')))],
    ['type 3', random(3, 100)],
    ['type 255', random(255, 100)],
    ['JSON', '{"id":1}'],
  ])('are not %s', (_, message) => expectCode(() => parseEnvelope(message), 'undecryptable'))

  it('may be empty inside', () => {
    const key = generateSymKey()
    expect(openEnvelope(parseEnvelope(sealType0({ key, plaintext: '' })), key)).toBe('')
  })

  it('must hold UTF-8', () => {
    const key = generateSymKey()
    const iv = crypto.randomBytes(12)
    const message = toBase64(concat(Uint8Array.of(0), iv, crypto.seal(key, iv, Uint8Array.of(0xff))))
    expectCode(() => openEnvelope(parseEnvelope(message), key), 'bad_request')
  })
})
