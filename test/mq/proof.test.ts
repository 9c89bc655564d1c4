import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashDid, isHashDid, secp256k1Did, ssiKeyDid } from '../../src/mq/dids.ts'
import { createFindKeys, type FindKeysDeps } from '../../src/mq/keys.ts'
import { createProofs } from '../../src/mq/proof.ts'
import {
  accountSigner,
  ed25519Signer,
  type MqSigner,
  secp256k1Signer,
  webSigner,
} from '../../src/mq/signers.ts'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { createPublicFetch, type PublicAnswer } from '../../src/platform/net/public-fetch.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { concat, fromHex, toBase64url, toHex, utf8 } from '../../src/protocol/bytes.ts'
import { accountKey } from '../../src/protocol/caip.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { manualClock } from '../support/clock.ts'
import { newOwner } from '../support/owner.ts'
import { runs } from '../support/runs.ts'
import { secretListener } from '../support/secret-listener.ts'
import vectors from '../vectors/edges.json' with { type: 'json' }

const nobody: FindKeysDeps = {
  fetch: createPublicFetch(),
  speaksFor: async () => false,
  clock: systemClock,
}
const proofs = createProofs({ findKeys: createFindKeys(nobody) })
const TOKEN = 'eyJhbGciOiJFZERTQSJ9.eyJ0ZXN0IjoxfQ.c2ln'

const queueOf = (did: string, domain = 'testdomain') => ({ domain, hashDID: hashDid(did) })
/** The code with which the proof is refused; undefined when it is taken. */
const refusalOf = async (attempt: Promise<void>): Promise<string | undefined> => {
  try {
    await attempt
    return undefined
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}
const newSecret = () => {
  const secret = secp256k1.utils.randomSecretKey()
  secretListener.tell('private key of an agent', secret)
  return secret
}

describe('the published vector', () => {
  const { did, hashDID, token, signatureHexDER, privateKeyHex, sender } = vectors.opendsu_mq

  it('names its queue, and proves its reader with a high s', async () => {
    expect(hashDid(did)).toBe(hashDID)
    expect(isHashDid(hashDID)).toBe(true)
    expect(secp256k1Signer(fromHex(privateKeyHex), 'testdomain').did).toBe(did)
    await proofs.reader({ domain: 'testdomain', hashDID }, token, signatureHexDER)
    await proofs.reader({ domain: 'testdomain', hashDID }, token, signatureHexDER.toUpperCase())
    await proofs.sender(did, token, signatureHexDER)
  })

  it('proves nothing else: in another domain, of another token, of another DID, with another byte', async () => {
    const queue = { domain: 'testdomain', hashDID }
    const at = signatureHexDER.length / 2
    const flipped = `${signatureHexDER.slice(0, at)}${signatureHexDER[at] === '0' ? '1' : '0'}${signatureHexDER.slice(at + 1)}`
    for (const attempt of [
      proofs.reader({ domain: 'default', hashDID }, token, signatureHexDER),
      proofs.reader(queue, `${token}x`, signatureHexDER),
      proofs.reader(queueOf(sender), token, signatureHexDER),
      proofs.sender(sender, token, signatureHexDER),
      proofs.reader(queue, token, flipped),
      proofs.reader(queue, token, `${signatureHexDER}00`),
      proofs.reader(queue, token, signatureHexDER.slice(0, -2)),
    ]) {
      expect(await refusalOf(attempt)).toBe('forbidden')
    }
  })
})

describe('ECDSA', () => {
  it('takes DER and compact, of did:ssi:key and did:key, whatever the key', async () => {
    for (let round = 0; round < 20; round++) {
      const secret = newSecret()
      const token = `${TOKEN}${round}`
      for (const { did } of [secp256k1Signer(secret, 'testdomain'), secp256k1Signer(secret)]) {
        for (const format of ['der', 'compact'] as const) {
          const signature = toHex(secp256k1.sign(utf8(token), secret, { format, lowS: round % 2 === 0 }))
          expect(await refusalOf(proofs.reader(queueOf(did), token, signature))).toBeUndefined()
          expect(await refusalOf(proofs.reader(queueOf(did), `${token}.`, signature))).toBe('forbidden')
        }
      }
    }
  })

  it('refuses r and s that are out of range, and DER that is not exactly that', async () => {
    const secret = newSecret()
    const { did } = secp256k1Signer(secret)
    const n = secp256k1.Point.CURVE().n
    const { r, s } = secp256k1.Signature.fromBytes(secp256k1.sign(utf8(TOKEN), secret))
    const hex = (value: bigint) => value.toString(16).padStart(64, '0')
    const integer = (bytes: Uint8Array) => concat(Uint8Array.of(2, bytes.length), bytes)
    const der = (...parts: Uint8Array[]) => {
      const body = concat(...parts)
      return toHex(concat(Uint8Array.of(0x30, body.length), body))
    }
    const big = (value: bigint) => fromHex(value.toString(16).padStart(66, '0'))
    for (const signature of [
      hex(0n) + hex(s),
      hex(r) + hex(0n),
      hex(n) + hex(s),
      hex(r) + hex(n),
      'ff'.repeat(64),
      '00'.repeat(64),
      `${hex(r)}${hex(s)}00`,
      // One zero too many before a number, a negative number, bytes behind the end.
      der(integer(concat(Uint8Array.of(0, 0), fromHex(hex(r)))), integer(big(s))),
      der(integer(big(r)), integer(big(n + s))),
      `${der(integer(big(r)), integer(big(s)))}00`,
      '30',
      '',
      '0x',
      'zz',
    ]) {
      expect({ signature, code: await refusalOf(proofs.reader(queueOf(did), TOKEN, signature)) }).toEqual({
        signature,
        code: 'forbidden',
      })
    }
  })

  it('never takes what somebody made up, and never fails on it', async () => {
    const { did } = secp256k1Signer(newSecret())
    const hex = fc.uint8Array({ maxLength: 80 }).map(toHex)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          hex,
          fc.tuple(hex, hex).map((two) => two.join('..')),
        ),
        async (text) => {
          expect(await refusalOf(proofs.reader(queueOf(did), TOKEN, text))).toBe('forbidden')
          expect(await refusalOf(proofs.sender(did, TOKEN, text))).toBe('forbidden')
        },
      ),
      { numRuns: runs(200) },
    )
  })
})

