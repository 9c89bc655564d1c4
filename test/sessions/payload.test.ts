import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHex, toBase64, toBase64url, toHex } from '../../src/protocol/bytes.ts'
import { openPayload, parseSessionKey, sealPayload } from '../../src/sessions/payload.ts'
import { expectCode } from '../protocol/throws.ts'
import vectors from '../vectors/edges.json' with { type: 'json' }

const { symKeyHex, symKeyBase64, plaintext, payloadBase64 } = vectors.carmentis_relay_aead
const key = fromHex(symKeyHex)

describe('the vector of published clients', () => {
  it('opens, and is sealed to the same bytes again', async () => {
    expect(await openPayload(key, payloadBase64)).toBe(JSON.stringify(plaintext))
    const iv = new Uint8Array(Buffer.from(payloadBase64, 'base64').subarray(0, 12))
    expect(await sealPayload(key, JSON.stringify(plaintext), iv)).toBe(payloadBase64)
  })
})

describe('a key', () => {
  it.each([
    symKeyHex,
    symKeyHex.toUpperCase(),
    symKeyBase64,
    symKeyBase64.replace('=', ''),
    toBase64url(key),
    `${toBase64url(key)}=`,
  ])('is understood as %s', (text) => expect(toHex(parseSessionKey(text))).toBe(symKeyHex))

  it('of 64 hex digits is hex, although it could be base64', () => {
    expect(parseSessionKey('ab'.repeat(32))).toEqual(new Uint8Array(32).fill(0xab))
  })

  it.each([
    '',
    'x',
    'undefined',
    symKeyHex.slice(1),
    `${symKeyHex}0`,
    `0x${symKeyHex}`,
    symKeyHex.replace('0', 'g'),
    toBase64(key.subarray(1)),
    toBase64(new Uint8Array(33)),
    symKeyBase64.replace('A', ' '),
    `${symKeyBase64}=`,
    `-${symKeyBase64.slice(1)}`,
    'a'.repeat(42),
    // Bits behind the last byte.
    `${symKeyBase64.slice(0, 42)}9=`,
    '0'.repeat(63),
  ])('is never made of %j', (text) => {
    expectCode(() => parseSessionKey(text), 'bad_params')
  })
})

it('agrees with what Node does by itself, in both directions', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (text) => {
      // Lone surrogates have no UTF-8.
      const said = Buffer.from(text, 'utf8').toString('utf8')
      const [fresh, iv] = [randomBytes(32), randomBytes(12)]
      const cipher = createCipheriv('aes-256-gcm', fresh, iv)
      const theirs = Buffer.concat([iv, cipher.update(said, 'utf8'), cipher.final(), cipher.getAuthTag()])
      expect(await sealPayload(fresh, said, iv)).toBe(theirs.toString('base64'))
      expect(await openPayload(fresh, theirs.toString('base64'))).toBe(said)

      const ours = Buffer.from(await sealPayload(fresh, said), 'base64')
      const decipher = createDecipheriv('aes-256-gcm', fresh, ours.subarray(0, 12))
      decipher.setAuthTag(ours.subarray(-16))
      const opened = Buffer.concat([decipher.update(ours.subarray(12, -16)), decipher.final()])
      expect(opened.toString('utf8')).toBe(said)
    }),
  )
})

it('of a changed, cut, lengthened or foreign payload nothing opens', async () => {
  const bytes = Buffer.from(payloadBase64, 'base64')
  const changed = [...bytes.keys()].map((at) => {
    const copy = Buffer.from(bytes)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy.toString('base64')
  })
  const others = [
    '',
    'AAAA',
    bytes.subarray(1).toString('base64'),
    `${payloadBase64}AAAA`,
    bytes.toString('hex'),
    payloadBase64.replace('=', ''),
  ]
  for (const payload of [...changed, ...others]) {
    await expect(openPayload(key, payload)).rejects.toMatchObject({ code: 'undecryptable' })
  }
  await expect(openPayload(randomBytes(32), payloadBase64)).rejects.toMatchObject({ code: 'undecryptable' })
  await expect(openPayload(key.subarray(1), payloadBase64)).rejects.toMatchObject({ code: 'bad_params' })
})

it('two payloads of one text differ', async () => {
  expect(await sealPayload(key, 'x')).not.toBe(await sealPayload(key, 'x'))
})
