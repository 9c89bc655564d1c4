import {
  AccountCrypto,
  CryptoEncoderFactory,
  HCVPkeEncoder,
  MlKemPrivateDecryptionKey,
  PublicKeyEncryptionSchemeId,
  Microblock as SdkMicroblock,
  SectionLabel,
  SectionType,
  SignatureSchemeId,
} from '@cmts-dev/carmentis-sdk/server'
import { Encoder } from 'cbor-x'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from '../../../src/protocol/bytes.ts'
import {
  carmentisKey,
  deriveActorKeys,
  isSignedByCarmentisKey,
} from '../../../src/sessions/carmentis/keys.ts'
import {
  bodyHashOf,
  type Microblock,
  microblockHash,
  readMicroblock,
  sealMicroblock,
  signedBytes,
  withSection,
  writeMicroblock,
} from '../../../src/sessions/carmentis/microblock.ts'
import { sectionName } from '../../../src/sessions/carmentis/section-names.ts'
import { isWrAuthPkAnswer, wrAuthPk } from '../../../src/sessions/methods/wr-auth-pk.ts'
import { runs } from '../../support/runs.ts'
import vectors from '../../vectors/edges.json' with { type: 'json' }
import { contextWith } from '../wallet-context.ts'

const vector = vectors.carmentis_wr_auth_pk_and_microblock
const key = carmentisKey(fromHex(vector.privateKeyHex))
const serialized = fromBase64(vector.b64SerializedMicroblock)

describe('the vectors of the published SDK', () => {
  it('are read and written again to the byte', () => {
    const microblock = readMicroblock(serialized)
    expect(microblock.header).toMatchObject({ magicString: 'CMTS', microblockType: 4, height: 1 })
    expect(microblock.sections).toEqual([{ type: 82, applicationId: new Uint8Array(32).fill(1) }])
    expect(toBase64(writeMicroblock(microblock))).toBe(vector.b64SerializedMicroblock)
    expect(toHex(bodyHashOf(microblock.sections))).toBe(toHex(microblock.header.bodyHash))
  })

  it('have the signature that our key makes of them, and no other', async () => {
    const signed = signedBytes(readMicroblock(serialized))
    expect(toBase64(await key.sign(signed))).toBe(vector.microblockSignatureB64)
    const signature = fromBase64(vector.microblockSignatureB64)
    expect(isSignedByCarmentisKey(vector.publicKey, signed, signature)).toBe(true)
    expect(isSignedByCarmentisKey(vector.publicKey, utf8('else'), signature)).toBe(false)
    const other = carmentisKey(new Uint8Array(32).fill(8)).publicKey
    expect(isSignedByCarmentisKey(other, signed, signature)).toBe(false)
    expect(isSignedByCarmentisKey(vector.publicKey, signed, signature.subarray(1))).toBe(false)
    expect(isSignedByCarmentisKey('SIG:SECP256K1:PK{}', signed, signature)).toBe(false)
  })

  it('have the answer of wr-auth-pk', async () => {
    const method = wrAuthPk({ key })
    const { base64EncodedChallenge, publicKey, signature } = vector
    const params = method.schema.parse({ base64EncodedChallenge })
    const answer = await method.handler(params, contextWith().context)
    expect(answer).toEqual({ publicKey, signature })
    expect(method.approval).toBe('first')
    expect(isWrAuthPkAnswer(base64EncodedChallenge, answer)).toBe(true)
    expect(isWrAuthPkAnswer('b3RoZXI=', answer)).toBe(false)
    expect(isWrAuthPkAnswer(base64EncodedChallenge, { ...answer, signature: 'junk' })).toBe(false)
  })
})

