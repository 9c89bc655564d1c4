/** Rows of archived messages: tables, and what adding or removing a message writes. What they mean is in `./messages.ts`. */
import { invariant } from '../../platform/invariant.ts'
import { hash, key, number } from '../../storage/bytes.ts'
import { type Codec, NOTHING, textBehind } from '../../storage/codec.ts'
import type { Batch, Check, Write } from '../../storage/kv.ts'
import { defineTable, type Row, type TableSet } from '../../storage/table.ts'
import type { Archived, NewArchived } from '../store.ts'

/** What is known of a message beside its text. */
export interface ArchivedHead extends Omit<NewArchived, 'topic' | 'message'> {
  textBytes: number
}

const ID_AT = 28
const OWNER_AT = 60
const HASH_BYTES = 32
const headBytes = ({ owner }: Pick<ArchivedHead, 'owner'>): number =>
  owner === undefined ? OWNER_AT : OWNER_AT + HASH_BYTES

/** Answers false where it is none. */
const writeHash = (bytes: Buffer, hex: string, at: number): boolean =>
  hex.length === 2 * HASH_BYTES && bytes.write(hex, at, 'hex') === HASH_BYTES

const headCodec: Codec<ArchivedHead> = {
  encodeBehind(free, { expiresAt, at, tag, textBytes, id, owner }) {
    invariant(Number.isFinite(expiresAt) && Number.isFinite(at), 'times of an archived message are numbers')
    const bytes = Buffer.allocUnsafe(free + (owner === undefined ? OWNER_AT : OWNER_AT + HASH_BYTES))
    bytes.writeDoubleBE(expiresAt, free)
    bytes.writeDoubleBE(at, free + 8)
    bytes.writeDoubleBE(tag, free + 16)
    bytes.writeUInt32BE(textBytes, free + 24)
    invariant(writeHash(bytes, id, free + ID_AT), 'the id of an archived message is a hash')
    if (owner !== undefined)
      invariant(writeHash(bytes, owner, free + OWNER_AT), 'an owner of archived messages is a key')
    return bytes
  },
  decode(bytes) {
    const hasOwner = bytes.length === OWNER_AT + HASH_BYTES
    if (bytes.length !== OWNER_AT && !hasOwner) throw new Error('it has another length')
    return {
      ...{ expiresAt: bytes.readDoubleBE(0), at: bytes.readDoubleBE(8), tag: bytes.readDoubleBE(16) },
      ...{ textBytes: bytes.readUInt32BE(24), id: bytes.toString('hex', ID_AT, OWNER_AT) },
      ...(hasOwner && { owner: bytes.toString('hex', OWNER_AT) }),
    }
  },
}

/** Where a message is in its topic, and its text. */
interface ArchivedText {
  seq: number
  message: string
}

const SEQ_BYTES = 8

const textCodec: Codec<ArchivedText> = {
  encodeBehind(free, { seq, message }) {
    const bytes = textBehind(free + SEQ_BYTES, message)
    bytes.writeDoubleBE(seq, free)
    return bytes
  },
  decode: (bytes) => ({ seq: bytes.readDoubleBE(), message: bytes.toString('utf8', SEQ_BYTES) }),
}

/** What a topic's row says. */
export interface TopicState {
  last: number
  count: number
  bytes: number
  dueAt: number
  /** When the oldest of them ends; 0 where that is not known. */
  oldestEnds: number
}
export const NO_MESSAGES: TopicState = {
  ...{ last: 0, count: 0, bytes: 0 },
  ...{ dueAt: Number.POSITIVE_INFINITY, oldestEnds: Number.POSITIVE_INFINITY },
}

const STATE_BYTES = 40

const stateCodec: Codec<TopicState> = {
  encodeBehind(free, { last, count, bytes, dueAt, oldestEnds }) {
    const encoded = Buffer.allocUnsafe(free + STATE_BYTES)
    encoded.writeDoubleBE(last, free)
    encoded.writeDoubleBE(count, free + 8)
    encoded.writeDoubleBE(bytes, free + 16)
    encoded.writeDoubleBE(dueAt, free + 24)
    encoded.writeDoubleBE(oldestEnds, free + 32)
    return encoded
  },
  decode(bytes) {
    if (bytes.length !== STATE_BYTES) throw new Error('it has another length')
    return {
      ...{ last: bytes.readDoubleBE(0), count: bytes.readDoubleBE(8) },
      ...{ bytes: bytes.readDoubleBE(16), dueAt: bytes.readDoubleBE(24) },
      oldestEnds: bytes.readDoubleBE(32),
    }
  },
}

