import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../../src/protocol/bytes.ts'
import { type Cacao, cacaoTexts, identityKeyOf, verifyCacao } from '../../src/protocol/cacao.ts'
import { ed25519Did, ed25519FromDid } from '../../src/protocol/did.ts'
import { openEnvelope, parseEnvelope, sealType0, sealType1 } from '../../src/protocol/envelope.ts'
import { decodeJwt, verifyJwt } from '../../src/protocol/jwt.ts'
import { agreementKeyFrom, deriveSymKey, signingKeyFrom } from '../../src/protocol/keys.ts'
import { messageIdOf, subscriptionIdOf, topicOf } from '../../src/protocol/topic.ts'
import vectors from '../vectors/core.json' with { type: 'json' }

describe('the vectors of published clients', () => {
  const agreement = vectors.keyAgreement

  it('gives both sides of an agreement the same key and topic', () => {
    const a = agreementKeyFrom(fromHex(agreement.privateKeyA))
    const b = agreementKeyFrom(fromHex(agreement.privateKeyB))
    expect(toHex(a.publicKey)).toBe(agreement.publicKeyA)
    expect(toHex(b.publicKey)).toBe(agreement.publicKeyB)
    const key = deriveSymKey(a.privateKey, b.publicKey)
    expect(toHex(key)).toBe(agreement.symKey)
    expect(deriveSymKey(b.privateKey, a.publicKey)).toEqual(key)
    expect(topicOf(key)).toBe(agreement.topicOfSymKey)
    expect(topicOf(b.publicKey)).toBe(agreement.topicOfPublicKeyB)
  })

  it('seals the same envelopes, and opens them', () => {
    const { plaintext, type0, type1 } = vectors.envelopes
    const iv = fromHex(vectors.envelopes.iv)
    const key = fromHex(agreement.symKey)
    const senderPublicKey = fromHex(vectors.envelopes.senderPublicKey)
    expect(sealType0({ key, plaintext, iv })).toBe(type0)
    expect(sealType1({ key, senderPublicKey, plaintext, iv })).toBe(type1)
    const sent = parseEnvelope(type1)
    expect(sent).toMatchObject({ type: 1, senderPublicKey, iv })
    expect(openEnvelope(sent, key)).toBe(plaintext)
    expect(openEnvelope(parseEnvelope(type0), key)).toBe(plaintext)
  })

  it('names messages and subscriptions alike', () => {
    expect(messageIdOf(vectors.messageId.message)).toBe(vectors.messageId.id)
    const { topic, clientId, id } = vectors.subscriptionId
    expect(subscriptionIdOf(topic, clientId)).toBe(id)
  })

  it('spells did:key alike', () => {
    const { publicKey, did } = vectors.didKey.ed25519
    expect(ed25519Did(fromHex(publicKey))).toBe(did)
    expect(toHex(ed25519FromDid(did))).toBe(publicKey)
  })

  it('verifies the JWT of a relay client', () => {
    const { jwt, seed, sub, aud, iat, ttl } = vectors.relayAuthJwt
    const key = signingKeyFrom(fromHex(seed))
    expect(decodeJwt(jwt).header).toEqual({ alg: 'EdDSA', typ: 'JWT' })
    const claims = verifyJwt(jwt, { now: iat * 1000, audience: aud, issuer: key.did })
    expect(claims).toEqual({ iss: key.did, sub, aud, iat, exp: iat + ttl })
  })

  it('rebuilds the text of a CACAO and verifies its signature', async () => {
    const { payload, text, signature } = vectors.eip4361
    const cacao: Cacao = { h: { t: 'eip4361' }, p: payload, s: { t: 'eip191', s: signature } }
    expect(cacaoTexts(cacao)).toEqual([text])
    expect(identityKeyOf(cacao)).toBe(payload.aud)
    await verifyCacao(cacao, { now: Date.parse(payload.iat) })
  })
})