describe('the published SDK', () => {
  const encoder = CryptoEncoderFactory.defaultStringSignatureEncoder()

  it('accepts our answer of wr-auth-pk', async () => {
    const method = wrAuthPk({ key })
    const challenge = toBase64(utf8('who are you?'))
    const answer = await method.handler({ base64EncodedChallenge: challenge }, contextWith().context)
    const publicKey = await encoder.decodePublicKey(answer.publicKey)
    expect(await publicKey.verify(utf8(challenge), encoder.decodeSignature(answer.signature))).toBe(true)
    expect(await publicKey.verify(utf8('other'), encoder.decodeSignature(answer.signature))).toBe(false)
  })

  it('accepts a microblock that we signed, and gives it the same hash', async () => {
    const microblock = readMicroblock(serialized)
    const sealed = sealMicroblock(microblock, await key.sign(signedBytes(microblock)))
    const theirs = SdkMicroblock.loadFromSerializedMicroblock(writeMicroblock(sealed))
    expect(await theirs.verify(await encoder.decodePublicKey(key.publicKey))).toBe(true)
    const other = carmentisKey(new Uint8Array(32).fill(8)).publicKey
    expect(await theirs.verify(await encoder.decodePublicKey(other))).toBe(false)
    expect(toHex(theirs.getHashAsBytes())).toBe(toHex(microblockHash(sealed)))
  })

  it('makes microblocks that we read, whose seal is the one that we would make', async () => {
    const theirs = SdkMicroblock.createMicroblock(5, 7, new Uint8Array(32).fill(3), 0)
    theirs.addSections([
      { type: SectionType.APP_LEDGER_ACTOR_CREATION, id: 0, actorType: 0, name: 'Quasimodo' },
      { type: SectionType.APP_LEDGER_PUBLIC_CHANNEL_DATA, channelId: 0, data: utf8('{"bells":10}') },
      { type: SectionType.APP_LEDGER_ENDORSEMENT_REQUEST, endorserId: 0, message: 'Ring them?' },
    ])
    const unsigned = theirs.serialize().microblockData
    const ours = readMicroblock(unsigned)
    expect(ours.header.height).toBe(7)
    expect(ours.sections[2]).toEqual({ type: 91, endorserId: 0, message: 'Ring them?' })
    expect(ours.sections[1]?.data).toEqual(utf8('{"bells":10}'))
    await theirs.seal(await encoder.decodePrivateKey(`SIG:SECP256K1:SK{${vector.privateKeyHex}}`))
    const sealed = sealMicroblock(ours, await key.sign(signedBytes(ours)))
    expect(toHex(writeMicroblock(sealed))).toBe(toHex(theirs.serialize().microblockData))
  })

  it('derives the same keys for an actor', async () => {
    const [accountSeed, genesisSeed] = [new Uint8Array(32).fill(5), new Uint8Array(32).fill(6)]
    const actor = new AccountCrypto(accountSeed).deriveActorFromVbSeed(genesisSeed)
    const theirs = await encoder.encodePublicKey(
      await actor.getPublicSignatureKey(SignatureSchemeId.SECP256K1),
    )
    const pke = HCVPkeEncoder.createBase64HCVPkeEncoder()
    const theirPke = await pke.encodePublicEncryptionKey(
      await actor.getPublicEncryptionKey(PublicKeyEncryptionSchemeId.ML_KEM_768_AES_256_GCM),
    )
    const ours = await deriveActorKeys(accountSeed, genesisSeed, async (seed) => {
      const decryption = await MlKemPrivateDecryptionKey.genFromSeed(seed)
      return pke.encodePublicEncryptionKey(await decryption.getPublicKey())
    })
    expect(ours.signature.publicKey).toBe(theirs)
    expect(ours.encryptionPublicKey).toBe(theirPke)
  })

  it('calls its sections what we call them', () => {
    const types = Object.values(SectionType).filter((type) => typeof type === 'number')
    expect(types.length).toBeGreaterThan(30)
    for (const type of types) {
      expect(sectionName(type).replace('WRITER', 'WRITER_CREATION')).toContain(
        SectionLabel.getSectionLabelFromSectionType(type).replace('_CREATION_CREATION', '_CREATION'),
      )
    }
    expect(sectionName(99)).toBe('UNKNOWN_99')
  })
})

describe('a microblock is refused', () => {
  const tagged = new Encoder({ useRecords: false, tagUint8Array: true })
  const { header, sections } = readMicroblock(serialized)
  const written = (value: unknown) => Uint8Array.from(tagged.encode(value))
  const body = { sections }

  it.each<[string, unknown]>([
    ['a wrong bodyHash', { header: { ...header, bodyHash: new Uint8Array(32) }, body }],
    ['a section taken away', { header, body: { sections: [] } }],
    ['another magic', { header: { ...header, magicString: 'ELSE' }, body }],
    ['a member more in its header', { header: { ...header, more: 1 }, body }],
    ['a member less in its header', { header: { ...header, timestamp: undefined }, body }],
    ['a member more', { header, body, more: 1 }],
    ['a member more in its body', { header, body: { sections, more: 1 } }],
    ['a height of 0', { header: { ...header, height: 0 }, body }],
    ['a short hash', { header: { ...header, previousHash: new Uint8Array(31) }, body }],
    ['sections that are none', { header, body: { sections: ['one'] } }],
    ['a text', 'microblock'],
    ['nothing', null],
  ])('with %s', (_, value) => {
    expect(() => readMicroblock(written(value))).toThrow(/not valid/)
  })

  it('with its members in another order: another hash would be signed than the SDK expects', () => {
    const { timestamp, ...rest } = header
    expect(() => readMicroblock(written({ header: { timestamp, ...rest }, body }))).toThrow(/written/)
    expect(() => readMicroblock(written({ body, header }))).toThrow(/written/)
  })

  it('with bytes behind its end, or another spelling of the same values', () => {
    expect(() => readMicroblock(Uint8Array.of(...serialized, 0))).toThrow(/not valid/)
    // Its map of two members, with the length in the shortest form.
    expect(() => readMicroblock(Uint8Array.of(0xa2, ...serialized.subarray(3)))).toThrow(/written/)
  })

  it('when it is longer than half a MiB', () => {
    const long = withSection({ header, sections }, { type: 88, channelId: 0, data: new Uint8Array(600_000) })
    expect(() => readMicroblock(writeMicroblock(long))).toThrow(/too long/)
  })

  it('in words, whatever bytes come', () => {
    const mutated = fc
      .tuple(fc.nat(serialized.length - 1), fc.integer({ min: 1, max: 255 }))
      .map(([at, by]) => serialized.map((byte, index) => (index === at ? byte ^ by : byte)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
        let read: Microblock | undefined
        try {
          read = readMicroblock(bytes)
        } catch (error) {
          expect(error).toMatchObject({ name: 'ProtocolError', code: 'bad_params' })
        }
        // What is read after all is a microblock to the byte.
        if (read) expect(toHex(writeMicroblock(read))).toBe(toHex(bytes))
      }),
      { numRuns: runs(3000) },
    )
  })
})

it('covers by a signature all sections before it, and nothing after', async () => {
  const microblock = readMicroblock(serialized)
  const message = signedBytes(microblock)
  const more = withSection(microblock, { type: 91, endorserId: 0, message: fromUtf8(utf8('more')) })
  expect(toHex(signedBytes(more))).not.toBe(toHex(message))
  const signature = await key.sign(message)
  expect(isSignedByCarmentisKey(key.publicKey, signedBytes(more), signature)).toBe(false)
})
