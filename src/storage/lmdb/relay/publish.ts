import {
  type MailboxLimits,
  type NewMessage,
  OWNED_FACTOR,
  type Publication,
  type Subscriber,
} from '../../../relay/store.ts'
import { hash, key, name, number } from '../../bytes.ts'
import { PRESENT } from '../bytes.ts'
import { advance, findIn, findOnce, type TopicMember } from './cursors.ts'
import type { MakeRoom } from './make-room.ts'
import {
  encodeMessage,
  expiryOfRow,
  idOfRow,
  memberRow,
  setExpiryOfRow,
  sizeOfRow,
  type Topic,
  topicRow,
} from './rows.ts'
import { FLOOR, type RelayTables } from './tables.ts'
import type { Members, Topics } from './topics.ts'

/** A message that cannot fail any more. */
export interface PreparedMessage {
  topic: Buffer
  row: Buffer
  publisher: Buffer
  now: number
  expiresAt: number
  unattendedUntil: number
}

/** Everything that can fail for a malformed message happens here, before the transaction. */
export const prepare = (message: NewMessage): PreparedMessage => ({
  topic: hash(message.topic),
  row: encodeMessage(message),
  publisher: name(message.publisher),
  now: message.publishedAt,
  expiresAt: message.expiresAt,
  unattendedUntil: message.unattendedUntil ?? message.expiresAt,
})

const emptyTopic = (): Topic => ({ lastSeq: 0, count: 0, bytes: 0, soonest: Number.POSITIVE_INFINITY })

/** Publishes one message within a transaction. */
export const createPublish = (deps: {
  tables: RelayTables
  topics: Topics
  members: Members
  makeRoom: MakeRoom
  limits: MailboxLimits
}): ((message: PreparedMessage) => Publication) => {
  const { tables, topics, members, makeRoom, limits } = deps
  const ownedLimits = { messages: limits.messages * OWNED_FACTOR, bytes: limits.bytes * OWNED_FACTOR }

  /** True when the topic has the message already; one that has expired is dropped. */
  const isDuplicate = (topic: Buffer, state: Topic, idKey: Buffer, now: number): boolean => {
    const seq = state.count > 0 ? tables.ids.get(idKey)?.readDoubleBE() : undefined
    const row = seq === undefined ? undefined : tables.messages.get(key(topic, number(seq)))
    if (seq === undefined || !row) return false
    if (expiryOfRow(row) > now) return true
    topics.drop(topic, state, seq, row)
    return false
  }

  return (message) => {
    const { topic, row, publisher, now } = message
    const state = topics.topicOf(topic) ?? emptyTopic()
    const idKey = key(topic, idOfRow(row))
    const owner = members.ownerOf(topic)
    if (isDuplicate(topic, state, idKey, now)) {
      const waiting = members
        .subscribersOf(topic, owner)
        .filter(({ member }) => member.cursor < state.lastSeq)
        .map(({ client }) => client.toString())
      return { outcome: 'duplicate', ...(waiting.length > 0 && { waiting }) }
    }
    const bounds = owner ? ownedLimits : limits
    const size = sizeOfRow(row)
    if (size > bounds.bytes) {
      if (state.lastSeq > 0) topics.writeTopic(topic, state)
      return { outcome: 'full' }
    }
    const subscribed = members.subscribersOf(topic, owner)
    const isOver = state.count + 1 > bounds.messages || state.bytes + size > bounds.bytes
    const displaced = isOver ? makeRoom({ topic, state, size, now, bounds, subscribers: subscribed }) : 0
    const isAttended = subscribed.some(({ client }) => !client.equals(publisher))
    const expiresAt = isAttended ? message.expiresAt : Math.min(message.expiresAt, message.unattendedUntil)
    setExpiryOfRow(row, expiresAt)
    const previousSeq = state.lastSeq
    const seq = (previousSeq || (tables.counters.get(FLOOR) ?? 0)) + 1
    tables.messages.put(key(topic, number(seq)), row)
    tables.ids.put(idKey, number(seq))
    tables.expiry.put(key(number(expiresAt), topic, number(seq)), PRESENT)
    const count = state.count + 1
    const soonest = Math.min(state.soonest, expiresAt)
    tables.topics.put(topic, topicRow({ lastSeq: seq, count, bytes: state.bytes + size, soonest }))
    const subscribers = advanceAll(tables, topic, subscribed, { seq, publisher, now })
    return { outcome: 'stored', seq, previousSeq, subscribers, ...(displaced > 0 && { displaced }) }
  }
}

/** Moves the cursors of the subscribers up to the new message; whether each is caught up. */
const advanceAll = (
  tables: RelayTables,
  topic: Buffer,
  subscribed: readonly TopicMember[],
  { seq, publisher, now }: { seq: number; publisher: Buffer; now: number },
): Subscriber[] => {
  const find = subscribed.length > 1 ? findOnce(findIn(tables, topic)) : findIn(tables, topic)
  const subscribers: Subscriber[] = []
  for (const one of subscribed) {
    const { client, member } = one
    const isOwn = client.equals(publisher)
    const moved = advance(find, one, isOwn ? seq : seq - 1, now)
    if (moved !== member) tables.members.put(key(topic, client), memberRow(moved))
    if (!isOwn) subscribers.push({ clientId: client.toString(), caughtUp: moved.cursor >= seq - 1 })
  }
  return subscribers
}