/** The partition is the topic, where nothing else is said. A seq as a key is a number. */
export const MESSAGE_TABLES = {
  /** By seq. */
  messages: defineTable({ name: 'archive.messages', shape: 'ordered', codec: headCodec }),
  /** By the id of the message. */
  texts: defineTable({ name: 'archive.texts', shape: 'map', codec: textCodec }),
  /** Owner, seq. */
  owned: defineTable({ name: 'archive.owned', shape: 'index', codec: NOTHING }),
  /** Of a topic that has messages. */
  topics: defineTable({ name: 'archive.topics', shape: 'cell', codec: stateCodec }),
  /** When a sweep looks, topic. The partition follows from the topic: see `dueIn`. */
  due: defineTable({ name: 'archive.due', shape: 'index', codec: NOTHING }),
}
const { messages, texts, owned, topics, due } = MESSAGE_TABLES

/** The sets of a topic. */
export interface TopicSets {
  topic: string
  messages: TableSet<ArchivedHead>
  texts: TableSet<ArchivedText>
  owned: TableSet<true>
  state: TableSet<TopicState>
}
export const setsOf = (topic: string): TopicSets => ({
  topic,
  messages: messages.in(topic),
  texts: texts.in(topic),
  owned: owned.in(topic),
  state: topics.in(topic),
})

/** By the first digit of a topic. */
const dueOf = (digit: string) => due.in(`archive.${digit}`)
export const dueIn = (topic: string) => dueOf(topic.slice(0, 1))
export const ALL_DUE = [...'0123456789abcdef'].map(dueOf)
export const dueKey = (at: number, topic: string): Buffer => key(number(at), hash(topic))
/** What the key of a row of the index says. */
export const dueFrom = (at: Buffer): { dueAt: number; topic: string } => ({
  dueAt: at.readDoubleBE(),
  topic: at.toString('hex', INSTANT_BYTES),
})
const INSTANT_BYTES = 8

export const archivedOf = (
  topic: string,
  { key: seq, value: { textBytes: _, ...head } }: Pick<Row<ArchivedHead>, 'key' | 'value'>,
  message: string,
): Archived => ({ topic, seq: seq.readDoubleBE(), message, ...head })

/** What counts for the limits of a topic. */
export const sizeOf = (head: ArchivedHead): number => headBytes(head) + head.textBytes

// In one literal: it is made of every message.
export const headOf = ({ id, message, tag, at, expiresAt, owner }: NewArchived): ArchivedHead => ({
  id,
  tag,
  at,
  expiresAt,
  textBytes: Buffer.byteLength(message),
  owner,
})

/** A message that is kept at a place. */
export interface KeptMessage {
  message: Pick<NewArchived, 'message'>
  id: Buffer
  head: ArchivedHead
  seq: number
}

/** Adds what puts a message to `writes`. */
export const putMessage = (
  { messages, texts, owned }: TopicSets,
  { message: { message }, id, head, seq }: KeptMessage,
  writes: Write[],
): void => {
  const at = number(seq)
  writes.push(messages.put({ key: at, value: head }), texts.put({ key: id, value: { seq, message } }))
  if (head.owner !== undefined) writes.push(owned.put({ key: key(hash(head.owner), at), value: true }))
}

/** Adds what removes a message to `writes`. */
export const removeMessage = (
  { messages, texts, owned }: TopicSets,
  { key: seq, value: { id, owner } }: Row<ArchivedHead>,
  writes: Write[],
): void => {
  writes.push(messages.remove(seq), texts.remove(hash(id)))
  if (owner !== undefined) writes.push(owned.remove(key(hash(owner), seq)))
}

const without = (state: TopicState, removed: readonly ArchivedHead[]): TopicState => {
  const bytes = removed.reduce((left, head) => left - sizeOf(head), state.bytes)
  const count = state.count - removed.length
  invariant(count >= 0 && bytes >= 0, 'counts of an archived topic are never below 0')
  return { ...state, count, bytes, oldestEnds: 0 }
}

export const putState = ({ state: set }: TopicSets, state: TopicState): Write =>
  state.count === 0 ? set.remove() : set.put({ value: state })

/** A batch that removes messages and nothing else. */
export const removal = (
  sets: TopicSets,
  { state, isUnchanged }: { state: TopicState; isUnchanged: Check },
  rows: readonly Row<ArchivedHead>[],
): Batch => {
  const after = without(
    state,
    rows.map(({ value }) => value),
  )
  const checks = [isUnchanged, ...rows.map((row) => row.isUnchanged)]
  const writes: Write[] = []
  for (const row of rows) removeMessage(sets, row, writes)
  writes.push(putState(sets, after))
  return { partition: sets.topic, isRelief: true, checks, writes }
}
