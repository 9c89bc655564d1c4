/**
 * Keys and texts of the relay. What belongs to one topic shares the hash tag `{t:<topic>}`, what belongs to one client
 * `{c:<client id>}`.
 */
import type { StoredMessage } from '../../../relay/store.ts'
import { checkedText, textOfChecked, textOfUnchecked } from '../checked-text.ts'

/**
 * How long things outlive their expiry, ms. Whether a message is expired is decided by its `expiresAt` and the caller's
 * time; Redis' own TTL only takes the memory back, and clocks may differ by this much.
 */
export const KEY_GRACE_MS = 60_000
/** The same for claims, of which there are many in a short time. */
export const CLAIM_GRACE_MS = 5_000
/** Above this many topics a client gets hints at what waits, because looking into all of its topics takes too long. */
export const MANY_TOPICS = 256
export const WAKE_CHANNELS = 64
export const DUE_SHARDS = 16
/** Redis has its compact form for a shard of up to 128 clients: a third of what they cost otherwise. */
export const SEEN_SHARDS = 256

/** 32 bytes in hex; anything else is a defect of the caller: it would make a key of its own. */
export const hash = (hex: string): string => {
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new Error(`Not 64 lower-case hex characters: ${hex.slice(0, 80)}`)
  return hex
}
export const name = (text: string): string => {
  if (text === '' || text.length > 1024 || text.includes('\0'))
    throw new Error(`Not a usable name: ${text.slice(0, 80)}`)
  return text
}

export interface RelayKeys {
  topic(topic: string): string
  /** The text of a message: its key ends with the first 128 bits of the message id. */
  text(topic: string, id: string): string
  claim(topic: string, seq: number, clientId: string): string
  /** The client's topics, its state of hints, its hints. */
  topics(clientId: string): string
  hinting(clientId: string): string
  hints(clientId: string): string
  due(shard: number): string
  /** Clients by the day on which they were last seen. */
  seen(shard: number): string
}

export const relayKeys = (prefix: string): RelayKeys => {
  const topic = (of: string) => `${prefix}{t:${of}}`
  const client = (id: string) => `${prefix}{c:${name(id)}}`
  return {
    topic,
    text: (of, id) => `${topic(of)}${id}`,
    claim: (of, seq, clientId) => `${topic(of)}:${seq}:${clientId}`,
    topics: (clientId) => `${client(clientId)}:t`,
    hinting: (clientId) => `${client(clientId)}:h`,
    hints: (clientId) => `${client(clientId)}:w`,
    due: (shard) => `${prefix}{due:${shard}}`,
    seen: (shard) => `${prefix}{seen:${shard}}`,
  }
}

export const dueShardOf = (topic: string): number => Number.parseInt(topic.slice(0, 2), 16) % DUE_SHARDS

/** 22 characters instead of 64: keys and index entries repeat the id. */
export const shortId = (id: string): string => Buffer.from(hash(id).slice(0, 32), 'hex').toString('base64url')

const fnv1a = (clientId: string): number => {
  let value = 0x811c9dc5
  for (let at = 0; at < clientId.length; at++) value = Math.imul(value ^ clientId.charCodeAt(at), 0x01000193)
  return value >>> 0
}

/** Which wake channel concerns a client. */
export const wakeChannelOf = (clientId: string): number => fnv1a(clientId) % WAKE_CHANNELS
/** Where it is noted when the client was seen. */
export const seenShardOf = (clientId: string): number => fnv1a(clientId) % SEEN_SHARDS

export { dayOf } from '../../../relay/store.ts'

const TEXTS = 'relay.messages'

/**
 * `publishedAt tag lengths-of-publisher-and-attestation id payer`, then those two and the message, behind a checksum over all
 * that and the topic. Redis puts seq and `expiresAt` in front.
 */
export const encodeText = (message: Omit<StoredMessage, 'seq' | 'expiresAt'>): string => {
  const { topic, publishedAt, tag, publisher, attestation, id, payer } = message
  const lengths = `${publisher.length} ${attestation.length}`
  const head = `${publishedAt} ${tag} ${lengths} ${id} ${payer}`
  return checkedText(TEXTS, `${head}\n${publisher}${attestation}${message.message}`, topic)
}

/** A number, a number, and the rest. */
const IN_FRONT = /^(\S+) (\S+) /

/** Throws `DamagedRow`. */
export const decodeText = (kept: string, topic: string): StoredMessage =>
  decoded(kept, topic, (checked) => textOfChecked(TEXTS, checked, topic))

/** Of the beginning of a text: its message is cut off, and nothing says whether it is damaged. */
export const decodeHead = (kept: string, topic: string): StoredMessage =>
  decoded(kept, topic, textOfUnchecked)

const decoded = (kept: string, topic: string, textOf: (checked: string) => string): StoredMessage => {
  const [front = '', seq, expiresAt] = IN_FRONT.exec(kept) ?? []
  const text = textOf(kept.slice(front.length))
  const end = text.indexOf('\n')
  const [publishedAt, tag, publisherLength, attestationLength, id = '', payer = ''] = text
    .slice(0, end)
    .split(' ')
  const attestationAt = end + 1 + Number(publisherLength)
  const messageAt = attestationAt + Number(attestationLength)
  return {
    topic,
    seq: Number(seq),
    id,
    message: text.slice(messageAt),
    tag: Number(tag),
    attestation: text.slice(attestationAt, messageAt),
    publisher: text.slice(end + 1, attestationAt),
    publishedAt: Number(publishedAt),
    expiresAt: Number(expiresAt),
    payer,
  }
}

/** Seq up to which a member is done, of its row in the hash of the topic; 0 without one. */
export const cursorOfRow = (row: string | null | undefined): number => Number(row?.split(' ', 3)[2] ?? 0)
export const isSubscribedRow = (row: string | null | undefined): boolean =>
  row != null && !row.startsWith('0')
/** The last seq of the head of a topic; 0 for a topic without a message so far. */
export const lastOfHead = (head: string | null | undefined): number => Number(head?.split(' ', 1)[0] ?? 0)
