import { invariant } from '../../../platform/invariant.ts'
import type { StoredMessage } from '../../../relay/store.ts'
import { hash } from '../../bytes.ts'

/**
 * A stored message: a fixed head that says whether it concerns anybody, then its texts. The head is read without
 * decoding the text, because a walk over a topic looks at thousands of messages and delivers a few.
 *
 *     0 expiresAt · 8 publishedAt · 16 tag · 24 id (32 bytes) · 56 publisher length · 58 attestation length · 62 payer
 *     (12 bytes, filled up with zeros) · 74 texts
 */
const HEAD_BYTES = 74
const PAYER_AT = 62

export const encodeMessage = (message: Omit<StoredMessage, 'seq'>): Buffer => {
  const publisher = Buffer.from(message.publisher)
  const attestation = Buffer.from(message.attestation)
  invariant(
    message.payer.length <= HEAD_BYTES - PAYER_AT,
    'The name of a payer fits into the head of a message',
  )
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.writeDoubleBE(message.expiresAt, 0)
  head.writeDoubleBE(message.publishedAt, 8)
  head.writeDoubleBE(message.tag, 16)
  hash(message.id).copy(head, 24)
  head.writeUInt16BE(publisher.length, 56)
  head.writeUInt32BE(attestation.length, 58)
  head.fill(0, PAYER_AT, HEAD_BYTES)
  head.write(message.payer, PAYER_AT, HEAD_BYTES - PAYER_AT)
  return Buffer.concat([head, publisher, attestation, Buffer.from(message.message)])
}

export const decodeMessage = (row: Buffer, topic: string, seq: number): StoredMessage => {
  const attestationAt = HEAD_BYTES + row.readUInt16BE(56)
  const messageAt = attestationAt + row.readUInt32BE(58)
  invariant(messageAt <= row.length, 'A stored message is as long as its head says')
  return {
    topic,
    seq,
    id: idOfRow(row).toString('hex'),
    message: row.toString('utf8', messageAt),
    tag: row.readDoubleBE(16),
    attestation: row.toString('utf8', attestationAt, messageAt),
    publisher: publisherOfRow(row),
    publishedAt: row.readDoubleBE(8),
    expiresAt: expiryOfRow(row),
    payer: payerOfRow(row),
  }
}

export const payerOfRow = (row: Buffer): string => {
  const end = row.indexOf(0, PAYER_AT)
  return row.toString('latin1', PAYER_AT, end === -1 || end > HEAD_BYTES ? HEAD_BYTES : end)
}
export const publisherOfRow = (row: Buffer): string =>
  row.toString('utf8', HEAD_BYTES, HEAD_BYTES + row.readUInt16BE(56))
export const setExpiryOfRow = (row: Buffer, expiresAt: number): void => {
  row.writeDoubleBE(expiresAt, 0)
}
export const expiryOfRow = (row: Buffer): number => row.readDoubleBE(0)
export const idOfRow = (row: Buffer): Buffer => row.subarray(24, 56)
/** Bytes of the message's text, which is what counts against the limits of the topic. */
export const sizeOfRow = (row: Buffer): number =>
  row.length - HEAD_BYTES - row.readUInt16BE(56) - row.readUInt32BE(58)
export const publishedBy = (row: Buffer, client: Buffer): boolean =>
  row.readUInt16BE(56) === client.length &&
  row.compare(client, 0, client.length, HEAD_BYTES, HEAD_BYTES + client.length) === 0

/** What a topic holds. `soonest`: no message in it expires earlier. */
export interface Topic {
  lastSeq: number
  count: number
  bytes: number
  soonest: number
}

/**
 * One client in one topic. Everything up to `cursor` is done with; `acked` holds what was acknowledged beyond it, as
 * flat ranges [from, to, from, to, …], rising and apart, so that one stuck message does not make it long.
 */
export interface Member {
  subscribed: boolean
  cursor: number
  acked: number[]
}

// Arrays, not objects: half the bytes, and the relay writes a member row for every acknowledgement.
export type TopicRow = [lastSeq: number, count: number, bytes: number, soonest: number]
export type MemberRow = [subscribed: 0 | 1, cursor: number, acked: number[]]
export type ClientRow = [subscriptions: number, lastSeenDay: number]

export const topicRow = (topic: Topic): TopicRow => [topic.lastSeq, topic.count, topic.bytes, topic.soonest]
export const topicOfRow = ([lastSeq, count, bytes, soonest]: TopicRow): Topic => {
  invariant(
    lastSeq > 0 && count >= 0 && bytes >= 0,
    'A topic with a row has had a message, and no less than none',
  )
  return { lastSeq, count, bytes, soonest }
}
export const memberRow = ({ subscribed, cursor, acked }: Member): MemberRow => {
  invariant(cursor >= 0 && acked.length % 2 === 0, 'A member has a cursor, and whole ranges beyond it')
  return [subscribed ? 1 : 0, cursor, acked]
}
export const memberOfRow = ([subscribed, cursor, acked]: MemberRow): Member => {
  invariant(cursor >= 0 && acked.length % 2 === 0, 'A member has a cursor, and whole ranges beyond it')
  return { subscribed: subscribed === 1, cursor, acked }
}