describe('a detached JWS', () => {
  const key = generateSigningKey()
  const signer = ed25519Signer(key)
  const queue = queueOf(signer.did)
  const [header = '', , end = ''] = String(signer.sign(TOKEN)).split('.')

  it('proves a did:key, with the key as a fragment or without one', async () => {
    await proofs.reader(queue, TOKEN, `${header}..${end}`)
    await proofs.sender(key.did, TOKEN, `${header}..${end}`)
    const kid = `${key.did}#${key.did.slice('did:key:'.length)}`
    await proofs.reader(queue, TOKEN, String(webSigner(key, kid).sign(TOKEN)))
  })

  it('is refused with another header, another payload, and another key', async () => {
    const headerOf = (change: object) =>
      toBase64url(utf8(JSON.stringify({ alg: 'EdDSA', kid: key.did, ...change })))
    for (const signature of [
      `${headerOf({ alg: 'none' })}..${end}`,
      `${headerOf({ alg: 'none' })}..`,
      `${headerOf({ alg: 'HS256' })}..${end}`,
      `${headerOf({ crit: ['b64'], b64: false })}..${end}`,
      `${headerOf({ kid: undefined })}..${end}`,
      `${headerOf({ kid: generateSigningKey().did })}..${end}`,
      `${headerOf({ kid: `${key.did}#other` })}..${end}`,
      `${headerOf({ more: 1 })}..${end}`,
      `${header}.${toBase64url(utf8(TOKEN))}.${end}`,
      `${header}..${end}.`,
      `${header}..`,
      `..${end}`,
      '..',
      '.',
    ]) {
      expect({ signature, code: await refusalOf(proofs.reader(queue, TOKEN, signature)) }).toEqual({
        signature,
        code: 'forbidden',
      })
    }
    expect(await refusalOf(proofs.reader(queue, `${TOKEN}x`, `${header}..${end}`))).toBe('forbidden')
    expect(await refusalOf(proofs.reader(queueOf(newOwner().account), TOKEN, `${header}..${end}`))).toBe(
      'forbidden',
    )
  })
})

describe('did:pkh', () => {
  it('is proved by an identity key of the account, on whatever chain it was registered', async () => {
    const [owner, other] = [newOwner(), newOwner()]
    const key = generateSigningKey()
    const registered = new Map([[key.did, owner.on(10)]])
    const { reader } = createProofs({
      findKeys: createFindKeys({
        ...nobody,
        speaksFor: async (identityKey, account) => {
          const known = registered.get(identityKey)
          return known !== undefined && accountKey(known) === account
        },
      }),
    })
    const proves = (signer: MqSigner) =>
      refusalOf(
        Promise.resolve(signer.sign(TOKEN)).then((proof) => reader(queueOf(signer.did), TOKEN, proof)),
      )
    expect(await proves(accountSigner(key, owner.account))).toBeUndefined()
    expect(await proves(accountSigner(key, other.account))).toBe('forbidden')
    expect(await proves(accountSigner(generateSigningKey(), owner.account))).toBe('forbidden')
    expect(await proves(webSigner(key, `did:pkh:${owner.account}`))).toBe('forbidden')
    expect(await proves(webSigner(key, `did:pkh:nonsense#${key.did.slice(8)}`))).toBe('forbidden')
    registered.clear()
    expect(await proves(accountSigner(key, owner.account))).toBe('forbidden')
  })
})

