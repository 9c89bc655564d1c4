/** Rows of archived messages: tables, and what adding or removing a message writes. What they mean is in `./messages.ts`. */
import { z } from 'zod'
import { invariant } from '../../platform/invariant.ts'
import { hash, key, number } from '../../storage/bytes.ts'
import { type Codec, float, json, NOTHING, text } from '../../storage/codec.ts'
import type { Batch, Check, Write } from '../../storage/kv.ts'
import { defineTable, type Row } from '../../storage/table.ts'
import type { Archived, NewArchived } from '../store.ts'

/** What is known of a message beside its text. */
export interface ArchivedHead extends Omit<NewArchived, 'topic' | 'message'> {
  textBytes: number
}

const OWNER_AT = 60
const OWNER_BYTES = 32
const headBytes = ({ owner }: Pick<ArchivedHead, 'owner'>): number =>
  owner === undefined ? OWNER_AT : OWNER_AT + OWNER_BYTES

const headCodec: Codec<ArchivedHead> = {
  encode({ expiresAt, at, tag, textBytes, id, owner }) {
    invariant(Number.isFinite(expiresAt) && Number.isFinite(at), 'times of an archived message are numbers')
    const size = Buffer.allocUnsafe(4)
    size.writeUInt32BE(textBytes)
    const parts = [number(expiresAt), number(at), number(tag), size, hash(id)]
    return key(...parts, ...(owner === undefined ? [] : [hash(owner)]))
  },
  decode(bytes) {
    const hasOwner = bytes.length === OWNER_AT + OWNER_BYTES
    if (bytes.length !== OWNER_AT && !hasOwner) throw new Error('it has another length')
    return {
      ...{ expiresAt: bytes.readDoubleBE(0), at: bytes.readDoubleBE(8), tag: bytes.readDoubleBE(16) },
      ...{ textBytes: bytes.readUInt32BE(24), id: bytes.toString('hex', 28, OWNER_AT) },
      ...(hasOwner && { owner: bytes.toString('hex', OWNER_AT) }),
    }
  },
}

/** The partition is the topic, where nothing else is said. A seq as a key is a number. */
export const MESSAGE_TABLES = {
  /** By seq. */
  messages: defineTable({ name: 'archive.messages', shape: 'ordered', codec: headCodec }),
  /** By seq. */
  texts: defineTable({ name: 'archive.texts', shape: 'map', codec: text }),
  /** By the id of the message: its seq. */
  ids: defineTable({ name: 'archive.ids', shape: 'map', codec: float }),
  /** Owner, seq. */
  owned: defineTable({ name: 'archive.owned', shape: 'index', codec: NOTHING }),
  /** Of a topic that has messages: its last seq, how many and how long they are, when a sweep looks. */
  topics: defineTable({
    name: 'archive.topics',
    shape: 'cell',
    codec: json(z.object({ last: z.number(), count: z.number(), bytes: z.number(), dueAt: z.number() })),
  }),
  /** When a sweep looks, topic. The partition follows from the topic: see `dueIn`. */
  due: defineTable({ name: 'archive.due', shape: 'index', codec: NOTHING }),
}
const { messages, texts, ids, owned, topics, due } = MESSAGE_TABLES

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

/** What a topic's row says. */
export interface TopicState {
  last: number
  count: number
  bytes: number
  dueAt: number
}
export const NO_MESSAGES: TopicState = { last: 0, count: 0, bytes: 0, dueAt: Number.POSITIVE_INFINITY }

export const archivedOf = (
  topic: string,
  { key: seq, value: { textBytes: _, ...head } }: Pick<Row<ArchivedHead>, 'key' | 'value'>,
  message: string,
): Archived => ({ topic, seq: seq.readDoubleBE(), message, ...head })

/** What counts for the limits of a topic. */
export const sizeOf = (head: ArchivedHead): number => headBytes(head) + head.textBytes

export const headOf = ({ id, message, tag, at, expiresAt, owner }: NewArchived): ArchivedHead => ({
  ...{ id, tag, at, expiresAt, textBytes: Buffer.byteLength(message) },
  ...(owner !== undefined && { owner }),
})

export const putMessage = (message: NewArchived, seq: number): Write[] => {
  const { topic, id, owner } = message
  return [
    messages.in(topic).put({ key: number(seq), value: headOf(message) }),
    texts.in(topic).put({ key: number(seq), value: message.message }),
    ids.in(topic).put({ key: hash(id), value: seq }),
    ...(owner === undefined
      ? []
      : [owned.in(topic).put({ key: key(hash(owner), number(seq)), value: true })]),
  ]
}

export const removeMessage = (
  topic: string,
  { key: seq, value: { id, owner } }: Row<ArchivedHead>,
): Write[] => [
  messages.in(topic).remove(seq),
  texts.in(topic).remove(seq),
  ids.in(topic).remove(hash(id)),
  ...(owner === undefined ? [] : [owned.in(topic).remove(key(hash(owner), seq))]),
]

const without = (state: TopicState, removed: readonly ArchivedHead[]): TopicState => {
  const bytes = removed.reduce((left, head) => left - sizeOf(head), state.bytes)
  const count = state.count - removed.length
  invariant(count >= 0 && bytes >= 0, 'counts of an archived topic are never below 0')
  return { ...state, count, bytes }
}

export const putState = (topic: string, state: TopicState): Write =>
  state.count === 0 ? topics.in(topic).remove() : topics.in(topic).put({ value: state })

/** A batch that removes messages and nothing else. */
export const removal = (
  topic: string,
  { state, isUnchanged }: { state: TopicState; isUnchanged: Check },
  rows: readonly Row<ArchivedHead>[],
): Batch => {
  const after = without(
    state,
    rows.map(({ value }) => value),
  )
  return {
    ...{ partition: topic, isRelief: true },
    checks: [isUnchanged, ...rows.map((row) => row.isUnchanged)],
    writes: [...rows.flatMap((row) => removeMessage(topic, row)), putState(topic, after)],
  }
}
