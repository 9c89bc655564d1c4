/**
 * A microblock of Carmentis: a header and sections, as CBOR.
 *
 * Two spellings, both fixed by the published SDK: what travels are maps, with bytes tagged (64); what is hashed and signed
 * are cbor-x's records, with bytes plain. `bodyHash` = sha256 of the body; the hash of a microblock and what its signers sign are the header, so
 * a signature covers the sections before it by way of `bodyHash`.
 *
 * Guarantees: what `readMicroblock` answers is everything that the bytes say. They are refused unless the same bytes come
 * out of writing it again, so nobody is shown one thing and signs another.
 */
import { Encoder } from 'cbor-x'
import * as z from 'zod'
import { crypto } from '#crypto'
import { equalBytes } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'

/** Bytes, serialised. */
export const MAX_MICROBLOCK_BYTES = 512 * 1024

const HASH_BYTES = 32
export const SIGNATURE_SECTION = 127
export const ACTOR_SUBSCRIPTION_SECTION = 87
/** Of secp256k1, in sections that name a scheme. */
export const SECP256K1_SCHEME = 0

const hash = z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === HASH_BYTES)
const count = z.int().nonnegative()

/** In the order in which they are written, which is part of what is hashed. */
const Header = z.strictObject({
  magicString: z.literal('CMTS'),
  protocolVersion: count,
  microblockType: count,
  /** 1 is the first of a virtual blockchain. */
  height: count.min(1),
  /** Of the first: type, expiry and 24 random bytes; it is the seed of its actors' keys. */
  previousHash: hash,
  /** Unix s. */
  timestamp: count,
  maxFees: count,
  gasPrice: z.number().nonnegative(),
  bodyHash: hash,
  feesPayerAccount: hash,
})
const Section = z.looseObject({ type: count })
const Struct = z.strictObject({ header: Header, body: z.strictObject({ sections: z.array(Section) }) })

export type MicroblockHeader = z.output<typeof Header>
/** A section by its type (see the SDK); its other members are as they were written. */
export type MicroblockSection = z.output<typeof Section>
export interface Microblock {
  header: MicroblockHeader
  sections: MicroblockSection[]
}

/**
 * Each used once: an encoder that stopped half-way would write the next value otherwise. Plain ones write objects as
 * records (the SDK's choice, and so part of what is hashed), tagged ones as maps.
 */
const tagged = () => new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: true })
const plain = () => new Encoder({ tagUint8Array: false })
/** A copy: encoders share their memory. */
const written = (encoder: Encoder, value: unknown): Uint8Array => Uint8Array.from(encoder.encode(value))

/**
 * The hash of sections, as a header has it.
 *
 * @param sections in their order
 * @returns 32 bytes
 */
export const bodyHashOf = (sections: readonly MicroblockSection[]): Uint8Array =>
  crypto.sha256(written(plain(), { sections }))

/**
 * Serialises a microblock as the published SDK does.
 *
 * @param microblock header and sections
 * @returns CBOR
 */
export const writeMicroblock = ({ header, sections }: Microblock): Uint8Array =>
  written(tagged(), { header, body: { sections } })

/**
 * Reads a serialised microblock. What it returns is everything that the bytes say.
 *
 * @param serialized CBOR
 * @returns header and sections
 * @throws `ProtocolError` `bad_params` for no microblock, another spelling than the SDK's, or a wrong `bodyHash`
 */
export const readMicroblock = (serialized: Uint8Array): Microblock => {
  const refused = (why: string, cause?: unknown) =>
    new ProtocolError('bad_params', why, cause === undefined ? undefined : { cause })
  if (serialized.length > MAX_MICROBLOCK_BYTES) throw refused('the microblock is too long')
  let decoded: unknown
  let again: Uint8Array
  try {
    decoded = tagged().decode(serialized)
    again = written(tagged(), decoded)
  } catch (cause) {
    throw refused('it is not a microblock', cause)
  }
  if (!equalBytes(again, serialized)) throw refused('the microblock is not written as it should be')
  const parsed = Struct.safeParse(decoded)
  if (!parsed.success) throw refused('it is not a microblock', parsed.error)
  const { header, body } = parsed.data
  // The parser answers the members in its own order; those of the bytes must be the same.
  if (!equalBytes(writeMicroblock({ header, sections: body.sections }), serialized)) {
    throw refused('the microblock is not written as it should be')
  }
  if (!equalBytes(bodyHashOf(body.sections), header.bodyHash)) throw refused('its bodyHash is wrong')
  return { header, sections: body.sections }
}

export const withSection = ({ header, sections }: Microblock, section: MicroblockSection): Microblock => {
  const more = [...sections, section]
  return { header: { ...header, bodyHash: bodyHashOf(more) }, sections: more }
}

/** What its next signer signs. */
export const signedBytes = ({ header, sections }: Microblock): Uint8Array =>
  written(plain(), { ...header, bodyHash: bodyHashOf(sections) })

/**
 * The hash of a microblock, by which the next one and the ledger name it.
 *
 * @param microblock header and sections
 * @returns 32 bytes
 */
export const microblockHash = (microblock: Microblock): Uint8Array => crypto.sha256(signedBytes(microblock))

/** With the signature in it, as it is anchored. */
export const sealMicroblock = (microblock: Microblock, signature: Uint8Array): Microblock =>
  withSection(microblock, { type: SIGNATURE_SECTION, signature, schemeId: SECP256K1_SCHEME })