describe('did:web', () => {
  const key = generateSigningKey()
  const did = 'did:web:agents.example%3A8443:people:ann'
  const url = 'https://agents.example:8443/people/ann/did.json'
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(key.publicKey) }
  const method = { id: `${did}#key-1`, type: 'JsonWebKey2020', controller: did, publicKeyJwk: jwk }
  const document = { id: did, verificationMethod: [method], authentication: [`${did}#key-1`] }

  /** A web that has one page: foreign hosts are no part of ours. */
  const web = (answers: () => Partial<PublicAnswer>) => {
    const asked: string[] = []
    const clock = manualClock()
    const findKeys = createFindKeys({
      ...nobody,
      clock,
      fetch: async (where) => {
        asked.push(where)
        return { status: 200, headers: {}, body: '', ...answers() }
      },
    })
    const { reader } = createProofs({ findKeys })
    const proves = (kid = `${did}#key-1`, signing = key) => {
      const signer = webSigner(signing, kid)
      return refusalOf(
        Promise.resolve(signer.sign(TOKEN)).then((proof) => reader(queueOf(signer.did), TOKEN, proof)),
      )
    }
    return { asked, clock, proves }
  }
  const serving = (change: object) => web(() => ({ body: JSON.stringify({ ...document, ...change }) }))

  it('is proved by a key of the document, which is kept for five minutes', async () => {
    const { proves, asked, clock } = serving({})
    expect(await proves()).toBeUndefined()
    expect(await proves()).toBeUndefined()
    expect(asked).toEqual([url])
    await clock.advance(300_001)
    expect(await proves()).toBeUndefined()
    expect(asked).toHaveLength(2)
  })

  it('understands relative ids, embedded methods and multibase, and asks the host of a plain one', async () => {
    const multibase = { id: '#key-1', publicKeyMultibase: key.did.slice('did:key:'.length) }
    expect(
      await serving({ verificationMethod: [multibase], authentication: ['#key-1'] }).proves(),
    ).toBeUndefined()
    expect(await serving({ verificationMethod: [], authentication: [method] }).proves()).toBeUndefined()
    const plain = serving({
      id: 'did:web:example.com',
      authentication: [{ ...method, id: 'did:web:example.com#k' }],
    })
    expect(await plain.proves('did:web:example.com#k')).toBeUndefined()
    expect(plain.asked).toEqual(['https://example.com/.well-known/did.json'])
  })

  it.each([
    ['a key that is not for authentication', { authentication: [], assertionMethod: [`${did}#key-1`] }],
    ['the document of another DID', { id: 'did:web:agents.example' }],
    [
      'a key of another kind',
      { verificationMethod: [{ ...method, publicKeyJwk: { ...jwk, crv: 'X25519' } }] },
    ],
    ['a key that is none', { verificationMethod: [{ ...method, publicKeyJwk: { ...jwk, x: 'AA' } }] }],
    ['no key', { verificationMethod: [], authentication: [null, 7, {}] }],
  ])('is not proved by %s', async (_, change) => {
    expect(await serving(change).proves()).toBe('forbidden')
  })

  it('is not proved by another key, without a fragment, or with a name that is none', async () => {
    const { proves, asked } = serving({})
    expect(await proves(undefined, generateSigningKey())).toBe('forbidden')
    expect(await proves(did)).toBe('forbidden')
    for (const kid of [
      'did:web:#a',
      'did:web:a@b#c',
      'did:web:a/b#c',
      'did:web:a:..%2F#c',
      'did:web:a::b#c',
      'did:x:y#z',
    ]) {
      expect(await proves(kid)).toBe('forbidden')
    }
    expect(asked).toEqual([url])
  })

  it('says that it cannot say, when the document is not there or no document', async () => {
    expect(await web(() => ({ status: 404 })).proves()).toBe('unavailable')
    expect(await web(() => ({ body: '<html>' })).proves()).toBe('unavailable')
  })

  it('asks nobody in our own network', async () => {
    const { reader } = createProofs({
      findKeys: createFindKeys({ ...nobody, fetch: createPublicFetch({ rules: addressRules() }) }),
    })
    for (const host of ['127.0.0.1%3A1', 'localhost', '169.254.169.254', '10.0.0.1']) {
      const signer = webSigner(key, `did:web:${host}#key-1`)
      expect(await refusalOf(reader(queueOf(signer.did), TOKEN, await signer.sign(TOKEN)))).toBe('forbidden')
    }
  })
})

describe('hashes and DIDs', () => {
  it('are what they say', () => {
    expect(isHashDid('8wVnt83NUB3usrooEUWRhRChiyGQFDXBG2uyt4LtndT')).toBe(true)
    for (const text of ['', 'x', '0', 'l'.repeat(44), '1'.repeat(31), 'z'.repeat(60)])
      expect(isHashDid(text)).toBe(false)
    const secret = newSecret()
    expect(secp256k1Did(secp256k1.getPublicKey(secret, true))).toMatch(/^did:key:zQ3s/)
    expect(sha256(utf8(ssiKeyDid('d', secp256k1.getPublicKey(secret, false))))).toHaveLength(32)
  })
})
