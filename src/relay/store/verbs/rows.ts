/** The rows of mailboxes and subscriptions, over the port. */
import { createBoundedMap } from '../../../platform/concurrency/bounded-map.ts'
import { invariant } from '../../../platform/invariant.ts'
import { type Codec, NOTHING } from '../../../storage/codec.ts'
import { defineTable } from '../../../storage/table.ts'
import type { NewMessage, StoredMessage } from '../../store.ts'
import { CURSORS_CODEC } from './cursor-row.ts'
import { hashOf, ID_BYTES, readSeq, SEQ_BYTES, writeSeq } from './entries.ts'
import { TOPIC } from './topic-row.ts'

const bytes: Codec<Buffer> = {
  encodeBehind(free, value) {
    const kept = Buffer.allocUnsafe(free + value.length)
    kept.set(value, free)
    return kept
  },
  decode: (kept) => kept,
}

const CLIENT: Codec<{ count: number; day: number }> = {
  encodeBehind(free, { count, day }) {
    const kept = Buffer.allocUnsafe(free + 8)
    kept.writeUInt32BE(count, free)
    kept.writeUInt32BE(day, free + 4)
    return kept
  },
  decode: (kept) => ({ count: kept.readUInt32BE(0), day: kept.readUInt32BE(4) }),
}

/** In front of a body that is to be kept: so that a message of 256 KiB is copied once less. */
const ROOM_BYTES = 32

/** A message with its seq; `prepare` makes its body, with room for what stands before it. */
const MESSAGE: Codec<{ seq: number; body: Buffer; roomy?: Buffer }> = {
  encodeBehind(free, { seq, body, roomy }) {
    const length = free + SEQ_BYTES
    if (roomy && length <= ROOM_BYTES) {
      writeSeq(roomy, seq, ROOM_BYTES - SEQ_BYTES)
      return roomy.subarray(ROOM_BYTES - length)
    }
    const kept = Buffer.allocUnsafe(length + body.length)
    writeSeq(kept, seq, free)
    kept.set(body, length)
    return kept
  },
  decode: (kept) => ({ seq: readSeq(kept, 0), body: kept.subarray(SEQ_BYTES) }),
}

/** Subject: the topic, but of `DUE` and `SEEN`, which are of all in the partition, and of clients'. */
export const MAILBOX_TABLES = {
  TOPICS: defineTable({ name: 'relay.v.topics', shape: 'cell', codec: TOPIC, isRemembered: true }),
  CURSORS: defineTable({ name: 'relay.v.cursors', shape: 'cell', codec: CURSORS_CODEC, isRemembered: true }),
  /** Key: the first 128 bits of the message id. Removed by the sweep of this room. */
  MESSAGES: defineTable({ name: 'relay.v.messages', shape: 'map', codec: MESSAGE }),
  /** Key: number of the page. */
  PAGES: defineTable({ name: 'relay.v.pages', shape: 'map', codec: bytes }),
  /** Key: when a message of the topic expires, the topic. */
  DUE: defineTable({ name: 'relay.v.due', shape: 'index', codec: NOTHING }),
  /** Subject: client. */
  CLIENTS: defineTable({ name: 'relay.v.clients', shape: 'cell', codec: CLIENT }),
  /** Subject: client. Key: topic. */
  INTERESTS: defineTable({ name: 'relay.v.interests', shape: 'index', codec: NOTHING }),
  /** Key: day, client. */
  SEEN: defineTable({ name: 'relay.v.seen', shape: 'index', codec: NOTHING }),
}
const { TOPICS, CURSORS, MESSAGES, PAGES, DUE, CLIENTS, INTERESTS, SEEN } = MAILBOX_TABLES

const PARTITION_COUNT = 64
const partitionsOf = (letter: string): readonly string[] =>
  Array.from({ length: PARTITION_COUNT }, (_, nth) => `${letter}${nth}`)
/** Never to be changed: they say where everything is. */
export const TOPIC_PARTITIONS = partitionsOf('t')
export const CLIENT_PARTITIONS = partitionsOf('c')

/** 32 bytes in hex; anything else is a defect of the caller. */
const checkedTopic = (topic: string): string => {
  if (!/^[0-9a-f]{64}$/.test(topic))
    throw new Error(`Not 64 lower-case hex characters: ${topic.slice(0, 80)}`)
  return topic
}

const newTopicRows = (topic: string) => {
  const nth = Number.parseInt(checkedTopic(topic).slice(0, 2), 16) % PARTITION_COUNT
  const partition = TOPIC_PARTITIONS[nth] ?? ''
  const subject = Buffer.from(topic, 'hex').toString('base64url')
  return {
    topic,
    partition,
    row: TOPICS.in(partition, subject),
    cursors: CURSORS.in(partition, subject),
    messages: MESSAGES.in(partition, subject),
    pages: PAGES.in(partition, subject),
    due: DUE.in(partition),
  }
}

const MAX_KNOWN_TOPICS = 4_000
const known = createBoundedMap<TopicRows>(MAX_KNOWN_TOPICS)
/** A message is published, read and acknowledged within moments: names and their checksums are made once for all of it. */
export const rowsOfTopic = (topic: string): TopicRows => {
  const there = known.get(topic)
  if (there) return there
  const made = newTopicRows(topic)
  known.put(topic, made)
  return made
}
export type TopicRows = ReturnType<typeof newTopicRows>

export const rowsOfClient = (clientId: string) => {
  const partition = CLIENT_PARTITIONS[hashOf(clientId) % PARTITION_COUNT] ?? ''
  return {
    partition,
    row: CLIENTS.in(partition, clientId),
    interests: INTERESTS.in(partition, clientId),
    seen: SEEN.in(partition),
  }
}

export const pageKey = (number: number): Buffer => {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(number)
  return key
}
export const dueKey = (at: number, topic: string): Buffer => {
  const key = Buffer.allocUnsafe(40)
  key.writeDoubleBE(at)
  key.write(topic, 8, 'hex')
  return key
}
export const seenKey = (day: number, clientId: string): Buffer => {
  const key = Buffer.allocUnsafe(4 + Buffer.byteLength(clientId))
  key.writeUInt32BE(day)
  key.write(clientId, 4)
  return key
}
export const topicKey = (topic: string): Buffer => Buffer.from(checkedTopic(topic), 'hex')

const LENGTHS_AT = 24
const REST_AT = LENGTHS_AT + 6
const TEXTS_AT = REST_AT + (32 - ID_BYTES) + 12

export interface PreparedMessage {
  message: NewMessage
  /** Of its row. */
  key: Buffer
  body: Buffer
  /** The body behind some room. */
  roomy: Buffer
  size: number
}

/**
 * All but the seq, of which `expiresAt` may still be changed:
 *
 *     expiresAt 8 · publishedAt 8 · tag 8 · length of the publisher 2 · of the attestation 4 · rest of the id 16 · payer 12 · texts
 */
export const prepare = (message: NewMessage): PreparedMessage => {
  const { id, publisher, attestation, message: text, payer } = message
  invariant(payer.length <= 12, 'The name of a payer fits into the head of a message')
  const hash = Buffer.from(checkedTopic(id), 'hex')
  const [publisherBytes, attestationBytes] = [Buffer.byteLength(publisher), Buffer.byteLength(attestation)]
  const size = Buffer.byteLength(text)
  const roomy = Buffer.allocUnsafe(ROOM_BYTES + TEXTS_AT + publisherBytes + attestationBytes + size)
  const body = roomy.subarray(ROOM_BYTES)
  body.writeDoubleBE(message.expiresAt, 0)
  body.writeDoubleBE(message.publishedAt, 8)
  body.writeDoubleBE(message.tag, 16)
  body.writeUInt16BE(publisherBytes, LENGTHS_AT)
  body.writeUInt32BE(attestationBytes, LENGTHS_AT + 2)
  body.set(hash.subarray(ID_BYTES), REST_AT)
  body.fill(0, TEXTS_AT - 12, TEXTS_AT)
  body.write(payer, TEXTS_AT - 12, 12, 'latin1')
  body.write(publisher, TEXTS_AT)
  body.write(attestation, TEXTS_AT + publisherBytes)
  body.write(text, TEXTS_AT + publisherBytes + attestationBytes)
  return { message, key: hash.subarray(0, ID_BYTES), body, roomy, size }
}

export const setExpiry = (body: Buffer, expiresAt: number): void => {
  body.writeDoubleBE(expiresAt, 0)
}
export const expiryOf = (body: Buffer): number => body.readDoubleBE(0)

export const messageOf = (
  topic: string,
  key: Buffer,
  { seq, body }: { seq: number; body: Buffer },
): StoredMessage => {
  const attestationAt = TEXTS_AT + body.readUInt16BE(LENGTHS_AT)
  const messageAt = attestationAt + body.readUInt32BE(LENGTHS_AT + 2)
  invariant(messageAt <= body.length, 'A stored message is as long as its head says')
  const payerEnd = body.indexOf(0, TEXTS_AT - 12)
  return {
    topic,
    seq,
    id: key.toString('hex') + body.toString('hex', REST_AT, REST_AT + 32 - ID_BYTES),
    message: body.toString('utf8', messageAt),
    tag: body.readDoubleBE(16),
    attestation: attestationAt === messageAt ? '' : body.toString('utf8', attestationAt, messageAt),
    publisher: body.toString('utf8', TEXTS_AT, attestationAt),
    publishedAt: body.readDoubleBE(8),
    expiresAt: body.readDoubleBE(0),
    payer: body.toString('latin1', TEXTS_AT - 12, payerEnd < 0 || payerEnd > TEXTS_AT ? TEXTS_AT : payerEnd),
  }
}

/** The key of a message's row. */
export const messageKey = (id: string): Buffer => Buffer.from(checkedTopic(id).slice(0, 2 * ID_BYTES), 'hex')
